import {
  type Doc,
  encodeCursor,
  type IndexStore,
  type Order,
  type Path,
  type Predicate,
  project,
} from '@tensorhub/core'
import type { HubRecord } from '../documents/record.ts'

/** The records of one `find`, read as they are needed. Each iteration asks the index anew. Content is never loaded. */
export class RecordCursor<R extends HubRecord> implements AsyncIterable<R> {
  readonly #index: IndexStore
  readonly #coll: string
  readonly #where: Predicate
  readonly #order: Order
  readonly #options: { limit?: number; after?: string; fields?: readonly Path[]; signal?: AbortSignal }
  readonly #assertOpen: () => void
  #last: string | undefined

  constructor(
    index: IndexStore,
    coll: string,
    where: Predicate,
    order: Order,
    options: { limit?: number; after?: string; fields?: readonly Path[]; signal?: AbortSignal },
    assertOpen: () => void,
  ) {
    this.#index = index
    this.#coll = coll
    this.#where = where
    this.#order = order
    this.#options = options
    this.#assertOpen = assertOpen
  }

  /** Where the last record given stands: pass it as `after`, with the same sort, for the next page. Undefined before the first record. */
  get cursor(): string | undefined {
    return this.#last
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    this.#assertOpen()
    const { fields, ...rest } = this.#options
    // The sort keys are read beside the wanted fields, because the cursor is made of them.
    const wanted = fields && [...fields, ...this.#order.map((key) => key.path)]
    const found = this.#index.find(this.#coll, this.#where, {
      ...rest,
      order: this.#order,
      ...(wanted ? { fields: wanted } : {}),
    })
    for await (const doc of found) {
      this.#last = encodeCursor(this.#order, doc)
      yield (fields ? project(doc, fields) : doc) as Doc as R
    }
  }

  /** All records of the cursor in one array. */
  async toArray(): Promise<R[]> {
    const all: R[] = []
    for await (const record of this) all.push(record)
    return all
  }
}
