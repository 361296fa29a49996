/** A leaf of a document. NaN and the infinities are values; -0 is stored as 0. Dates are instants in whole milliseconds. */
export type Scalar = null | boolean | number | bigint | string | Date

/** What a document field may hold. Rules of refusal on write: docs/query.md, "What a document may hold". */
export type Value = Scalar | readonly Value[] | { readonly [key: string]: Value }

/** What a filter may compare with: scalars, and arrays of them compared whole. */
export type Operand = Scalar | readonly Operand[]

/** A stored document. `_id` is a string chosen by the writer (the hub uses ULIDs). */
export type Doc = { readonly _id: string } & { readonly [field: string]: Value }

/** Validated path segments, never raw user text. `[]` is the element itself, and stands only under `elemMatch`. */
export type Path = readonly string[]

/** The names `$type` knows. */
export type TypeName = 'number' | 'string' | 'bool' | 'date' | 'null' | 'array' | 'object'
