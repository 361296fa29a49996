import type { Call } from '../contracts/driver.ts'
import { HubError } from '../errors/hub-error.ts'

interface Sample {
  /** Store time minus monotonic time, in ms. */
  readonly offset: number
  /** Half the round trip: the bound of the error, in ms. */
  readonly error: number
  readonly at: number
}

/** A sample older than this is replaced even by a less exact one: clocks drift by up to about 100 ppm. */
const MAX_AGE = 60_000

/**
 * An estimate of the store's clock: `offset = store time − monotonic time at half the round trip`, renewed by `sync` (at every heartbeat).
 * Wall clocks of clients never enter a filter. An estimate that is off moves a lease (liveness); it can't touch safety (tasks.md §5.1).
 */
export class StoreClock {
  readonly #source: { now(o: Call): Promise<Date> }
  readonly #monotonic: () => number
  #sample: Sample | undefined
  /** The latest time given: a renewed estimate that lies a little before it must not turn time back. */
  #given = Number.NEGATIVE_INFINITY

  constructor(source: { now(o: Call): Promise<Date> }, options: { monotonic?: () => number } = {}) {
    this.#source = source
    this.#monotonic = options.monotonic ?? (() => performance.now())
  }

  /** Asks the store, and gives its time. */
  async sync(call: Call = {}): Promise<Date> {
    const sent = this.#monotonic()
    const time = (await this.#source.now(call)).getTime()
    const received = this.#monotonic()
    const sample: Sample = { offset: time - (sent + received) / 2, error: (received - sent) / 2, at: received }
    const held = this.#sample
    // A held sample that disagrees by more than both errors (and a ms of grain) was made stale by a step of the store's clock or a suspension.
    const agrees = held !== undefined && Math.abs(held.offset - sample.offset) <= held.error + sample.error + 1
    if (held === undefined || !agrees || sample.error <= held.error || received - held.at > MAX_AGE)
      this.#sample = sample
    // Only where the store's own clock was set back does time follow it back: held there, it would stand still for as long.
    if (!agrees) this.#given = Number.NEGATIVE_INFINITY
    return this.now()
  }

  /** The store's time as estimated now; never before what was given already, unless the store's clock was set back. @throws INVALID before the first `sync`. */
  now(): Date {
    if (this.#sample === undefined)
      throw new HubError('INVALID', "The store's clock has not been read yet; call sync() first.", {
        at: { scheme: 'core', op: 'clock' },
      })
    this.#given = Math.max(this.#given, Math.round(this.#monotonic() + this.#sample.offset))
    return new Date(this.#given)
  }

  /** Milliseconds since the store was last asked; Infinity before the first time. */
  get age(): number {
    return this.#sample === undefined ? Number.POSITIVE_INFINITY : this.#monotonic() - this.#sample.at
  }
}
