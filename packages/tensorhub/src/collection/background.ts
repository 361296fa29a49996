import type { ContentStore } from '@tensorhub/content'
import { type IndexStore, isHubError, type StoreClock } from '@tensorhub/core'
import { CONTENT_COLLECTIONS } from '../documents/collections.ts'

const DAY = 24 * 60 * 60 * 1000

/**
 * The embedded hub's own collection of unused chunks: at most one pass a day over all processes, begun after a delete (tasks.md §8.3).
 * A failed pass loses nothing: chunks stay until the next one. Nobody waits for it, so its failure is told as a process warning.
 */
export class BackgroundCollection {
  readonly #index: IndexStore
  readonly #content: ContentStore
  readonly #clock: StoreClock
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined

  constructor(index: IndexStore, content: ContentStore, clock: StoreClock) {
    this.#index = index
    this.#content = content
    this.#clock = clock
  }

  /** Begins a pass if none ran for a day; never throws and never waits. */
  afterDelete(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return
    this.#running = this.#pass()
      .catch((error: unknown) => {
        if (isHubError(error, 'ABORTED') || isHubError(error, 'CLOSED')) return
        const why = error instanceof Error ? error.message : String(error)
        process.emitWarning(`Unused chunks were not freed in the background; call hub.gc() to see why. ${why}`, {
          type: 'TensorHubWarning',
          code: 'TENSORHUB_COLLECTION',
        })
      })
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Stops a pass that is under way and waits for its end. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the hub was closed'))
    await this.#running
  }

  async #pass(): Promise<void> {
    const call = { signal: this.#stop.signal }
    if (!(await this.#claimDay(call))) return
    await this.#content.gc({ collections: CONTENT_COLLECTIONS, ...call })
  }

  /** One compare-and-set row decides which process runs today's pass. */
  async #claimDay(call: { signal: AbortSignal }): Promise<boolean> {
    const now = this.#clock.now()
    const due = {
      op: 'and',
      of: [
        { op: 'eq', path: ['_id'], value: 'gc' },
        { op: 'lte', path: ['at'], value: new Date(now.getTime() - DAY) },
      ],
    } as const
    if ((await this.#index.takeOne('_hub', due, { set: { at: now } }, call)) !== null) return true
    try {
      await this.#index.insert('_hub', [{ _id: 'gc', at: now }], call)
      return true
    } catch (error) {
      if (isHubError(error, 'EXISTS')) return false
      throw error
    }
  }
}
