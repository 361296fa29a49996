import { abortError, type ErrorPlace, throwIfAborted } from '../errors/hub-error.ts'

export interface RetryOptions {
  /** Whether the same work may succeed when it is done again. */
  isTransient(error: unknown): boolean
  /** Tries in all. Default 5. */
  readonly attempts?: number
  /** The first wait is at most this long, in ms; each further one at most twice as long as the one before. Default 100. */
  readonly baseMs?: number
  /** No wait is longer, in ms. Default 5,000. */
  readonly maxMs?: number
  /** No try begins later than so many ms after the first. Default: no such bound. */
  readonly withinMs?: number
  /** Ends a wait at once. */
  readonly signal?: AbortSignal
  readonly at?: ErrorPlace
}

/**
 * Does the work again while it fails in a way that may pass. Waits are drawn evenly between nothing and a doubling bound ("full jitter"): many clients that failed
 * together then do not return together. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 *
 * @param work Is told which try this is, from 1.
 * @throws The last failure; ABORTED while it waits.
 */
export async function retrying<T>(work: (attempt: number) => Promise<T>, o: RetryOptions): Promise<T> {
  const { attempts = 5, baseMs = 100, maxMs = 5000, withinMs = Number.POSITIVE_INFINITY, signal, at } = o
  const began = performance.now()
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(signal, at)
    try {
      return await work(attempt)
    } catch (error) {
      if (attempt >= attempts || !o.isTransient(error)) throw error
      const wait = Math.random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1))
      if (performance.now() - began + wait > withinMs) throw error
      await pause(wait, signal, at)
    }
  }
}

/** Waits; keeps the process alive, since somebody waits for the outcome. @throws ABORTED as soon as the signal is. */
export function pause(ms: number, signal?: AbortSignal, at?: ErrorPlace): Promise<void> {
  return new Promise((resolve, reject) => {
    throwIfAborted(signal, at)
    const onAbort = () => {
      clearTimeout(timer)
      reject(abortError(signal as AbortSignal, at))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
