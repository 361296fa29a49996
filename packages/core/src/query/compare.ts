import type { Order } from '../contracts/predicate.ts'
import type { Doc, Path, Value } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'

/**
 * Ranks of the total order over types: MongoDB's, restricted to the types a document may hold. An empty array as a sort key ranks below null.
 * https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
 */
export const RANK = { emptyArray: 0, null: 1, number: 2, string: 3, object: 4, array: 5, bool: 6, date: 7 } as const

/** The type rank of a value; a missing one counts as null. */
export function rankOf(value: Value | undefined): number {
  if (value === undefined || value === null) return RANK.null
  switch (typeof value) {
    case 'number':
    case 'bigint':
      return RANK.number
    case 'string':
      return RANK.string
    case 'boolean':
      return RANK.bool
    default:
      return value instanceof Date ? RANK.date : Array.isArray(value) ? RANK.array : RANK.object
  }
}

/**
 * The total order of two values: by type, then by value. Numbers by exact value (NaN equals NaN and is below every number), strings by code
 * point, arrays element by element, objects member by member (type, name, value) in their own order.
 */
export function compareValues(a: Value | undefined, b: Value | undefined): number {
  const rank = rankOf(a)
  const other = rankOf(b)
  if (rank !== other) return rank < other ? -1 : 1
  switch (rank) {
    case RANK.null:
      return 0
    case RANK.number:
      return compareNumbers(a as number | bigint, b as number | bigint)
    case RANK.string:
      return compareStrings(a as string, b as string)
    case RANK.bool:
      return Number(a) - Number(b)
    case RANK.date:
      return Math.sign((a as Date).getTime() - (b as Date).getTime())
    case RANK.array:
      return compareArrays(a as readonly Value[], b as readonly Value[])
    default:
      return compareObjects(a as { readonly [key: string]: Value }, b as { readonly [key: string]: Value })
  }
}

/** JavaScript compares a bigint with a number by exact value; only NaN needs care. */
export function compareNumbers(a: number | bigint, b: number | bigint): number {
  const aNaN = Number.isNaN(a)
  const bNaN = Number.isNaN(b)
  if (aNaN || bNaN) return aNaN === bNaN ? 0 : aNaN ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Code-point order, which is the order of UTF-8 bytes. JavaScript's `<` compares UTF-16 units, where astral characters (surrogates D800–DFFF)
 * wrongly stand below U+E000–U+FFFF.
 */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) {
      const xSurrogate = x >= 0xd800 && x <= 0xdfff
      const ySurrogate = y >= 0xd800 && y <= 0xdfff
      return xSurrogate === ySurrogate ? (x < y ? -1 : 1) : xSurrogate ? 1 : -1
    }
  }
  return Math.sign(a.length - b.length)
}

function compareArrays(a: readonly Value[], b: readonly Value[]): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const order = compareValues(a[i], b[i])
    if (order !== 0) return order
  }
  return Math.sign(a.length - b.length)
}

function compareObjects(a: { readonly [key: string]: Value }, b: { readonly [key: string]: Value }): number {
  const left = Object.entries(a)
  const right = Object.entries(b)
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const [aKey, aValue] = left[i] as [string, Value]
    const [bKey, bValue] = right[i] as [string, Value]
    const byRank = rankOf(aValue) - rankOf(bValue)
    if (byRank !== 0) return Math.sign(byRank)
    const byKey = compareStrings(aKey, bKey)
    if (byKey !== 0) return byKey
    const byValue = compareValues(aValue, bValue)
    if (byValue !== 0) return byValue
  }
  return Math.sign(left.length - right.length)
}

/** A sort key of a document with its rank: an empty array ranks below null. */
export interface SortKey {
  readonly rank: number
  readonly value: Value | undefined
}

const MISSING: SortKey = { rank: RANK.null, value: undefined }
const EMPTY: SortKey = { rank: RANK.emptyArray, value: undefined }

export function compareKeys(a: SortKey, b: SortKey): number {
  return a.rank !== b.rank ? (a.rank < b.rank ? -1 : 1) : compareValues(a.value, b.value)
}

/**
 * The sort keys of a document, one a key of the order. Where keys run through an array, each element gives a whole tuple, and the least in the
 * given order counts: ascending by the least element, descending by the greatest.
 *
 * @throws INVALID when two keys run through different arrays (MongoDB: "cannot sort with keys that are parallel arrays").
 */
