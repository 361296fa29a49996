import { checkValue, isHubError, type Value } from '@tensorhub/core'
import { encodeLine } from './child/wire.ts'
import { type Claim, LEASE, type TaskProtocol } from './protocol.ts'

/** The most characters of JSON that a task's progress may have: it travels with every heartbeat. */
const PROGRESS_LIMIT = 64 * 1024
const LONGEST_INTERVAL = 15_000

export interface OwnershipEvents {
  /** The value to carry into the task's `progress`. */
  progress(): unknown
  /** A cancellation was asked for; called once. */
  cancelled(): void
  /** The task belongs to somebody else, or may by now; called once. */
  lost(): void
}

/**
 * The lease of one claimed task: heartbeats while its work runs, in the process that claimed it. Only a definite answer ends the ownership;
 * failures are waited out until the lease may have passed to somebody else (tasks.md §4.3, rules 5 and 6). The fence makes late writes harmless in
 * any case; this is about not working in vain.
 */
export class Ownership {
  readonly #protocol: TaskProtocol
  readonly #claim: Claim
  readonly #events: OwnershipEvents
  readonly #lease: number
  readonly #calls = new AbortController()
  #state: 'owner' | 'cancelled' | 'lost' = 'owner'
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #ended = false
  /** An error that is no answer of any store; whoever ends the ownership learns of it. */
  #defect: unknown
  /** Monotonic time until which the lease surely holds: counted from when the last heartbeat that was answered was sent. */
  #trustedUntil: number

  constructor(protocol: TaskProtocol, claim: Claim, events: OwnershipEvents) {
    this.#protocol = protocol
    this.#claim = claim
    this.#events = events
    this.#lease = claim.doc.lease_ms
    this.#trustedUntil = claim.sent + LEASE - margin(LEASE)
    if (claim.doc.cancel_requested) this.#state = 'cancelled'
  }

  get state(): 'owner' | 'cancelled' | 'lost' {
    return this.#state
  }

  /** Begins the heartbeats. The claim holds the default lease; a task with another gets one at once, before its script starts. */
  async start(): Promise<void> {
    const every = Math.max(50, Math.min(LONGEST_INTERVAL, this.#lease / 4))
    this.#timer = setInterval(() => {
      // Also while a heartbeat hangs on a connection that is half open: an answer that never comes is no answer.
      if (performance.now() > this.#trustedUntil + this.#lease) this.#lose()
      else this.#beat()
    }, every)
    if (this.#lease === LEASE) return
    await this.#beat()
  }

  /** Ends the heartbeats, and waits for one under way. */
  async stop(): Promise<void> {
    this.#ended = true
    clearInterval(this.#timer)
    this.#calls.abort()
    await this.#beating
    if (this.#defect !== undefined) throw this.#defect
  }

  #beat(): Promise<void> {
    this.#beating ??= this.#heartbeat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #heartbeat(): Promise<void> {
    const sent = performance.now()
    try {
      // One that hangs must not keep the next from being tried: the way may be open again.
      const signal = AbortSignal.any([this.#calls.signal, AbortSignal.timeout(Math.ceil(this.#lease / 3))])
      const doc = await this.#protocol.heartbeat(this.#claim, this.#lease, this.#progress(), { signal })
      if (doc === null) {
        this.#lose()
        return
      }
      this.#trustedUntil = sent + this.#lease - margin(this.#lease)
      if (doc.cancel_requested && this.#state === 'owner') {
        this.#state = 'cancelled'
        this.#events.cancelled()
      }
    } catch (error) {
      // No definite answer: the next heartbeat asks again, until the lease may have passed to somebody else.
      if (isHubError(error)) return
      this.#defect = error
      this.#lose()
    }
  }

  #lose(): void {
    if (this.#state === 'lost' || this.#ended) return
    this.#state = 'lost'
    clearInterval(this.#timer)
    this.#calls.abort()
    this.#events.lost()
  }

  /** A progress that cannot be stored must not end the lease. */
  #progress(): Value {
    const value = this.#events.progress() ?? null
    try {
      const checked = checkValue(value, 'progress')
      const size = encodeLine(checked).length
      return size <= PROGRESS_LIMIT
        ? checked
        : `task.progress was given a value of ${size} characters; at most ${PROGRESS_LIMIT} are kept. Save it as a log.`
    } catch (error) {
      return `task.progress was given a value that cannot be stored: ${error instanceof Error ? error.message : String(error)}`
    }
  }
}

function margin(lease: number): number {
  return Math.min(10_000, lease / 6)
}
