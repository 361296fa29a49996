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
import type { OpenStreams } from './open-streams.ts'

/** What a cursor reads, all of it checked. */
export interface CursorQuery {
  readonly op: string
  readonly collection: string
  readonly where: Predicate
  readonly order: Order
  readonly limit?: number
  readonly after?: string
  readonly fields?: readonly Path[]
  readonly signal?: AbortSignal
}

/** The records of one `find`, read as they are needed. Each iteration asks the index anew. Content is never loaded. */
export class RecordCursor<R extends HubRecord> implements AsyncIterable<R> {
  readonly #index: IndexStore
  readonly #streams: OpenStreams
  readonly #query: CursorQuery
  readonly #assertOpen: () => void
  #last: string | undefined

  constructor(index: IndexStore, streams: OpenStreams, query: CursorQuery, assertOpen: () => void) {
    this.#index = index
    this.#streams = streams
    this.#query = query
    this.#assertOpen = assertOpen
  }

  /** Where the last record given stands: pass it as `after`, with the same sort, for the next page. Undefined before the first record. */
  get cursor(): string | undefined {
    return this.#last
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    this.#assertOpen()
    const { op, collection, where, fields, signal, ...rest } = this.#query
    // The sort keys are read beside the wanted fields, because the cursor is made of them.
    const wanted = fields && [...fields, ...rest.order.map((key) => key.path)]
    const found = this.#streams.track(op, signal, (until) =>
      this.#index.find(collection, where, { ...rest, ...(wanted ? { fields: wanted } : {}), signal: until }),
    )
    for await (const doc of found) {
      this.#last = encodeCursor(rest.order, doc)
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
