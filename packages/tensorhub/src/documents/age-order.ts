import type { Order, Predicate } from '@tensorhub/core'
import type { Collection } from './collections.ts'

/**
 * The order by `time`, then `_id`, written so that an index on any tag gives it.
 *
 * An `_id` of the hub is a ULID whose first ten characters are the document's own `time` (stamps.ts), so `_id` alone is that order, and it
 * is the last column of every index: the newest model of a run is one seek in the index on `run`. Ordered by `time`, SQLite walks all documents
 * from the newest until it meets one of the run. Tasks may be named by an idempotency key, and there `time` has to be asked; so it is where the
 * filter compares `time`, whose index then gives both.
 */
export function byAge(coll: Collection, where: Predicate, dir: 1 | -1): Order {
  const id = { path: ['_id'], dir }
  return coll === 'tasks' || comparesTime(where) ? [{ path: ['time'], dir }, id] : [id]
}

function comparesTime(where: Predicate): boolean {
  if ('of' in where) return Array.isArray(where.of) ? where.of.some(comparesTime) : comparesTime(where.of as Predicate)
  return 'path' in where && where.path[0] === 'time'
}

/** Whether an order asks for age and nothing else. */
export function isByAge([first, ...others]: Order): boolean {
  return first !== undefined && others.length === 0 && first.path.length === 1 && first.path[0] === 'time'
}
