import type { Call, Driver } from './driver.ts'
import type { Change, Order, Predicate } from './predicate.ts'
import type { Doc, Path } from './value.ts'

export interface IndexCan {
  /** The largest document in bytes of its JSON form. */
  readonly maxDocBytes: number
  /** Whether `insert` of several documents is all-or-nothing. */
  readonly transactions: boolean
  /** Whether `ensureIndex` takes `unique`. */
  readonly uniqueKeys: boolean
  /** Whether `watch` exists. */
  readonly watch: boolean
}

/** One change seen by `watch`. */
export interface IndexEvent {
  readonly _id: string
  readonly op: 'insert' | 'update' | 'delete'
}

/**
 * The index layer's narrow driver. Core validates every argument first: paths, predicates and documents are well-formed, orders
 * end in `_id`, and calls come only after `open` and before `close`.
 */
export interface IndexDriver extends Driver<IndexCan> {
  /** Makes an index that serves equality and order on `keys`; a repeated call is harmless. Collections need no creation. */
  ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean }): Promise<void>
  /**
   * Stores new documents; one that exists: EXISTS. A single document is atomic. Several are all-or-nothing where `can.transactions`;
   * otherwise in order up to the first failure, whose error carries the stored `_id`s in `stored`.
   */
  insert(coll: string, docs: readonly Doc[], o: Call): Promise<void>
  /** All matching documents in `order`, whole or reduced to `fields` (always with `_id`). */
  find(
    coll: string,
    where: Predicate,
    o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
  ): AsyncIterable<Doc>
  count(coll: string, where: Predicate, o: Call): Promise<number>
  /** Changes every matching document, each atomically; gives how many matched. */
  update(coll: string, where: Predicate, change: Change, o: Call): Promise<number>
  /** Atomic: the first match in `order` is changed and given back *as changed*; null when none matches. Compare-and-set is a filter. */
  takeOne(coll: string, where: Predicate, change: Change, o: Call & { order: Order }): Promise<Doc | null>
  /** Deletes every matching document, each atomically; gives how many. */
  delete(coll: string, where: Predicate, o: Call): Promise<number>
  /** Events of matching documents from now on, until the signal aborts or the consumer returns. Present iff `can.watch`. */
  watch?(coll: string, where: Predicate, o: Call): AsyncIterable<IndexEvent>
  /** The store's clock, for leases. */
  now(o: Call): Promise<Date>
  /**
   * What the driver decides itself for this filter and order; absent = always everything. Where `where` is false its `find` gives a
   * superset and core post-filters with `matches()`; where `order` is false its `find` gives any order and core sorts. Core calls
   * `count`, `update`, `takeOne` and `delete` only with what is exact, and does the others over candidates by `_id` and `_rev`.
   */
  exact?(coll: string, where: Predicate, order: Order): { where: boolean; order: boolean }
}
