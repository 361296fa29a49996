import { monotonicFactory } from 'ulid'

/** What a new document is named and dated with. */
export interface Stamp {
  readonly _id: string
  readonly time: Date
}

/**
 * Names and dates of the documents that this process writes into one store: `time` is the store's and never runs backwards, `_id` is a ULID of that
 * time, larger than every one before. So `(time, _id)` orders a process's documents strictly.
 */
export class Stamps {
  readonly #ulid = monotonicFactory(random)
  #last = 0

  next(now: Date): Stamp {
    // The estimate of the store's time may step back when it is renewed; order within this process must not.
    this.#last = Math.max(this.#last, now.getTime())
    return { _id: this.#ulid(this.#last), time: new Date(this.#last) }
  }
}

const drawn = new Uint8Array(1024)
let used = drawn.length

/** A number from 0 to below 1, of a byte of the system's randomness: what ulid draws by itself one byte a call, which takes longer than all the rest. */
function random(): number {
  if (used === drawn.length) {
    crypto.getRandomValues(drawn)
    used = 0
  }
  return (drawn[used++] as number) / 256
}

const byName = new Map<string, Stamps>()
const byDriver = new WeakMap<object, Stamps>()

/** The stamps of a store: hubs of one process on the same store share them. A store is known by its folder or URL, or by its driver's
 * native handle; two handles on one store are not seen to be one. */
export function stampsOf(store: string | object): Stamps {
  const known = typeof store === 'string' ? byName.get(store) : byDriver.get(store)
  if (known !== undefined) return known
  const stamps = new Stamps()
  if (typeof store === 'string') byName.set(store, stamps)
  else byDriver.set(store, stamps)
  return stamps
}
