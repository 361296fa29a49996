import { type Call, type Doc, type Order, type Path, type Predicate, project } from '@tensorhub/core'
import type { Collection, Document } from 'mongodb'
import { isSocketFailure } from './errors.ts'
import { compileFilter, compileOrder } from './filter.ts'

/**
 * Documents a reply may carry. MongoDB cuts replies at 16 MiB by itself; some compatible servers do not, so there is a bound.
 * https://www.mongodb.com/docs/manual/tutorial/iterate-a-cursor/#cursor-batches
 */
const BATCH = 2000

/** The matching documents; the cursor is closed when the loop is left or the signal aborts. */
export async function* findDocs(
  collection: Collection,
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
        yield fields ? project(doc as unknown as Doc, fields) : (doc as unknown as Doc)
      }
      return
    } catch (error) {
      if (given > 0 || tries > TRIES || !isSocketFailure(error)) throw error
    } finally {
      await cursor.close()
    }
  }
}

/** Connections of a pool may all be dead by the time they are used. */
const TRIES = 3

/** A read once more where the socket was dead: the driver repeats reads after errors of its own, but not after Node's. */
export async function reading<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries > TRIES || !isSocketFailure(error)) throw error
    }
  }
}

/** Whole top-level fields: through arrays MongoDB projects otherwise than core, which does the rest. */
function projectionOf(fields: readonly Path[]): Document {
  return Object.fromEntries([['_id', 1], ...fields.map((path) => [path[0] as string, 1])])
}
