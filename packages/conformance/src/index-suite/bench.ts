import { type IndexCan, type IndexDriver, IndexStore } from '@tensorhub/core'
import { type IndexHarness, narrowed } from '../harness.ts'

/** One test of the index suite. */
export type IndexTest = readonly [title: string, body: (bench: IndexBench) => Promise<void>]

/** The store under test, and the means to get more of them. */
export class IndexBench {
  readonly #harness: IndexHarness
  readonly #made: { driver: IndexDriver; store: IndexStore; own: boolean }[] = []
  #store: IndexStore | undefined
  #collections = 0

  constructor(harness: IndexHarness) {
    this.#harness = harness
  }

  get store(): IndexStore {
    if (this.#store === undefined) throw new Error('The suite has not started: beforeAll did not run.')
    return this.#store
  }

  get harness(): IndexHarness {
    return this.#harness
  }

  can(): Promise<Readonly<IndexCan>> {
    return this.store.can()
  }

  async start(): Promise<void> {
    this.#store = await this.fresh()
  }

  /** A name no other test uses. */
  coll(): string {
    return `c${++this.#collections}`
  }

  /** A store of its own, for tests that close or break it. */
  async fresh(): Promise<IndexStore> {
    const driver = await this.#harness.make()
    const store = new IndexStore(narrowed(driver, this.#harness.narrow))
    this.#made.push({ driver, store, own: true })
    return store
  }

  /** A second driver on the store under test. */
  async again(of: IndexStore = this.store): Promise<IndexStore> {
    const source = this.#made.find((made) => made.store === of)
    if (source === undefined) throw new Error('That store is not one of this suite.')
    const driver = await this.#harness.again(source.driver)
    const store = new IndexStore(narrowed(driver, this.#harness.narrow))
    this.#made.push({ driver, store, own: false })
    return store
  }

  async end(): Promise<void> {
    for (const { store } of this.#made) await store.close()
    for (const { driver, own } of this.#made) if (own) await this.#harness.wipe?.(driver)
  }
}
