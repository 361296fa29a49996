import {
  applyChange,
  type Change,
  checkChange,
  checkDoc,
  compareDocs,
  type Doc,
  isHubError,
  matches,
  type Order,
  type Predicate,
} from '@tensorhub/core'

/** What a collection must hold: plain arrays, `matches()` and `compareDocs`. */
export class Model {
  docs: Doc[]

  constructor(docs: readonly Doc[]) {
    this.docs = docs.map((doc) => ({ ...checkDoc(doc), _rev: 0 }))
  }

  /** The matching documents in order; undefined where the order cannot be told (two arrays in one sort). */
  find(where: Predicate, order: Order): Doc[] | undefined {
    const found = this.docs.filter((doc) => matches(where, doc))
    const by = compareDocs(order)
    try {
      // A document that cannot be ordered is told by comparing it with itself.
      for (const doc of found) by(doc, doc)
      return found.sort(by)
    } catch (error) {
      if (isHubError(error, 'INVALID')) return undefined
      throw error
    }
  }

  /** The changed documents; undefined where one of them cannot be changed, and then none is. */
  change(targets: readonly Doc[], change: Change): Doc[] | undefined {
    const checked = checkChange(change)
    const counted = { ...checked, inc: { ...checked.inc, _rev: 1 } }
    try {
      const changed = targets.map((doc) => applyChange(doc, counted))
      const byId = new Map(changed.map((doc) => [doc._id, doc]))
      this.docs = this.docs.map((doc) => byId.get(doc._id) ?? doc)
      return changed
    } catch (error) {
      if (isHubError(error, 'INVALID')) return undefined
      throw error
    }
  }

  delete(where: Predicate): number {
    const before = this.docs.length
    this.docs = this.docs.filter((doc) => !matches(where, doc))
    return before - this.docs.length
  }
}
