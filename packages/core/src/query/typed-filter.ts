import type { Operand, Scalar, TypeName, Value } from '../contracts/value.ts'

/** Operators on one field, a closed list (docs/query.md). */
export interface Operators<V> {
  readonly $eq?: V
  readonly $ne?: V
  readonly $gt?: V
  readonly $gte?: V
  readonly $lt?: V
  readonly $lte?: V
  readonly $in?: readonly V[]
  readonly $nin?: readonly V[]
  readonly $exists?: boolean
  readonly $all?: readonly unknown[]
  readonly $elemMatch?: Operators<Operand> | OpenFilter<unknown>
  readonly $size?: number
  readonly $type?: TypeName | readonly TypeName[]
  readonly $prefix?: string
  readonly $contains?: string
  readonly $regex?: string
  readonly $options?: 'i' | ''
  readonly $not?: Operators<V>
}

/** What a field of type V may be compared with: itself, an element where it is an array, null, or operators on these. */
type Comparable<V> = V extends readonly (infer E)[] ? V | E : V
type Condition<V> = Comparable<V> | null | Operators<Comparable<V> | null>

/** A dotted path's condition; its type is checked at run time only, since recursion into T is what makes such types slow. */
type AnyCondition = Operand | Operators<Scalar | readonly Operand[]>

/**
 * A MongoDB-shaped filter over documents of type T: top-level fields are checked, dotted paths are accepted with any condition. No recursion into
 * T, so the cost for the compiler is small and fixed (test/query/typed-filter.test.ts).
 */
export type Filter<T> = { readonly [K in keyof T]?: Condition<T[K]> } & {
  readonly [path: `${string}.${string}`]: AnyCondition
} & {
  readonly $and?: readonly Filter<T>[]
  readonly $or?: readonly Filter<T>[]
  readonly $nor?: readonly Filter<T>[]
}

/** The declared fields of a type that has an index signature too: those a compiler knows the type of. */
type Declared<T> = { [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K] }

/** Fields that are objects (a record's `content`) are only asked whether and what they are; what is in them has a dotted path. */
type FieldCondition<V> = Value extends V
  ? AnyCondition
  : [V] extends [Scalar | undefined | readonly unknown[]]
    ? Condition<V>
    : Operators<never>

/** What MongoDB knows in the place of a field and this language does not, beside operators that lost their field. */
type Misplaced = keyof Operators<never> | '$where' | '$expr' | '$text' | '$jsonSchema' | '$comment'

/**
 * A filter over documents that have the fields of T and any other tags: T's fields are checked as in {@link Filter}, other names take any operand or
 * operators, which are a closed list everywhere. Left to run time: lists of filters elsewhere than in `$and`, `$or` and `$nor`, and an unheard-of
 * operator in the place of a field, since a computed name (`{ [tag]: 1 }`) must be accepted.
 */
export type OpenFilter<T> = { readonly [K in keyof Declared<T>]?: FieldCondition<Declared<T>[K]> } & {
  readonly [O in Misplaced]?: never
} & FreeConditions<T>

/** One type, not an intersection: of the two conditions that `$and` would then have, the compiler could follow neither into the list. */
interface FreeConditions<T> {
  readonly $and?: readonly OpenFilter<T>[]
  readonly $or?: readonly OpenFilter<T>[]
  readonly $nor?: readonly OpenFilter<T>[]
  readonly [tag: string]: AnyCondition | readonly OpenFilter<T>[] | undefined
}

/** Equality that cannot be an operator: for values that come from outside (`?name[$ne]=` turns a value into one). */
export function eq<V extends Operand>(value: V): { readonly $eq: V } {
  return { $eq: value }
}

/** What a further step may name: an object's fields, or those of an array's elements; a scalar has none. */
type Fields<T> = T extends Exclude<Scalar, null> ? unknown : T
type Step<T> = NonNullable<T> extends readonly (infer E)[] ? Fields<NonNullable<E>> : Fields<NonNullable<T>>

/** A dotted path that the compiler checks, at most four steps: `path<Doc>()('content', 'format')`. */
export function path<T>(): {
  <A extends keyof T & string>(a: A): A
  <A extends keyof T & string, B extends keyof Step<T[A]> & string>(a: A, b: B): `${A}.${B}`
  <A extends keyof T & string, B extends keyof Step<T[A]> & string, C extends keyof Step<Step<T[A]>[B]> & string>(
    a: A,
    b: B,
    c: C,
  ): `${A}.${B}.${C}`
  <
    A extends keyof T & string,
    B extends keyof Step<T[A]> & string,
    C extends keyof Step<Step<T[A]>[B]> & string,
    D extends keyof Step<Step<Step<T[A]>[B]>[C]> & string,
  >(
    a: A,
    b: B,
    c: C,
    d: D,
  ): `${A}.${B}.${C}.${D}`
} {
  return ((...steps: string[]) => steps.join('.')) as ReturnType<typeof path<T>>
}
