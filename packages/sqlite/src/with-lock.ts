import { setTimeout as delay } from 'node:timers/promises'
import { throwIfAborted } from '@tensorhub/core'
import { isBusy } from './errors.ts'

/**
 * Runs a step that may meet another process's lock; waits without blocking the event loop (1 ms doubling to 50 ms, with jitter) and tries again
 * until the deadline, then gives SQLite's busy error.
 */
export async function withLock<T>(step: () => T | Promise<T>, timeout: number, signal?: AbortSignal): Promise<T> {
  const deadline = performance.now() + timeout
  for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
    try {
      return await step()
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error
    }
    await delay(wait * (0.5 + Math.random()))
    throwIfAborted(signal)
  }
}
