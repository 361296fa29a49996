import * as core from '@tensorhub/core'
import { guarded, refuse, storeOf } from './store.ts'

const CAN: core.IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: true, uniqueKeys: false, watch: false }

/** Documents in the file, as JSON. A filter by `_id` is a look-up, any other reads its collection; core sorts. */
export function oneFileIndex(file: string): core.IndexDriver {
  const { sql, atomically, ...store } = storeOf(file)
  const put = (how: 'INSERT' | 'REPLACE', coll: string, doc: core.Doc) => {
    const text = core.encodeDoc(doc)
    if (Buffer.byteLength(text) > CAN.maxDocBytes)
      refuse('INVALID', `Document '${doc._id}' has more than ${CAN.maxDocBytes} bytes.`, 'write', coll)
    sql(`${how} INTO docs VALUES (?, ?, ?)`).run(coll, doc._id, text)
    return doc
  }
  /** The matches in order of `_id`, one by one: nothing is held open while the caller works. */
  function* matching(coll: string, where: core.Predicate): Generator<core.Doc, void, undefined> {
    const one = idOf(where)
    const is = one === undefined ? '>' : '='
    const next = sql(`SELECT doc FROM docs WHERE coll = ? AND id ${is} ? ORDER BY id LIMIT 1`)
    for (let row = next.get(coll, one ?? ''); row !== undefined; ) {
      const doc = core.decodeDoc(row['doc'] as string)
      if (core.matches(where, doc)) yield doc
      row = one === undefined ? next.get(coll, doc._id) : undefined
    }
  }
  const each = (coll: string, where: core.Predicate, work: (doc: core.Doc) => void) =>
    atomically(() => [...matching(coll, where)].map(work).length)
  const driver: core.IndexDriver = {
    scheme: 'onefile',
    can: CAN,
    ...store,
    exact: (_, _where, order) => ({ where: true, order: order.every(({ path, dir }) => dir === 1 && isId(path)) }),
    ensureIndex: async () => undefined,
    insert: async (coll, docs) => atomically(() => docs.forEach((doc) => void put('INSERT', coll, doc))),
    async *find(coll, where, { limit: left = Number.MAX_SAFE_INTEGER, fields }) {
      for (const doc of matching(coll, where)) {
        if (left-- <= 0) return
        yield fields ? core.project(doc, fields) : doc
      }
    },
    count: async (coll, where) => [...matching(coll, where)].length,
    update: async (c, where, change) => each(c, where, (doc) => put('REPLACE', c, core.applyChange(doc, change))),
    delete: async (c, where) => each(c, where, (d) => sql('DELETE FROM docs WHERE coll = ? AND id = ?').run(c, d._id)),
    takeOne: async (c, where, change) =>
      atomically(() => {
        const [first] = matching(c, where)
        return first === undefined ? null : put('REPLACE', c, core.applyChange(first, change))
      }),
    now: async () => new Date(),
  }
  return guarded(driver)
}

/** The one `_id` that a filter demands. */
function idOf(where: core.Predicate): string | undefined {
  if (where.op === 'and') return where.of.map(idOf).find((id) => id !== undefined)
  return where.op === 'eq' && isId(where.path) && typeof where.value === 'string' ? where.value : undefined
}

const isId = (path: core.Path) => path.length === 1 && path[0] === '_id'
