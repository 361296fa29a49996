import { setTimeout as delay } from 'node:timers/promises'
import type { Doc, IndexEvent } from '@tensorhub/core'

const FIRST = 50
const LONGEST = 1000

/** Wakes those who wait whenever this process commits. */
export class Commits {
  readonly #waiting = new Set<() => void>()

  committed(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Resolves at the next commit here, or after `ms`; rejects when the signal aborts. */
  async next(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const stop = new AbortController()
    let wake = () => {}
    const commit = new Promise<void>((resolve) => {
      wake = resolve
      this.#waiting.add(wake)
    })
    try {
      await Promise.race([
        commit,
        delay(ms, undefined, {
          signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
          ref: false,
        }).catch(signalled(stop.signal)),
      ])
    } finally {
      this.#waiting.delete(wake)
      stop.abort()
    }
  }
}

/** Ending the wait ourselves is no failure; the caller's abort is. */
function signalled(own: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!own.aborted) throw error
  }
}

/**
 * Events by comparing `_id` and `_rev` with the last time: at once for commits of this process, within 50 ms to 1 s for those of others. A quiet
 * database costs one `PRAGMA data_version` a poll. Changes between two looks at one document are one event; memory is one entry a document.
 */
export async function* watchChanges(
  read: () => AsyncIterable<Doc>,
  version: () => number,
  commits: Commits,
  signal: AbortSignal | undefined,
): AsyncGenerator<IndexEvent, void, undefined> {
  let known: Map<string, unknown> | undefined
  let lookedAt: number | undefined
  for (let wait = FIRST; ; wait = Math.min(wait * 2, LONGEST)) {
    // Taken before reading: what is committed meanwhile is looked at again.
    const current = version()
    if (current !== lookedAt) {
      lookedAt = current
      wait = FIRST / 2
      const seen = new Map<string, unknown>()
      const events: IndexEvent[] = []
      for await (const doc of read()) {
        seen.set(doc._id, doc['_rev'])
        if (known === undefined) continue
        if (!known.has(doc._id)) events.push({ _id: doc._id, op: 'insert' })
        else if (known.get(doc._id) !== doc['_rev']) events.push({ _id: doc._id, op: 'update' })
      }
      for (const id of known?.keys() ?? []) if (!seen.has(id)) events.push({ _id: id, op: 'delete' })
      known = seen
      yield* events
    }
    await commits.next(wait, signal)
  }
}
