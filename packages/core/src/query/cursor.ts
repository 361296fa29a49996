import { createHash } from 'node:crypto'
import type { Order, Predicate } from '../contracts/predicate.ts'
import type { Doc, Operand, Path, TypeName, Value } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'
import { compareTuples, RANK, rankOf, type SortKey, sortKeys } from './compare.ts'
import { decodeValue, encodeValue } from './document-codec.ts'

/** Where a page ended: the last document's sort keys. */
export interface PagePosition {
  readonly keys: readonly SortKey[]
}

/** A cursor: opaque text that names the position of a document in an order (`_id` must be part of the order). */
export function encodeCursor(order: Order, doc: Doc): string {
  const keys = sortKeys(order, doc).map((key) => [key.rank, key.value ?? null] as const)
  return Buffer.from(encodeValue([fingerprint(order), keys.map((pair) => [...pair])])).toString('base64url')
}

/** @throws INVALID for text that is no cursor, or one made with another sort. */
export function decodeCursor(order: Order, cursor: string): PagePosition {
  let parsed: Value
  try {
    parsed = decodeValue(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch (cause) {
    throw refuse('The cursor is damaged; take it from `cursor` of a former page as it is.', cause)
  }
  if (!Array.isArray(parsed) || typeof parsed[0] !== 'string' || !Array.isArray(parsed[1]))
    throw refuse('The cursor is damaged; take it from `cursor` of a former page as it is.')
  if (parsed[0] !== fingerprint(order))
    throw refuse('The cursor was made with another sort; use the same sort for every page.')
  const keys = (parsed[1] as readonly Value[]).map((pair): SortKey => {
    if (!Array.isArray(pair) || pair.length !== 2) throw refuse('The cursor is damaged.')
    const rank: Value = pair[0]
    const value: Value = pair[1]
    const right = rank === RANK.emptyArray ? value === null : rank === rankOf(value)
    if (typeof rank !== 'number' || !right) throw refuse('The cursor is damaged.')
    return { rank, value: value === null ? undefined : value }
  })
  if (keys.length !== order.length) throw refuse('The cursor is damaged.')
  return { keys }
}

function fingerprint(order: Order): string {
  return createHash('sha256')
    .update(JSON.stringify(order.map((key) => [key.path, key.dir])))
    .digest('base64url')
    .slice(0, 8)
}

function refuse(message: string, cause?: unknown): HubError {
  return new HubError('INVALID', message, {
    at: { scheme: 'core', op: 'find' },
    path: 'after',
    reason: 'CURSOR',
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Whether a document stands behind the position. */
export function isAfter(order: Order, position: PagePosition, doc: Doc): boolean {
  return compareTuples(order, sortKeys(order, doc), position.keys) > 0
}

const TYPES_BY_RANK: readonly (readonly [rank: number, type: TypeName])[] = [
  [RANK.null, 'null'],
  [RANK.number, 'number'],
  [RANK.string, 'string'],
  [RANK.object, 'object'],
  [RANK.array, 'array'],
  [RANK.bool, 'bool'],
  [RANK.date, 'date'],
]

/**
 * A filter that every document behind the position matches, and that an index can seek by: an OR-ladder over the sort keys. A superset (arrays
 * sort by one of their elements only), so {@link isAfter} decides.
 */
export function seekPredicate(order: Order, position: PagePosition): Predicate {
  const rungs: Predicate[] = []
  for (let i = 0; i < order.length; i++) {
    const parts: Predicate[] = []
    for (let j = 0; j < i; j++) parts.push(...sameAs((order[j] as { path: Path }).path, position.keys[j] as SortKey))
    const { path, dir } = order[i] as { path: Path; dir: 1 | -1 }
    parts.push(beyond(path, position.keys[i] as SortKey, dir))
    rungs.push(parts.length === 1 ? (parts[0] as Predicate) : { op: 'and', of: parts })
  }
  return rungs.length === 1 ? (rungs[0] as Predicate) : { op: 'or', of: rungs }
}

/**
 * True for every document whose key equals this one, unless the key came out of an array: such a document already passes the rung before, since
 * {@link beyond} takes every array. Keys of object type are left to the final check.
 */
function sameAs(path: Path, key: SortKey): Predicate[] {
  if (key.rank === RANK.emptyArray) return [{ op: 'size', path, value: 0 }]
  // Missing counts as null; a null key may also come from a path that an array cuts off, where `eq null` does not match.
  if (key.rank === RANK.null || key.rank === RANK.object || key.rank === RANK.array) return []
  return [{ op: 'eq', path, value: key.value as Operand }]
}

/** Sound: true for every document whose key stands beyond this one in the direction. */
function beyond(path: Path, key: SortKey, dir: 1 | -1): Predicate {
  const comparable = key.rank >= RANK.number && key.rank !== RANK.object && key.rank !== RANK.array
  const types = TYPES_BY_RANK.filter(([rank]) => (dir === 1 ? rank > key.rank : rank < key.rank)).map(
    ([, type]) => type,
  )
  // Arrays hold keys of any type, and null stands for missing fields too, which no type name covers.
  const always: Predicate[] = [{ op: 'type', path, types: [...new Set<TypeName>([...types, 'array'])] }]
  if (dir === -1 && key.rank > RANK.null)
    always.push({ op: 'exists', path, value: false }, { op: 'eq', path, value: null })
  if (!comparable) return { op: 'everything' }
  const strict: Predicate = { op: dir === 1 ? 'gt' : 'lt', path, value: key.value as Operand }
  // NaN is the least number in the order, but no range operator reaches it.
  if (key.rank === RANK.number) {
    if (dir === -1) always.push({ op: 'eq', path, value: Number.NaN })
    else if (Number.isNaN(key.value)) always.push({ op: 'type', path, types: ['number'] })
  }
  return { op: 'or', of: [strict, ...always] }
}
