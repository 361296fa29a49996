import type { Order } from '../contracts/predicate.ts'
import type { Doc } from '../contracts/value.ts'
import { compareTuples, type SortKey, sortKeys } from '../query/compare.ts'

/** Sorts what a driver could not; with a limit it keeps only so many documents at a time. */
export async function* sortDocs(
  docs: AsyncIterable<Doc>,
  order: Order,
  limit: number | undefined,
): AsyncGenerator<Doc, void, undefined> {
  let held: { keys: readonly SortKey[]; doc: Doc }[] = []
  const by = (a: { keys: readonly SortKey[] }, b: { keys: readonly SortKey[] }) => compareTuples(order, a.keys, b.keys)
  for await (const doc of docs) {
    held.push({ keys: sortKeys(order, doc), doc })
    // Cutting back at twice the limit keeps memory bounded at an amortised cost of n log(limit).
    if (limit !== undefined && held.length >= 2 * limit + 64) held = held.sort(by).slice(0, limit)
  }
  for (const { doc } of held.sort(by)) yield doc
}
