import { setTimeout as delay } from 'node:timers/promises'
import type { IndexEvent } from '../contracts/index-driver.ts'
import type { Doc, Path } from '../contracts/value.ts'

const FIRST = 50
const LONGEST = 2000

/**
 * Watching by asking again: compares `_id` and `_rev` of the matching documents with the last time. Costs one indexed read of these two
 * fields a poll, and memory for one entry a document; the interval doubles from 50 ms to 2 s while nothing changes.
 */
export async function* pollChanges(
  read: (fields: readonly Path[]) => AsyncIterable<Doc>,
  signal: AbortSignal | undefined,
): AsyncGenerator<IndexEvent, void, undefined> {
  const fields: readonly Path[] = [['_id'], ['_rev']]
  let known: Map<string, unknown> | undefined
  for (let wait = FIRST; ; ) {
    const seen = new Map<string, unknown>()
    const events: IndexEvent[] = []
    for await (const doc of read(fields)) {
      seen.set(doc._id, doc['_rev'])
      if (known === undefined) continue
      if (!known.has(doc._id)) events.push({ _id: doc._id, op: 'insert' })
      else if (known.get(doc._id) !== doc['_rev']) events.push({ _id: doc._id, op: 'update' })
    }
    for (const id of known?.keys() ?? []) if (!seen.has(id)) events.push({ _id: id, op: 'delete' })
    known = seen
    yield* events
    wait = events.length > 0 ? FIRST : Math.min(wait * 2, LONGEST)
    await delay(wait * (0.75 + Math.random() / 2), undefined, signal ? { signal } : {})
  }
}
