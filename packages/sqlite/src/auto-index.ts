import type { Order, OrderKey } from '@tensorhub/core'
import { fieldSql } from './expressions.ts'
import type { Usage } from './filter.ts'

/** The third query by a field over so many documents makes an index for it; at most so many a collection (the hub's rule). */
const QUERIES = 3
export const INDEX_FROM = 1000
export const MOST_INDEXES = 32
const DONE = Number.POSITIVE_INFINITY

/** Fields compared for equality that one index holds at most. */
const MOST_EQUAL = 4

/** The field that leads every index of the hub. */
const LEADING = 'project_name'
/** Marks a field whose ties are wanted the other way round; no path can hold it. */
const OPPOSITE = '\u0000'

/** Counts which fields queries use, and says when one, or several that are compared for equality together, deserve an index. */
export class AutoIndex {
  readonly #counts = new Map<string, Map<string, number>>()

  /**
   * A query over more than INDEX_FROM documents that no index served.
   *
   * @param together Every condition must hold, so that one index can serve all; where one of several is enough, each field needs its own.
   */
  used(coll: string, usage: Usage, order: Order, together: boolean): void {
    const equal = [...usage.equal].filter(isIndexable).sort()
    const sort = sortField(order)
    const sorted = sort !== undefined && isIndexable(sort.replace(OPPOSITE, '')) ? sort : undefined
    const leading = usage.equal.has(LEADING) ? `${LEADING}+` : ''
    const ranges = [...usage.range].filter(isIndexable)
    if (together && equal.length > 1) {
      // SQLite seeks in one index. Of several on one field each it takes any: by the name that all models share, it would read them all.
      const fields = equal.slice(0, MOST_EQUAL)
      const last = sorted ?? ranges[0]
      if (last !== undefined && !equal.includes(last.replace(OPPOSITE, ''))) fields.push(last)
      this.#count(coll, leading + fields.join('+'))
      return
    }
    const fields = new Set([...equal, ...ranges])
    if (sorted !== undefined) {
      if (sorted.endsWith(OPPOSITE)) fields.delete(sorted.replace(OPPOSITE, ''))
      fields.add(sorted)
    }
    for (const field of fields) this.#count(coll, leading + field)
  }

  #count(coll: string, key: string): void {
    let counts = this.#counts.get(coll)
    if (counts === undefined) {
      counts = new Map()
      this.#counts.set(coll, counts)
    }
    // Queries by ever new fields must not fill the memory; forgetting only delays an index.
    if (counts.size > 1000) counts.clear()
    const count = counts.get(key) ?? 0
    if (count !== DONE) counts.set(key, count + 1)
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

/** The field that leads an order, marked where ties go the other way. `-accuracy, _id` is served by (accuracy, _id descending) read backwards, and by nothing less. */
function sortField([first, tie]: Order): string | undefined {
  if (first === undefined) return undefined
  const field = first.path.join('.')
  return tie?.path[0] === '_id' && tie.dir !== first.dir ? field + OPPOSITE : field
}

/** Whether an index may be made for a field's sake: one of the user's, that SQL can name. */
function isIndexable(field: string): boolean {
  return field !== LEADING && !field.startsWith('_') && fieldSql(field.split('.')) !== undefined
}

export interface DueIndex {
  readonly key: string
  readonly keys: Order
}
