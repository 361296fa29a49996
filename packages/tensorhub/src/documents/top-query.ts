import type { Call, Doc, IndexStore, Order, Path, Predicate } from '@tensorhub/core'

/**
 * The first document of an order, where documents whose first sort key is missing, null or NaN come last in either direction
 * (design §7; the original's B22: "lowest loss" must never be a model without a loss).
 *
 * Descending orders have that already (MongoDB's type order puts null below NaN below numbers). Ascending asks in two or three index seeks:
 * numbers first (`>= -Infinity` excludes NaN), then the other types, then whatever is left.
 */
export function findTop(
  index: IndexStore,
  coll: string,
  where: Predicate,
  order: Order,
  call: Call,
): Promise<Doc | undefined> {
  const first = order[0]
  return first === undefined || first.dir === -1 || alwaysPresent(first.path)
    ? index.top(coll, where, { ...call, order })
    : findLeast(index, coll, where, first.path, order, call)
}

async function findLeast(
  index: IndexStore,
  coll: string,
  where: Predicate,
  path: Path,
  order: Order,
  call: Call,
): Promise<Doc | undefined> {
  const stages: Predicate[] = [
    { op: 'gte', path, value: Number.NEGATIVE_INFINITY },
    { op: 'type', path, types: ['string', 'object', 'array', 'bool', 'date'] },
  ]
  for (const stage of stages) {
    const found = await index.top(coll, { op: 'and', of: [where, stage] }, { ...call, order })
    if (found !== undefined) return found
  }
  return index.top(coll, where, { ...call, order })
}

/** Fields every document of the hub has, so that no second seek is needed. */
function alwaysPresent(path: readonly string[]): boolean {
  return path.length === 1 && (path[0] === '_id' || path[0] === 'time')
}
