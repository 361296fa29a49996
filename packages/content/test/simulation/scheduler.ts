/** A small seeded generator (mulberry32): the same seed gives the same schedule. */
export function random(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const HOUR = 3_600_000

/** One process of the simulated world. */
export interface Actor {
  readonly name: string
  /** Calls of the stores that wait to be let on, in the order they were made. */
  readonly parked: (() => void)[]
  /** A crashed process is never let on again. */
  crashed: boolean
  done: boolean
  /** The store time it read last, in ms. */
  lastNow: number
}

/**
 * Lets one waiting call on at a time, chosen by the seed. Before and after each effect on a store a process waits here, so that any other process may
 * run, time may jump by up to 60 h, the process may be suspended for a long while, or die.
 */
export class Scheduler {
  /** Store time in ms. */
  now = 1000 * HOUR
  readonly random: () => number
  readonly #actors: Actor[] = []
  readonly #crashes: boolean
  steps = 0

  constructor(seed: number, crashes: boolean) {
    this.random = random(seed)
    this.#crashes = crashes
  }

  pick(n: number): number {
    return Math.floor(this.random() * n)
  }

  start(name: string, life: (actor: Actor) => Promise<void>): void {
    const actor: Actor = { name, parked: [], crashed: false, done: false, lastNow: 0 }
    this.#actors.push(actor)
    life(actor).then(
      () => {
        actor.done = true
      },
      (error: unknown) => {
        actor.done = true
        this.failure ??= error
      },
    )
  }

  /** What a process died of that is no crash of ours. */
  failure: unknown

  /** Whether a call's request or reply gets lost. */
  loses(): boolean {
    return this.#crashes && this.random() < 0.004
  }

  point(actor: Actor): Promise<void> {
    return new Promise((go) => actor.parked.push(go))
  }

  /** Runs until every process has ended or crashed. */
  async run(): Promise<void> {
    let suspended: Actor | undefined
    let left = 0
    for (;;) {
      // Everything that can run without the stores has run when the event loop turns.
      await new Promise((turn) => setImmediate(turn))
      const waiting = this.#actors.filter((actor) => !actor.crashed && !actor.done && actor.parked.length > 0)
      if (waiting.length === 0) return
      this.steps++
      if (this.random() < 0.04) this.now += ([0.1, 1, 2, 13, 25, 60][this.pick(6)] as number) * HOUR
      this.now += 0.01 * HOUR
      if (left === 0 && this.random() < 0.01) {
        suspended = waiting[this.pick(waiting.length)]
        left = 60
      }
      if (left > 0) left--
      const able = left > 0 && waiting.length > 1 ? waiting.filter((actor) => actor !== suspended) : waiting
      const actor = able[this.pick(able.length)] as Actor
      if (this.#crashes && this.random() < 0.002) {
        actor.crashed = true
        continue
      }
      const [go] = actor.parked.splice(this.pick(actor.parked.length), 1)
      go?.()
    }
  }
}
