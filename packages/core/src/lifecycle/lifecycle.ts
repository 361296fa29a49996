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
  #closing: Promise<void> | undefined
  #running = 0
  #idle: (() => void) | undefined

  constructor(driver: D) {
    this.driver = driver
  }

  /** The effective capabilities; opens the driver when needed. */
  async ready(at: ErrorPlace, signal: AbortSignal | undefined): Promise<Readonly<Cap>> {
    throwIfAborted(signal, at)
    this.#assertOpen(at)
    this.#opening ??= this.#open()
    const can = await raceAbort(this.#opening, signal, at)
    this.#assertOpen(at)
    return can
  }

  /** Runs one call on the open driver; closing waits for it. */
  async run<T>(at: ErrorPlace, signal: AbortSignal | undefined, call: (can: Readonly<Cap>) => Promise<T>): Promise<T> {
    const can = await this.ready(at, signal)
    this.#running++
    try {
      return await raceAbort(call(can), signal, at)
    } catch (error) {
      throw asHubError(error, at)
    } finally {
      this.#leave()
    }
  }

  /** The same for a stream of results. */
  async *stream<T>(
    at: ErrorPlace,
    signal: AbortSignal | undefined,
    call: (can: Readonly<Cap>) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    const can = await this.ready(at, signal)
    this.#running++
    try {
      for await (const item of call(can)) {
        throwIfAborted(signal, at)
        yield item
      }
      throwIfAborted(signal, at)
    } catch (error) {
      throw asHubError(error, at)
    } finally {
      this.#leave()
    }
  }

  /** Refuses new calls, waits for running ones, closes the driver. */
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
      return (await this.driver.open?.({})) ?? this.driver.can
    } catch (error) {
      this.#opening = undefined
      throw asHubError(error, { scheme: this.driver.scheme, op: 'open' })
    }
  }

  async #close(): Promise<void> {
    if (this.#opening !== undefined) await this.#opening.then(noop, noop)
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    try {
      await this.driver.close?.()
    } catch (error) {
      throw asHubError(error, { scheme: this.driver.scheme, op: 'close' })
    }
  }

  #leave(): void {
    this.#running--
    if (this.#running === 0) this.#idle?.()
  }
}

/** Whether opening succeeded is told to those who wait for it; closing only waits for its end. */
function noop(): void {
  return
}

/** Releases the caller at once when the signal aborts; the driver's own promise is left to end by itself. */
export function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined, at: ErrorPlace): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(abortError(signal, at))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
