import {
  type Call,
  type ErrorPlace,
  Gate,
  HubError,
  isHubError,
  retrying,
  settledRequest,
  throwIfAborted,
} from '@tensorhub/core'
import { hubErrorOf, silent, type Where } from './errors.ts'

/** The slowest line a request with a body is given time for, in bytes per second. */
const SLOWEST = 64 * 1024

export interface RequestOptions extends Call {
  /** What the request carries. */
  readonly bytes?: number
  /** Of what changes something: an abort waits for the reply to what was sent whole. */
  readonly changes?: boolean
}

/** Sends requests: each bounded in time, its failure told in the hub's codes, repeated where that may help. */
export class Requests {
  readonly #timeout: number
  readonly #where: Where
  readonly #gate: Gate
  /** A body that is read on after `close` must not open connections that nobody closes. */
  closed = false

  /** @param most Requests under way at once; the others wait, since each has a connection of its own. */
  constructor(timeout: number, where: Where, most: number) {
    this.#timeout = timeout
    this.#where = where
    this.#gate = new Gate(most)
  }

  async once<T>(at: ErrorPlace, o: RequestOptions, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    throwIfAborted(o.signal, at)
    if (this.closed) throw new HubError('CLOSED', 'The azure store is closed.', { at })
    const leave = await this.#gate.enter(o.signal)
    const late = new AbortController()
    let timer: NodeJS.Timeout | undefined
    // Raced as well: a sign-in may wait for a program or a service, and look at no signal.
    const over = new Promise<never>((_, reject) => {
      const end = () => {
        late.abort()
        reject(silent(at, this.#where, this.#timeout))
      }
      timer = setTimeout(end, this.#timeout + (1000 * (o.bytes ?? 0)) / SLOWEST)
    })
    try {
      const sent = (signal: AbortSignal | undefined) =>
        send(signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]))
      const sending = o.changes ? settledRequest(o.signal, () => this.#where.host, sent) : sent(o.signal)
      return await Promise.race([sending, over])
    } catch (error) {
      const isLate = late.signal.aborted
      // The SDK keeps the connection of an answer that it refuses itself, such as one without an ETag.
      late.abort()
      throwIfAborted(o.signal, at)
      throw isLate ? silent(at, this.#where, this.#timeout) : hubErrorOf(error, at, this.#where)
    } finally {
      clearTimeout(timer)
      leave()
    }
  }

  /** The same for a request that may be repeated. */
  repeated<T>(at: ErrorPlace, o: RequestOptions, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.retrying(at, o, () => this.once(at, o, send))
  }

  retrying<T>(at: ErrorPlace, o: Call, work: () => Promise<T>): Promise<T> {
    return retrying(work, {
      isTransient,
      attempts: 6,
      withinMs: this.#timeout,
      at,
      ...(o.signal && { signal: o.signal }),
    })
  }
}

export function isTransient(error: unknown): boolean {
  return isHubError(error) && error.retryable
}
