import { type Doc, type IndexDriver, matches, type Order, type Predicate } from '../../src/index.ts'

/** A driver over an array that decides as much as a test says, records what core asks of it, and lets a test interfere between steps. */
export function scriptedIndex(
  docs: Doc[],
  decides: { where: boolean; order: boolean } = { where: false, order: false },
) {
  const calls: { op: string; where: Predicate; order?: Order; limit?: number | undefined }[] = []
  const hooks = { beforeTake: async (_where: Predicate) => {}, now: async () => new Date(5) }
  /** What such a driver may still be asked: one document by `_id` and `_rev`. */
  const one = (where: Predicate) =>
    where.op === 'and' && where.of.every((part) => part.op === 'eq' && ['_id', '_rev'].includes(part.path[0] ?? ''))
  const found = (where: Predicate) => docs.filter((doc) => matches(where, doc))
  const driver: IndexDriver = {
    scheme: 'scripted',
    can: { maxDocBytes: 1000, transactions: false, uniqueKeys: false, watch: false },
    exact: (_coll, where) => (one(where) ? { where: true, order: true } : decides),
    async ensureIndex(coll, order) {
      calls.push({ op: `ensureIndex ${coll}`, where: { op: 'everything' }, order })
    },
    async insert(_coll, fresh) {
      calls.push({ op: 'insert', where: { op: 'everything' } })
      docs.push(...fresh)
    },
    async *find(_coll, where, o) {
      calls.push({ op: 'find', where, order: o.order, limit: o.limit })
      // All but the order is let through where the driver does not decide it.
      yield* decides.where || one(where) ? found(where) : [...docs]
    },
    async count(_coll, where) {
      calls.push({ op: 'count', where })
      return found(where).length
    },
    async update(_coll, where, change) {
      calls.push({ op: 'update', where })
      await hooks.beforeTake(where)
      const targets = found(where)
      for (const doc of targets) docs[docs.indexOf(doc)] = changed(doc, change.set ?? {})
      return targets.length
    },
    async takeOne(_coll, where, change, { order }) {
      calls.push({ op: 'takeOne', where, order })
      await hooks.beforeTake(where)
      const [doc] = found(where)
      if (doc === undefined) return null
      const after = changed(doc, change.set ?? {})
      docs[docs.indexOf(doc)] = after
      return after
    },
    async delete(_coll, where) {
      calls.push({ op: 'delete', where })
      await hooks.beforeTake(where)
      const targets = found(where)
      for (const doc of targets) docs.splice(docs.indexOf(doc), 1)
      return targets.length
    },
    now: () => hooks.now(),
  }
  return { driver, calls, hooks, docs }
}

export function changed(doc: Doc, set: Readonly<Record<string, Doc[string]>>): Doc {
  return { ...doc, ...set, _rev: Number(doc['_rev']) + 1 } as Doc
}
