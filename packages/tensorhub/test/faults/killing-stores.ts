import type { BlobDriver, IndexDriver } from '@tensorhub/core'

/** Where a process dies: at its n-th change of a store, counted from {@link KillingStores.arm} over both layers, from 1. */
export interface Kill {
  readonly at: number
  /**
   * `before`: the change is never asked for. `during`: it was asked for, and the process does not wait. `after`: it is done, and its caller never
   * hears of it.
   */
  readonly when: 'before' | 'during' | 'after'
  /**
   * With `during`: ms that the process lives on, so that a request to a server is on its way, or applied and not answered. 0 (the default): it dies before
   * its next step.
   */
  readonly pause?: number
}

export const MOMENTS: readonly Kill['when'][] = ['before', 'during', 'after']

const INDEX_CHANGES = ['insert', 'update', 'takeOne', 'delete']
const BLOB_CHANGES = ['write', 'writeBytes', 'delete', 'copy']

/**
 * Drivers that kill their own process by SIGKILL at a numbered change of a store (F6). Reads are not numbered: to die at a read is to die after the
 * change before it. Both layers share the count, so every change between two acknowledgements is a failpoint, and none needs a word in the product's
 * code.
 */
export class KillingStores {
  readonly #kill: Kill | undefined
  #changes = 0
  #armed = false

  constructor(kill: Kill | undefined) {
    this.#kill = kill
  }

  /** The changes counted so far. */
  get changes(): number {
    return this.#changes
  }

  /** Counting begins: what a test prepares before does not count. */
  arm(): void {
    this.#armed = true
  }

  index(driver: IndexDriver): IndexDriver {
    return this.#wrap(driver, INDEX_CHANGES)
  }

  blobs(driver: BlobDriver): BlobDriver {
    return this.#wrap(driver, BLOB_CHANGES)
  }

  #wrap<D extends object>(driver: D, changes: readonly string[]): D {
    return new Proxy(driver, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        if (!changes.includes(String(name))) return member.bind(target)
        return (...args: unknown[]) => this.#change(() => Reflect.apply(member, target, args) as Promise<unknown>)
      },
    })
  }

  async #change(call: () => Promise<unknown>): Promise<unknown> {
    const here = this.#armed && ++this.#changes === this.#kill?.at ? this.#kill : undefined
    if (here?.when === 'before') die()
    const result = call()
    if (here?.when === 'during') {
      if (!here.pause) die()
      setTimeout(die, here.pause)
    }
    const value = await result
    if (here !== undefined) die()
    return value
  }
}

/** At once: no handler runs, nothing is flushed. */
function die(): void {
  process.kill(process.pid, 'SIGKILL')
  // The signal is delivered before the next step, but not before this one's end everywhere.
  for (;;);
}
