import {
  applyChange,
  type Call,
  type Doc,
  encodeDoc,
  HubError,
  type IndexDriver,
  isHubError,
  type Order,
  type Predicate,
  type Value,
} from '@tensorhub/core'
import { type MemoryDocuments, memoryIndex } from '@tensorhub/memory'

/** One planted fault, and the test (or tests) that must catch it. */
export interface IndexFault {
  readonly fault: string
  readonly caughtBy: RegExp
  readonly breakIt: (sound: IndexDriver) => Partial<IndexDriver>
}

type FindOptions = Parameters<IndexDriver['find']>[2]
const BY_ID: Order = [{ path: ['_id'], dir: 1 }]

async function all(items: AsyncIterable<Doc>): Promise<Doc[]> {
  const docs: Doc[] = []
  for await (const doc of items) docs.push(doc)
  return docs
}

/** Replaces what find gives. */
function finding(
  sound: IndexDriver,
  change: (docs: Doc[], o: FindOptions, where: Predicate) => readonly Doc[],
): Partial<IndexDriver> {
  return {
    async *find(coll, where, o) {
      yield* change(await all(sound.find(coll, where, o)), o, where)
    },
  }
}

/** Filters changed before they reach the sound driver. */
function filtering(sound: IndexDriver, change: (where: Predicate) => Predicate): Partial<IndexDriver> {
  return {
    find: (coll, where, o) => sound.find(coll, change(where), o),
    count: (coll, where, o) => sound.count(coll, change(where), o),
    update: (coll, where, by, o) => sound.update(coll, change(where), by, o),
    delete: (coll, where, o) => sound.delete(coll, change(where), o),
    takeOne: (coll, where, by, o) => sound.takeOne(coll, change(where), by, o),
  }
}

function documentsOf(sound: IndexDriver): MemoryDocuments {
  return sound.native?.() as MemoryDocuments
}

function everyNode(where: Predicate, change: (node: Predicate) => Predicate): Predicate {
  if (where.op === 'and' || where.op === 'or' || where.op === 'nor')
    return change({ ...where, of: where.of.map((part) => everyNode(part, change)) })
  if (where.op === 'not' || where.op === 'elemMatch') return change({ ...where, of: everyNode(where.of, change) })
  return change(where)
}

function storing(sound: IndexDriver, change: (value: Value) => Value): Partial<IndexDriver> {
  return {
    insert: (coll, docs, o) =>
      sound.insert(
        coll,
        docs.map((doc) => Object.fromEntries(Object.entries(doc).map(([key, value]) => [key, change(value)])) as Doc),
        o,
      ),
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 1))

/** Reading, then writing: what every driver without an atomic primitive does. */
function notAtomic(sound: IndexDriver): Partial<IndexDriver> {
  return {
    async takeOne(coll, where, change, o) {
      const [first] = await all(sound.find(coll, where, { ...o, limit: 1 }))
      if (first === undefined) return null
      await pause()
      await sound.update(
        coll,
        { op: 'eq', path: ['_id'], value: first._id },
        change,
        o.signal ? { signal: o.signal } : {},
      )
      return applyChange(first, change)
    },
  }
}

