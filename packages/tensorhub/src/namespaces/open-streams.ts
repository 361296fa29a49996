import { HubError, isHubError } from '@tensorhub/core'

/**
 * The record streams of a hub that are under way. Closing ends them: a loop that was left half-way without `return` would otherwise hold the stores
 * open for ever. Whoever goes on reading gets CLOSED, never a list that looks complete.
 */
export class OpenStreams {
  readonly #open = new Set<AsyncGenerator<unknown, void, undefined>>()
  readonly #closing = new AbortController()

  /** Items of `begin`, which gets a signal that also aborts when the hub closes. */
  async *track<T>(
    op: string,
    signal: AbortSignal | undefined,
    begin: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
  ): AsyncGenerator<T, void, undefined> {
    const closing = this.#closing.signal
    const source = begin(signal ? AbortSignal.any([signal, closing]) : closing)
    this.#open.add(source)
    try {
      yield* source
      if (closing.aborted) throw closed(op)
    } catch (error) {
      if (closing.aborted && signal?.aborted !== true && isHubError(error, 'ABORTED')) throw closed(op, error)
      throw error
    } finally {
      this.#open.delete(source)
    }
  }

  /**
   * The same for a stream of what others will do. While its reader waits, the process lives on, whatever the driver waits with: a program that only
   * watches has nothing else to keep it. A reader who does not ask keeps nothing.
   */
  async *await<T>(
    op: string,
    signal: AbortSignal | undefined,
    begin: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
  ): AsyncGenerator<T, void, undefined> {
    const source = this.track(op, signal, begin)
    try {
      for (;;) {
        const awake = setInterval(() => undefined, 2 ** 30)
        const next = await source.next().finally(() => clearInterval(awake))
        if (next.done) return
        yield next.value
      }
    } finally {
      await source.return()
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the hub was closed'))
    // A stream that fails while it ends tells its own reader.
    await Promise.allSettled([...this.#open].map((source) => source.return()))
  }
}

function closed(op: string, cause?: unknown): HubError {
  return new HubError('CLOSED', `${op}: the hub was closed while its records were being read.`, {
    at: { scheme: 'hub', op },
    ...(cause === undefined ? {} : { cause }),
  })
}
