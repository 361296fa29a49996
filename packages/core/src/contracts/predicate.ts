import type { Operand, Path, TypeName, Value } from './value.ts'

/**
 * The closed filter tree that drivers receive. Only `parseFilter` makes one from user input, so its strings are values and
 * validated paths: no operator can be smuggled in. `matches()` defines what each node means.
 */
export type Predicate =
  | { readonly op: 'and' | 'or' | 'nor'; readonly of: readonly Predicate[] }
  | { readonly op: 'not'; readonly of: Predicate }
  | { readonly op: 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte'; readonly path: Path; readonly value: Operand }
  | { readonly op: 'in' | 'nin' | 'all'; readonly path: Path; readonly values: readonly Operand[] }
  | { readonly op: 'exists'; readonly path: Path; readonly value: boolean }
  | { readonly op: 'elemMatch'; readonly path: Path; readonly of: Predicate }
  | { readonly op: 'size'; readonly path: Path; readonly value: number }
  | { readonly op: 'type'; readonly path: Path; readonly types: readonly TypeName[] }
  | { readonly op: 'prefix' | 'contains'; readonly path: Path; readonly value: string }
  | { readonly op: 'regex'; readonly path: Path; readonly pattern: string; readonly ignoreCase: boolean }
  /** The only way to say "no filter". */
  | { readonly op: 'everything' }

/** One sort key; 1 ascending, -1 descending. */
export interface OrderKey {
  readonly path: Path
  readonly dir: 1 | -1
}

/** Sort keys, most significant first. Core appends `_id` to every order, so that it is total on every back end. */
export type Order = readonly OrderKey[]

/**
 * A change of a document. Keys are dotted paths through objects only (`'a.b'`); missing parents are created. A parent that is
 * no object, an `inc` of a non-number, or one path named twice: INVALID, and nothing is changed. A missing field counts as 0 for `inc`.
 */
export interface Change {
  readonly set?: Readonly<Record<string, Value>>
  readonly unset?: readonly string[]
  readonly inc?: Readonly<Record<string, number>>
}