export function sortKeys(order: Order, doc: Doc): readonly SortKey[] {
  const tuples = keyTuples(
    order.map((key) => key.path),
    doc,
  )
  let best = tuples[0] as readonly SortKey[]
  for (const tuple of tuples.slice(1)) if (compareTuples(order, tuple, best) < 0) best = tuple
  return best
}

/** Compares documents by an order. */
export function compareDocs(order: Order): (a: Doc, b: Doc) => number {
  return (a, b) => compareTuples(order, sortKeys(order, a), sortKeys(order, b))
}

export function compareTuples(order: Order, a: readonly SortKey[], b: readonly SortKey[]): number {
  for (let i = 0; i < order.length; i++) {
    const by = compareKeys(a[i] as SortKey, b[i] as SortKey)
    if (by !== 0) return by * (order[i] as { dir: 1 | -1 }).dir
  }
  return 0
}

/** One path's way through a document: how far it got, and the array it met, if any. */
interface Cursor {
  readonly node: Value | undefined
  readonly rest: Path
}

function keyTuples(paths: readonly Path[], doc: Value): readonly (readonly SortKey[])[] {
  return expand(paths.map((path) => ({ node: doc, rest: path })))
}

/** Walks every path to its end or to an array; where some stand at one same array, each of its elements goes on as a tuple of its own. */
function expand(cursors: readonly Cursor[]): readonly (readonly SortKey[])[] {
  const walked = cursors.map(walk)
  const atArray = walked.filter((c): c is Cursor & { node: readonly Value[] } => Array.isArray(c.node) && !isDone(c))
  if (atArray.length === 0) return [walked.map(keyOf)]
  const array = (atArray[0] as { node: readonly Value[] }).node
  if (atArray.some((c) => c.node !== array)) {
    throw new HubError(
      'INVALID',
      'Two keys of one sort run through different arrays of a document; sort by one of them.',
      {
        at: { scheme: 'core', op: 'sort' },
        reason: 'PARALLEL_ARRAYS',
      },
    )
  }
  if (array.length === 0) {
    return expand(walked.map((c) => (c.node === array && !isDone(c) ? done(c.rest.length === 0 ? EMPTY : MISSING) : c)))
  }
  return array.flatMap((element) =>
    expand(walked.map((c) => (c.node === array && !isDone(c) ? step(element, c.rest) : c))),
  )
}

const DONE = Symbol('done')
type Done = Cursor & { readonly [DONE]: SortKey }

function done(key: SortKey): Done {
  return { node: undefined, rest: [], [DONE]: key }
}

function isDone(c: Cursor): c is Done {
  return DONE in c
}

/** An array's element: at the path's end it is the key itself (an array in an array compares whole); before it, only objects lead on. */
function step(element: Value, rest: Path): Cursor {
  if (rest.length === 0) return done({ rank: rankOf(element), value: element })
  return isObject(element) ? { node: element, rest } : done(MISSING)
}

function walk(cursor: Cursor): Cursor {
  if (isDone(cursor)) return cursor
  let { node, rest } = cursor
  while (rest.length > 0) {
    const [name, ...more] = rest as [string, ...string[]]
    if (Array.isArray(node)) {
      const index = arrayIndex(name)
      if (index === undefined || index >= node.length) return { node, rest }
      const element = node[index] as Value
      // A final numeric step picks the element whole.
      if (more.length === 0)
        return Array.isArray(element) ? { node: element, rest: [] } : done({ rank: rankOf(element), value: element })
      node = element
    } else if (isObject(node) && Object.hasOwn(node, name)) {
      node = node[name]
    } else {
      return done(MISSING)
    }
    rest = more
  }
  return Array.isArray(node) ? { node, rest } : done({ rank: rankOf(node), value: node })
}

function keyOf(c: Cursor): SortKey {
  return isDone(c) ? c[DONE] : { rank: rankOf(c.node), value: c.node }
}

/** A path step that is an array index: digits without a leading zero. */
export function arrayIndex(step: string): number | undefined {
  return /^(0|[1-9]\d{0,8})$/.test(step) ? Number(step) : undefined
}

export function isObject(value: unknown): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}
