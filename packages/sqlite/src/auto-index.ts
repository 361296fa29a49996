import type { Order, OrderKey } from '@tensorhub/core'
import { fieldSql } from './expressions.ts'
import type { Usage } from './filter.ts'

/** The third query by a field over so many documents makes an index for it; at most so many a collection (the hub's rule). */
const QUERIES = 3
export const INDEX_FROM = 1000
export const MOST_INDEXES = 32
const DONE = Number.POSITIVE_INFINITY

/** The field that leads every index of the hub. */
const LEADING = 'project_name'
/** Marks a field whose ties are wanted the other way round; no path can hold it. */
const OPPOSITE = '\u0000'

/** Counts which fields queries use, and says when one deserves an index. */
export class AutoIndex {
  readonly #counts = new Map<string, Map<string, number>>()

  /** A query over more than INDEX_FROM documents that no index served. */
  used(coll: string, usage: Usage, order: Order): void {
    const fields = new Set([...usage.equal, ...usage.range])
    const [first, tie] = order
    if (first !== undefined) {
      const field = first.path.join('.')
      // `-accuracy, _id` is served by (accuracy, _id descending) read backwards, and by nothing less.
      if (tie?.path[0] === '_id' && tie.dir !== first.dir) {
        fields.delete(field)
        fields.add(field + OPPOSITE)
      } else fields.add(field)
    }
    let counts = this.#counts.get(coll)
    if (counts === undefined) {
      counts = new Map()
      this.#counts.set(coll, counts)
    }
    // Queries by ever new fields must not fill the memory; forgetting only delays an index.
    if (counts.size > 1000) counts.clear()
    for (const field of fields) {
      if (
        field === LEADING ||
        field === '_id' ||
        field === `_id${OPPOSITE}` ||
        field === LEADING + OPPOSITE ||
        field.startsWith('_')
      )
        continue
      if (fieldSql(field.replace(OPPOSITE, '').split('.')) === undefined) continue
      const key = `${usage.equal.has(LEADING) ? `${LEADING}+` : ''}${field}`
      const count = counts.get(key) ?? 0
      if (count !== DONE) counts.set(key, count + 1)
    }
  }

  /** The indexes to make now, each once. */
  due(coll: string): DueIndex[] {
    const counts = this.#counts.get(coll)
    const due: DueIndex[] = []
    for (const [key, count] of counts ?? []) {
      if (count < QUERIES || count === DONE) continue
      counts?.set(key, DONE)
      const keys: OrderKey[] = key
        .replace(OPPOSITE, '')
        .split('+')
        .map((field) => ({ path: field.split('.'), dir: 1 }))
      due.push({ key, keys: [...keys, { path: ['_id'], dir: key.endsWith(OPPOSITE) ? -1 : 1 }] })
    }
    return due
  }

  /** An index could not be made: it is due again after as many queries as the first time. */
  failed(coll: string, key: string): void {
    this.#counts.get(coll)?.set(key, 0)
  }
}

export interface DueIndex {
  readonly key: string
  readonly keys: Order
}