export const indexFaults: readonly IndexFault[] = [
  { fault: 'takeOne reads, then writes', caughtBy: /^takeOne: of 50 racers/, breakIt: notAtomic },
  { fault: 'compare-and-set loses increments', caughtBy: /^takeOne: compare-and-set/, breakIt: notAtomic },
  {
    fault: 'takeOne gives the document as it was',
    caughtBy: /^takeOne: takes the first/,
    breakIt: (sound) => ({
      async takeOne(coll, where, change, o) {
        const [first] = await all(sound.find(coll, where, { ...o, limit: 1 }))
        return (await sound.takeOne(coll, where, change, o)) === null ? null : (first ?? null)
      },
    }),
  },
  {
    fault: 'takeOne ignores the order',
    caughtBy: /^takeOne: takes the first/,
    breakIt: (sound) => ({
      takeOne: (coll, where, change, o) => sound.takeOne(coll, where, change, { ...o, order: BY_ID }),
    }),
  },
  {
    fault: 'update reads, then writes',
    caughtBy: /^update: concurrent increments/,
    breakIt: (sound) => ({
      async update(coll, where, change, o) {
        const docs = await all(sound.find(coll, where, { ...o, order: BY_ID }))
        await pause()
        for (const doc of docs) {
          const { _id, ...rest } = applyChange(doc, change)
          await sound.update(coll, { op: 'eq', path: ['_id'], value: _id }, { set: rest }, o)
        }
        return docs.length
      },
    }),
  },
  {
    fault: 'an empty $in matches everything',
    caughtBy: /missing, null and the negations|generated/,
    breakIt: (sound) =>
      filtering(sound, (where) =>
        everyNode(where, (node) => (node.op === 'in' && node.values.length === 0 ? { op: 'everything' } : node)),
      ),
  },
  {
    fault: 'a delete by an empty $in deletes everything',
    caughtBy: /^update, delete: no filter/,
    breakIt: (sound) => ({
      delete: (coll, where, o) =>
        sound.delete(coll, where.op === 'in' && where.values.length === 0 ? { op: 'everything' } : where, o),
    }),
  },
  {
    fault: 'null does not match missing fields',
    caughtBy: /missing, null and the negations|generated/,
    breakIt: (sound) =>
      filtering(sound, (where) =>
        everyNode(where, (node) =>
          node.op === 'eq' && node.value === null
            ? { op: 'and', of: [node, { op: 'exists', path: node.path, value: true }] }
            : node,
        ),
      ),
  },
  {
    fault: '$ne leaves out documents without the field',
    caughtBy: /missing, null and the negations|generated/,
    breakIt: (sound) =>
      filtering(sound, (where) =>
        everyNode(where, (node) =>
          node.op === 'ne' ? { op: 'and', of: [node, { op: 'exists', path: node.path, value: true }] } : node,
        ),
      ),
  },
  {
    fault: '$prefix ignores case and takes marks as wildcards',
    caughtBy: /^find: text operators|generated/,
    breakIt: (sound) =>
      filtering(sound, (where) =>
        everyNode(where, (node) =>
          node.op === 'prefix'
            ? {
                op: 'regex',
                path: node.path,
                pattern: `^${node.value.replace(/[^A-Za-z0-9]/g, '.')}`,
                ignoreCase: true,
              }
            : node,
        ),
      ),
  },
  {
    fault: 'the limit is ignored',
    caughtBy: /^find: limit/,
    breakIt: (sound) => ({ find: (coll, where, { limit: _limit, ...o }) => sound.find(coll, where, o) }),
  },
  {
    fault: 'find stops at 1,000',
    caughtBy: /more documents than any page/,
    breakIt: (sound) => finding(sound, (docs) => docs.slice(0, 1000)),
  },
  {
    fault: 'ties are in the order of storing',
    caughtBy: /^sort: one order/,
    breakIt: (sound) => ({
      find: (coll, where, o) =>
        sound.find(coll, where, { ...o, order: o.order.length > 1 ? o.order.slice(0, -1) : o.order }),
    }),
  },
  {
    fault: 'strings sort by UTF-16 unit',
    caughtBy: /by code point/,
    breakIt: (sound) =>
      finding(sound, (docs, o) =>
        o.order[0]?.path[0] === 'v' ? [...docs].sort((a, b) => (String(a['v']) < String(b['v']) ? -1 : 1)) : docs,
      ),
  },
  {
    fault: 'descending sorts ascend',
    caughtBy: /^sort: arrays/,
    breakIt: (sound) => ({
      find: (coll, where, o) =>
        sound.find(coll, where, { ...o, order: o.order.map((key) => ({ ...key, dir: 1 as const })) }),
    }),
  },
  {
    fault: 'two arrays in one sort are taken',
    caughtBy: /^sort: arrays/,
    breakIt: (sound) => ({
      async *find(coll, where, o) {
        try {
          yield* await all(sound.find(coll, where, o))
        } catch (error) {
          if (!isHubError(error, 'INVALID')) throw error
          yield* sound.find(coll, where, { ...o, order: BY_ID })
        }
      },
    }),
  },
  {
    fault: 'fields are ignored',
    caughtBy: /^find: fields/,
    breakIt: (sound) => ({ find: (coll, where, { fields: _fields, ...o }) => sound.find(coll, where, o) }),
  },
  {
    fault: 'NaN is stored as null',
    caughtBy: /every kind of value comes back/,
    breakIt: (sound) => storing(sound, (value) => (typeof value === 'number' && Number.isNaN(value) ? null : value)),
  },
  {
    fault: 'dates are stored as text',
    caughtBy: /every kind of value comes back/,
    breakIt: (sound) => storing(sound, (value) => (value instanceof Date ? value.toISOString() : value)),
  },
  {
    fault: 'bigints are stored as numbers',
    caughtBy: /every kind of value comes back/,
    breakIt: (sound) => storing(sound, (value) => (typeof value === 'bigint' ? Number(value) : value)),
  },
  {
    fault: 'strings are normalised',
    caughtBy: /odd strings|not normalised/,
    breakIt: (sound) => storing(sound, (value) => (typeof value === 'string' ? value.normalize() : value)),
  },
  {
    fault: 'strings end at NUL',
    caughtBy: /odd strings/,
    breakIt: (sound) =>
      storing(sound, (value) => (typeof value === 'string' ? (value.split('\u0000')[0] ?? '') : value)),
  },
  {
    fault: 'long strings are cut',
    caughtBy: /odd strings|big one/,
    breakIt: (sound) => storing(sound, (value) => (typeof value === 'string' ? value.slice(0, 65536) : value)),
  },
  {
    fault: 'EXISTS is swallowed',
    caughtBy: /an _id that exists/,
    breakIt: (sound) => ({
      async insert(coll, docs, o) {
        try {
          await sound.insert(coll, docs, o)
        } catch (error) {
          if (!isHubError(error, 'EXISTS')) throw error
        }
      },
    }),
  },
  {
    fault: 'insert overwrites',
    caughtBy: /an _id that exists/,
    breakIt: (sound) => ({
      async insert(coll, docs, o) {
        for (const doc of docs) {
          await sound.delete(coll, { op: 'eq', path: ['_id'], value: doc._id }, o)
          await sound.insert(coll, [doc], o)
        }
      },
    }),
  },
  {
    fault: 'a batch is stored in part in spite of transactions',
    caughtBy: /all or nothing/,
    breakIt: (sound) => ({
      async insert(coll, docs, o) {
        for (const doc of docs) await sound.insert(coll, [doc], o)
      },
    }),
  },
  {
    fault: 'update gives 1 whatever it changed',
    caughtBy: /^update: set, unset/,
    breakIt: (sound) => ({ update: async (...args) => Math.min(1, await sound.update(...args)) }),
  },
  {
    fault: 'update counts only documents that became different',
    caughtBy: /leaves the document the same/,
    breakIt: (sound) => ({
      async update(coll, where, change, o) {
        const before = await all(sound.find(coll, where, { ...o, order: BY_ID }))
        const same = before.every((doc) => encodeDoc(applyChange(doc, { ...change, inc: {} })) === encodeDoc(doc))
        return same ? 0 : sound.update(coll, where, change, o)
      },
    }),
  },
  {
    fault: 'inc of a text starts at 0',
    caughtBy: /impossible change/,
    breakIt: (sound) => ({
      async update(coll, where, change, o) {
        try {
          return await sound.update(coll, where, change, o)
        } catch (error) {
          if (!isHubError(error, 'INVALID') || change.inc === undefined) throw error
          return sound.update(coll, where, { set: change.inc }, o)
        }
      },
    }),
  },
  {
    fault: 'a document too large is cut',
    caughtBy: /big one/,
    breakIt: (sound) =>
      storing(sound, (value) =>
        typeof value === 'string' && value.length > 16_000_000 ? value.slice(0, 1000) : value,
      ),
  },
  {
    fault: 'the signal is ignored',
    caughtBy: /the driver itself refuses/,
    breakIt: (sound) => ({ insert: (coll, docs) => sound.insert(coll, docs, {}) }),
  },
  {
    fault: 'foreign errors come through the driver',
    caughtBy: /an _id that exists/,
    breakIt: (sound) => ({
      async insert(coll, docs, o) {
        try {
          await sound.insert(coll, docs, o)
        } catch (cause) {
          throw new Error('duplicate key', { cause })
        }
      },
    }),
  },
  {
    fault: 'errors say the wrong code',
    caughtBy: /an _id that exists/,
    breakIt: (sound) => ({
      async insert(coll, docs, o) {
        try {
          await sound.insert(coll, docs, o)
        } catch (cause) {
          throw new HubError('CONFLICT', 'There is one.', { cause })
        }
      },
    }),
  },
  {
    fault: 'writes are seen only by the driver that made them',
    caughtBy: /second driver too/,
    breakIt: () => {
      const apart = memoryIndex()
      return { insert: (...args) => apart.insert(...args), find: (...args) => apart.find(...args) }
    },
  },
  {
    fault: 'a unique index is not unique',
    caughtBy: /^ensureIndex: a unique/,
    breakIt: () => ({ ensureIndex: async (_coll, _keys, _o: Call) => undefined }),
  },
  {
    fault: 'the clock stands in seconds',
    caughtBy: /^now/,
    breakIt: (sound) => ({ now: async (o) => new Date((await sound.now(o)).getTime() / 1000) }),
  },
  {
    fault: 'count counts everything',
    caughtBy: /generated/,
    breakIt: (sound) => ({ count: (coll, _where, o) => sound.count(coll, { op: 'everything' }, o) }),
  },
  {
    fault: 'watch tells of every document',
    caughtBy: /^watch/,
    breakIt: (sound) => ({
      watch: (coll, _where, o) =>
        sound.watch?.(coll, { op: 'everything' }, o) as ReturnType<NonNullable<IndexDriver['watch']>>,
    }),
  },
  {
    fault: 'arrays match only by index',
    caughtBy: /comparisons never cross types|generated/,
    breakIt: (sound) =>
      finding(sound, (docs, _o, where) =>
        where.op === 'eq' ? docs.filter((doc) => !Array.isArray(doc[where.path[0] ?? ''])) : docs,
      ),
  },
  {
    fault: 'true equals 1',
    caughtBy: /^find: comparisons|generated queries/,
    breakIt: (sound) =>
      filtering(sound, (where) =>
        everyNode(where, (node) =>
          node.op === 'eq' && (node.value === true || node.value === 1)
            ? { op: 'in', path: node.path, values: [true, 1] }
            : node,
        ),
      ),
  },
  {
    fault: 'ranges cross types',
    caughtBy: /^find: comparisons|generated queries/,
    breakIt: (sound) =>
      filtering(sound, (where) =>
        everyNode(where, (node) =>
          node.op === 'gt' && typeof node.value === 'number'
            ? { op: 'or', of: [node, { op: 'type', path: node.path, types: ['string', 'bool'] }] }
            : node,
        ),
      ),
  },
  {
    fault: 'it says that it decides patterns, and lets everything through',
    caughtBy: /^find: text|generated queries/,
    breakIt: (sound) =>
      filtering(sound, (where) => everyNode(where, (node) => (node.op === 'regex' ? { op: 'everything' } : node))),
  },
  {
    fault: 'a superset that leaves out a match',
    caughtBy: /generated queries/,
    breakIt: (sound) => ({
      ...finding(sound, (docs) => docs.slice(0, -1)),
      exact: (_coll, where) => ({ where: where.op === 'everything' || where.op === 'and', order: true }),
    }),
  },
  {
    fault: 'closing loses what was written',
    caughtBy: /^lifecycle: a store that is opened again/,
    breakIt: (sound) => ({
      async close() {
        for (const coll of documentsOf(sound).keys()) await sound.delete(coll, { op: 'everything' }, {})
      },
    }),
  },
]
