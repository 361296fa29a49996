import { type BlobCan, type BlobDriver, type BlobInfo, BlobStore } from '@tensorhub/core'
import { collect, equal } from '../expect.ts'
import { type BlobHarness, narrowed } from '../harness.ts'

/** One test of the blob suite. */
export type BlobTest = readonly [title: string, body: (bench: BlobBench) => Promise<void>]

/** The store under test, and the means to get more of them. */
export class BlobBench {
  readonly harness: BlobHarness
  readonly #made: { driver: BlobDriver; store: BlobStore; own: boolean }[] = []
  #store: BlobStore | undefined
  #prefixes = 0

  constructor(harness: BlobHarness) {
    this.harness = harness
  }

  get store(): BlobStore {
    if (this.#store === undefined) throw new Error('The suite has not started: beforeAll did not run.')
    return this.#store
  }

  can(): Promise<Readonly<BlobCan>> {
    return this.store.can()
  }

  async start(): Promise<void> {
    this.#store = await this.fresh()
  }

  /** The beginning of keys no other test uses; ends in `/`. */
  prefix(): string {
    return `p${++this.#prefixes}/`
  }

  /** A part as this store uploads them; where any size will do, one above what drivers buffer at a time. */
  async part(): Promise<number> {
    return Math.max((await this.can()).partMin, 1_200_000)
  }

  /** Sizes at the borders between one request and several parts. */
  async sizes(): Promise<number[]> {
    const part = await this.part()
    return [0, 1, part - 1, part, part + 1, 3 * part]
  }

  async fresh(): Promise<BlobStore> {
    const driver = await this.harness.make()
    const store = new BlobStore(narrowed(driver, this.harness.narrow))
    this.#made.push({ driver, store, own: true })
    return store
  }

  /** A second driver on the store under test. */
  async again(of: BlobStore = this.store): Promise<BlobStore> {
    const source = this.#made.find((made) => made.store === of)
    if (source === undefined) throw new Error('That store is not one of this suite.')
    const driver = await this.harness.again(source.driver)
    const store = new BlobStore(narrowed(driver, this.harness.narrow))
    this.#made.push({ driver, store, own: false })
    return store
  }

  keys(prefix: string, store: BlobStore = this.store): Promise<string[]> {
    return collect(store.list(prefix)).then((infos: BlobInfo[]) => infos.map((info) => info.key))
  }

  /** Wants that interrupted writes left nothing: nothing to sweep, and nothing the harness can see. */
  async noLeftovers(what: string): Promise<void> {
    const soon = new Date(Date.now() + 3_600_000)
    equal((await this.store.sweep({ before: soon, dryRun: true })).count, 0, `${what}: leftovers that sweep would free`)
    const driver = this.#made.find((made) => made.store === this.store)?.driver
    if (driver !== undefined && this.harness.leftovers)
      equal(await this.harness.leftovers(driver), 0, `${what}: leftovers in the store`)
  }

  async end(): Promise<void> {
    for (const { store } of this.#made) await store.close()
    for (const { driver, own } of this.#made) if (own) await this.harness.wipe?.(driver)
  }
}
