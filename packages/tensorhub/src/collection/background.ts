import type { ContentStore } from '@tensorhub/content'
import { type IndexStore, isHubError, type StoreClock } from '@tensorhub/core'
import { CONTENT_COLLECTIONS } from '../documents/collections.ts'

const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR
/** How long a hub that is being closed waits for a pass, in ms: most are shorter, and a process that deletes and ends would otherwise never free anything. */
const PATIENCE = 1000

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
  #closed = false

  constructor(index: IndexStore, content: ContentStore, clock: StoreClock) {
    this.#index = index
    this.#content = content
    this.#clock = clock
  }

  /** Begins a pass if none ran for a day; never throws and never waits. */
  afterDelete(): void {
    if (this.#running !== undefined || this.#closed) return
    this.#running = this.#pass()
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted || isHubError(error, 'CLOSED')) return
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

  /** Lets a pass that is under way end soon, or stops it. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#running === undefined) return
    const patience = setTimeout(() => this.#stop.abort(new Error('the hub was closed')), PATIENCE)
    await this.#running
    clearTimeout(patience)
  }

  async #pass(): Promise<void> {
    const call = { signal: this.#stop.signal }
    const now = this.#clock.now()
    if (!(await this.#claimDay(now, call))) return
    try {
      await this.#content.gc({ collections: CONTENT_COLLECTIONS, ...call })
    } catch (error) {
      if (this.#stop.signal.aborted) await this.#giveBack(now)
      throw error
    }
  }

  /** The day is not used up by a pass that was stopped; but an hour is, so that many short processes do not each begin a long one. */
  async #giveBack(claimed: Date): Promise<void> {
    const mine = {
      op: 'and',
      of: [
        { op: 'eq', path: ['_id'], value: 'gc' },
        { op: 'eq', path: ['at'], value: claimed },
      ],
    } as const
    const at = new Date(claimed.getTime() - DAY + HOUR)
    await this.#index.takeOne('_hub', mine, { set: { at } }, { signal: AbortSignal.timeout(PATIENCE) })
  }

  /** One compare-and-set row decides which process runs today's pass. */
  async #claimDay(now: Date, call: { signal: AbortSignal }): Promise<boolean> {
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
