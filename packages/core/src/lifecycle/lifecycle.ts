import type { Driver } from '../contracts/driver.ts'
import { abortError, type ErrorPlace, HubError, throwIfAborted } from '../errors/hub-error.ts'
import { asHubError } from '../errors/wrap.ts'

/**
 * Opens a driver once, lazily, for whoever calls first; others wait. After `close` every call fails with CLOSED. A failed open is not kept: the
 * next call tries again.
 */
export class Lifecycle<Cap, D extends Driver<Cap>> {
  readonly driver: D
  #opening: Promise<Readonly<Cap>> | undefined
  /** Set once opening has succeeded, so that later calls need not wait for a turn. */
  #opened: Readonly<Cap> | undefined
  #closing: Promise<void> | undefined
  #running = 0
  #idle: (() => void) | undefined
  /** Streams that were begun and not ended; closing ends them. */
  readonly #streams = new Set<() => Promise<unknown>>()
  /** Ends what waits without end. */
  readonly #stop = new AbortController()

  constructor(driver: D) {
    this.driver = driver
  }

  /** The effective capabilities; opens the driver when needed. */
  async ready(at: ErrorPlace, signal: AbortSignal | undefined): Promise<Readonly<Cap>> {
    const opened = this.#openedFor(at, signal)
    if (opened !== undefined) return opened
    this.#opening ??= this.#open()
    const can = await raceAbort(this.#opening, signal, at)
    this.#assertOpen(at)
    return can
  }

  #openedFor(at: ErrorPlace, signal: AbortSignal | undefined): Readonly<Cap> | undefined {
    throwIfAborted(signal, at)
    this.#assertOpen(at)
    return this.#opened
  }

  /**
   * Runs one call on the open driver; closing waits for it.
   *
   * @param linger Milliseconds that an abort waits for the driver to end what it has begun; default 0.
   */
  async run<T>(
    at: ErrorPlace,
    signal: AbortSignal | undefined,
    call: (can: Readonly<Cap>) => Promise<T>,
    linger = 0,
  ): Promise<T> {
    const can = this.#openedFor(at, signal) ?? (await this.ready(at, signal))
    this.#assertOpen(at)
    try {
      if (signal !== undefined)
        return await raceAbort(
          this.#tracked(() => call(can)),
          signal,
          at,
          linger,
        )
      // Nothing releases the caller before the work has ended, so that it is counted here: a promise less for every log.
      this.#running++
      try {
        return await call(can)
      } finally {
        this.#left()
      }
    } catch (error) {
      throw asHubError(error, at)
    }
  }

  /**
   * The same for a stream of results. Closing waits for the step that runs, then ends the stream: its consumer's next step is CLOSED. So one that was
   * left behind half-read keeps no store from closing.
   *
   * @param endless Its steps may take for ever (watching), so closing aborts the signal that `call` is given.
   */
  async *stream<T>(
    at: ErrorPlace,
    signal: AbortSignal | undefined,
    call: (can: Readonly<Cap>, signal: AbortSignal | undefined) => AsyncIterable<T>,
    endless = false,
  ): AsyncGenerator<T, void, undefined> {
    const can = await this.ready(at, signal)
    this.#assertOpen(at)
    const { signal: stop } = this.#stop
    const given = endless ? (signal ? AbortSignal.any([signal, stop]) : stop) : signal
    let items: AsyncIterator<T> | undefined
    const end = async () => {
      this.#streams.delete(end)
      await items?.return?.()
    }
    this.#streams.add(end)
    try {
      items = call(can, given)[Symbol.asyncIterator]()
      for (;;) {
        const source = items
        const { done, value } = await this.#tracked(() => source.next())
        throwIfAborted(signal, at)
        if (done === true) {
          this.#streams.delete(end)
          return
        }
        yield value
        throwIfAborted(signal, at)
        this.#assertOpen(at)
      }
    } catch (error) {
      if (endless && !signal?.aborted) this.#assertOpen(at)
      throw asHubError(error, at)
    } finally {
      if (this.#streams.has(end)) await this.#tracked(end)
    }
  }

  /** Refuses new calls, waits for running ones, ends open streams, closes the driver. A store that was never opened has nothing to close. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #assertOpen(at: ErrorPlace): void {
    if (this.#closing !== undefined) throw new HubError('CLOSED', `The ${at.scheme} store is closed.`, { at })
  }

  async #open(): Promise<Readonly<Cap>> {
    try {
      // The one opening serves every waiting caller, so no single caller's signal may end it.
      this.#opened = (await this.driver.open?.({})) ?? this.driver.can
      return this.#opened
    } catch (error) {
      this.#opening = undefined
      throw asHubError(error, { scheme: this.driver.scheme, op: 'open' })
    }
  }

  async #close(): Promise<void> {
    if (this.#opening !== undefined) await this.#opening.then(noop, noop)
    // A failed opening left nothing open.
    if (this.#opening === undefined) return
    const at = { scheme: this.driver.scheme, op: 'close' }
    this.#stop.abort()
    try {
      await this.#untilIdle()
      await Promise.all([...this.#streams].map((end) => end()))
      await this.driver.close?.()
    } catch (error) {
      throw asHubError(error, at)
    }
  }

  async #untilIdle(): Promise<void> {
    while (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
  }

  /** Counts the driver's own work until it ends, which may be after an abort released the caller. */
  async #tracked<T>(work: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return await work()
    } finally {
      this.#left()
    }
  }

  #left(): void {
    this.#running--
    if (this.#running === 0) this.#idle?.()
  }
}

/** Whether opening succeeded is told to those who wait for it; closing only waits for its end. */
function noop(): void {
  return
}

/**
 * Releases the caller when the signal aborts, at once or after `linger` ms; the driver's own promise is left to end by itself. What it does in
 * spite of the abort, before then, is not said to have failed.
 */
export function raceAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  at: ErrorPlace,
  linger = 0,
): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const release = () => reject(abortError(signal, at))
    const onAbort = () => {
      if (linger === 0) release()
      else timer = setTimeout(release, linger)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    const fail = (error: unknown) => (timer === undefined ? reject(error) : release())
    promise.then(resolve, fail).finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    })
  })
}
