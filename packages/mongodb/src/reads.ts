import { type Call, type Doc, type Order, type Path, type Predicate, pause, project, retrying } from '@tensorhub/core'
import type { Collection, Document } from 'mongodb'
import { isUnansweredInPassing } from './errors.ts'
import { compileFilter, compileOrder } from './filter.ts'

/**
 * Documents a reply may carry. MongoDB cuts replies at 16 MiB by itself; some compatible servers do not, so there is a bound.
 * https://www.mongodb.com/docs/manual/tutorial/iterate-a-cursor/#cursor-batches
 */
const BATCH = 2000

/** The matching documents; the cursor is closed when the loop is left or the signal aborts. */
export async function* findDocs(
  collection: Collection<Doc>,
  where: Predicate,
  o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
): AsyncGenerator<Doc, void, undefined> {
  const { filter } = compileFilter(where)
  const { fields } = o
  for (let tries = 1; ; tries++) {
    const cursor = collection.find(filter, {
      ...(o.order.length === 0 ? {} : { sort: compileOrder(o.order) }),
      ...(o.limit === undefined ? {} : { limit: o.limit }),
      ...(fields === undefined ? {} : { projection: projectionOf(fields) }),
      ...(o.signal === undefined ? {} : { signal: o.signal }),
      batchSize: Math.min(BATCH, o.limit ?? BATCH),
    })
    let given = 0
    try {
      for await (const doc of cursor) {
        given++
        yield fields ? project(doc, fields) : doc
      }
      return
    } catch (error) {
      // Begun again only from the start: afterwards it is not known where it stood.
      if (given > 0 || tries >= TRIES || !isUnansweredInPassing(error)) throw error
      await pause(Math.random() * BASE_MS * 2 ** (tries - 1), o.signal)
    } finally {
      await cursor.close()
    }
  }
}

/**
 * A read is asked again with waits of up to 0.05, 0.1, 0.2 … s: connections of a pool may all be dead by the time they are used, and a store may be busy or
 * change its primary, while the driver itself repeats a read once and none after errors of Node's.
 */
const TRIES = 8
const BASE_MS = 50

/** A read, again while it fails in passing. */
export function reading<T>(work: () => Promise<T>, { signal }: Call): Promise<T> {
  return retrying(work, {
    isTransient: isUnansweredInPassing,
    attempts: TRIES,
    baseMs: BASE_MS,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Whole top-level fields: through arrays MongoDB projects otherwise than core, which does the rest. */
function projectionOf(fields: readonly Path[]): Document {
  return Object.fromEntries([['_id', 1], ...fields.map((path) => [path[0] as string, 1])])
}
