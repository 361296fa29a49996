import { type Call, type Doc, type Order, type Path, type Predicate, project } from '@tensorhub/core'
import type { Collection, Document } from 'mongodb'
import { compileFilter, compileOrder } from './filter.ts'

/**
 * Documents a reply may carry. MongoDB itself cuts replies at 16 MiB; some compatible servers do not, and a reply of more than 48 MB is refused by the driver, so there is a bound, and
 * a smaller one where that happens. https://www.mongodb.com/docs/manual/tutorial/iterate-a-cursor/#cursor-batches
 */
const BATCHES = [2000, 100, 2] as const

/** The matching documents; the cursor is closed when the loop is left or the signal aborts. */
export async function* findDocs(
  collection: Collection,
  where: Predicate,
  o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
): AsyncGenerator<Doc, void, undefined> {
  const { filter } = compileFilter(where)
  const { fields } = o
  const projection = fields && projectionOf(fields)
  for (const [attempt, batchSize] of BATCHES.entries()) {
    const cursor = collection.find(filter, {
      // A sort by nothing is none; by `_id` alone it is an index scan.
      ...(o.order.length === 0 ? {} : { sort: compileOrder(o.order) }),
      ...(o.limit === undefined ? {} : { limit: o.limit }),
      ...(projection === undefined ? {} : { projection }),
      ...(o.signal === undefined ? {} : { signal: o.signal }),
      batchSize: Math.min(batchSize, o.limit ?? batchSize),
    })
    let given = 0
    try {
      for await (const doc of cursor) {
        given++
        yield fields ? project(doc as unknown as Doc, fields) : (doc as unknown as Doc)
      }
      return
    } catch (error) {
      // Begun again only from the start: afterwards it is not known where it stood.
      if (given > 0 || attempt === BATCHES.length - 1 || !/Invalid message size/.test(String((error as Error).message)))
        throw error
    } finally {
      await cursor.close()
    }
  }
}

/** Whole top-level fields: through arrays MongoDB projects otherwise than core, which does the rest. */
function projectionOf(fields: readonly Path[]): Document {
  return Object.fromEntries([['_id', 1], ...fields.map((path) => [path[0] as string, 1])])
}
