import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { throwIfAborted } from '@tensorhub/core'
import { isBusy } from './errors.ts'

/** A small write holds the lock for less than this, so it is worth asking again at every turn of the loop; a timer's shortest wait is 1 ms. */
const EAGER_MS = 1.5

/**
 * Runs a step that may meet another process's lock; waits without blocking the event loop (at first turn by turn, then 1 ms doubling to 50 ms, with
 * jitter) and tries again until the deadline, then gives SQLite's busy error.
 */
export async function withLock<T>(step: () => T | Promise<T>, timeout: number, signal?: AbortSignal): Promise<T> {
  const began = performance.now()
  for (let wait = 1; ; ) {
    try {
      return await step()
    } catch (error) {
      if (!isBusy(error) || performance.now() > began + timeout) throw error
    }
    if (performance.now() < began + EAGER_MS) await nextTurn()
    else {
      await delay(wait * (0.5 + Math.random()))
      wait = Math.min(wait * 2, 50)
    }
    throwIfAborted(signal)
  }
}
