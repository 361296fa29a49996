import type { Order, OrderKey } from '@tensorhub/core'
import type { Usage } from './filter.ts'

/** The third query by a field over so many documents makes an index for it; at most so many a collection (issue: the hub's rule). */
const QUERIES = 3
const DOCUMENTS = 1000
const MOST = 32

/** Fields whose own indexes the hub makes, or that lead every index. */
const LEADING = 'project_name'

/** Counts which fields queries use, and says when one deserves an index. */
export class AutoIndex {
  readonly #counts = new Map<string, Map<string, number>>()
  readonly #made = new Map<string, number>()

  used(coll: string, usage: Usage, first: OrderKey | undefined): void {
    const fields = new Set([...usage.equal, ...usage.range])
    if (first !== undefined) fields.add(first.path.join('.'))
    let counts = this.#counts.get(coll)
    if (counts === undefined) {
      counts = new Map()
      this.#counts.set(coll, counts)
    }
    for (const field of fields) {
      if (field === LEADING || field === '_id' || field === 'time' || field.startsWith('_')) continue
      const key = `${usage.equal.has(LEADING) ? `${LEADING}+` : ''}${field}`
      const count = counts.get(key) ?? 0
      if (count !== Number.POSITIVE_INFINITY) counts.set(key, count + 1)
    }
  }

  /** The indexes to make now, each once. */
  due(coll: string, rows: (coll: string) => number): Order[] | undefined {
    const counts = this.#counts.get(coll)
    if (counts === undefined) return undefined
    let due: Order[] | undefined
    for (const [key, count] of counts) {
      if (count < QUERIES || count === Number.POSITIVE_INFINITY) continue
      if (rows(coll) <= DOCUMENTS) {
        counts.set(key, QUERIES - 1)
        continue
      }
      counts.set(key, Number.POSITIVE_INFINITY)
      const made = this.#made.get(coll) ?? 0
      if (made >= MOST) continue
      this.#made.set(coll, made + 1)
      const fields = key.split('+')
      due ??= []
      due.push([...fields.map((field) => ({ path: field.split('.'), dir: 1 as const })), { path: ['_id'], dir: 1 }])
    }
    return due
  }
}
