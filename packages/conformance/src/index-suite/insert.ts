import { type Doc, isHubError, parseFilter } from '@tensorhub/core'
import { check, collect, equal, rejects, sameDocs } from '../expect.ts'
import type { IndexTest } from './bench.ts'

const everything = parseFilter({})

export const insertTests: readonly IndexTest[] = [
  [
    'insert: a document comes back as it was given, with _rev 0, through a second driver too',
    async (bench) => {
      const c = bench.coll()
      const doc: Doc = { _id: 'one', z: 1, a: { y: [1, 'x', null], b: true }, time: new Date(1700000000123) }
      await bench.store.insert(c, [doc])
      const again = await bench.again()
      for (const store of [bench.store, again]) {
        const found = await collect(store.find(c, everything))
        sameDocs(found, [{ ...doc, _rev: 0 }], 'the stored document')
        equal(Object.keys(found[0]?.['a'] ?? {}), ['y', 'b'], 'the order of keys inside an object')
      }
    },
  ],
  [
    'insert: the caller can change neither what is stored nor what others read',
    async (bench) => {
      const c = bench.coll()
      const list = [1, 2]
      const time = new Date(5)
      await bench.store.insert(c, [{ _id: 'a', list, time }])
      list.push(3)
      time.setTime(6)
      const read = (await bench.store.top(c, everything)) as Doc & { time: Date }
      read.time.setTime(7)
      try {
        Object.assign(read, { list: 'changed' })
      } catch (error) {
        check(error instanceof TypeError, 'a frozen document refuses with a TypeError')
      }
      sameDocs(
        await collect(bench.store.find(c, everything)),
        [{ _id: 'a', list: [1, 2], time: new Date(5), _rev: 0 }],
        'the document after changes of copies',
      )
    },
  ],
  [
    'insert: an _id that exists is EXISTS, and the old document stays',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', n: 1 }])
      await rejects(() => bench.store.insert(c, [{ _id: 'a', n: 2 }]), 'EXISTS', 'inserting an _id twice')
      sameDocs(
        await collect(bench.store.find(c, everything)),
        [{ _id: 'a', n: 1, _rev: 0 }],
        'the document after the refused insert',
      )
    },
  ],
  [
    'insert: of racers with one _id exactly one wins',
    async (bench) => {
      const c = bench.coll()
      const again = await bench.again()
      const results = await Promise.allSettled(
        Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? bench.store : again).insert(c, [{ _id: 'a', n: i }])),
      )
      equal(
        results.filter((result) => result.status === 'fulfilled').length,
        1,
        'how many inserts of one _id succeeded',
      )
      for (const result of results) {
        if (result.status === 'rejected')
          check(
            isHubError(result.reason, 'EXISTS'),
            `a losing insert rejects with EXISTS, got ${String(result.reason)}`,
          )
      }
    },
  ],
  [
    'insert: several are all or nothing with transactions; else in order up to the failure, whose error tells what was stored',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'm' }])
      const docs = ['a', 'b', 'm', 'z'].map((_id) => ({ _id, fresh: true }))
      const error = await rejects(() => bench.store.insert(c, docs), 'EXISTS', 'a batch with an _id that exists')
      const stored = (await collect(bench.store.find(c, parseFilter({ fresh: true })))).map((doc) => doc._id)
      if ((await bench.can()).transactions) equal(stored, [], 'what a refused batch left')
      else {
        equal(stored, ['a', 'b'], 'what a refused batch left')
        equal(error.stored, ['a', 'b'], 'the stored _ids the error names')
      }
    },
  ],
  [
    'insert: a batch of 1,000 arrives whole; one _id twice in a batch is INVALID and nothing is stored',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(
        c,
        Array.from({ length: 1000 }, (_, i) => ({ _id: `d${i}`, i })),
      )
      equal(await bench.store.count(c, everything), 1000, 'the count after a batch of 1,000')
      const d = bench.coll()
      await rejects(() => bench.store.insert(d, [{ _id: 'a' }, { _id: 'a' }]), 'INVALID', 'one _id twice in a batch')
      equal(await bench.store.count(d, everything), 0, 'the count after a refused batch')
    },
  ],
  [
    'insert: collections are apart, and one nobody wrote to is empty',
    async (bench) => {
      const [c, d] = [bench.coll(), bench.coll()]
      await bench.store.insert(c, [{ _id: 'a' }])
      equal(await bench.store.count(d, everything), 0, 'the count of another collection')
      equal(await collect(bench.store.find(d, everything)), [], 'finding in a collection nobody wrote to')
      equal(await bench.store.update(d, everything, { set: { x: 1 } }), 0, 'updating in it')
      equal(await bench.store.delete(d, everything), 0, 'deleting in it')
      equal(await bench.store.takeOne(d, everything, { set: { x: 1 } }), null, 'taking from it')
    },
  ],
  [
    'ensureIndex: repeated calls are harmless, and answers stay the same',
    async (bench) => {
      const c = bench.coll()
      const docs = [3, 1, 2].map((n) => ({ _id: `d${n}`, n, tags: ['x', `t${n}`] }))
      await bench.store.insert(c, docs)
      for (let i = 0; i < 2; i++) {
        await bench.store.ensureIndex(c, [{ path: ['n'], dir: 1 }])
        await bench.store.ensureIndex(c, [
          { path: ['tags'], dir: 1 },
          { path: ['n'], dir: -1 },
        ])
      }
      const found = await collect(
        bench.store.find(c, parseFilter({ tags: 'x', n: { $gte: 2 } }), { order: [{ path: ['n'], dir: -1 }] }),
      )
      equal(
        found.map((doc) => doc._id),
        ['d3', 'd2'],
        'an indexed query',
      )
      await rejects(() => bench.store.ensureIndex(c, []), 'INVALID', 'an index without keys')
    },
  ],
  [
    'ensureIndex: a unique index admits one of two equals; where it is not supported it is UNSUPPORTED',
    async (bench) => {
      const c = bench.coll()
      const unique = () => bench.store.ensureIndex(c, [{ path: ['key'], dir: 1 }], { unique: true })
      if (!(await bench.can()).uniqueKeys) {
        await rejects(unique, 'UNSUPPORTED', 'a unique index')
        return
      }
      await unique()
      await unique()
      await bench.store.insert(c, [{ _id: 'a', key: 'k' }])
      await rejects(
        () => bench.store.insert(c, [{ _id: 'b', key: 'k' }]),
        'EXISTS',
        'a second document with a unique key',
      )
      await bench.store.insert(c, [{ _id: 'c', key: 'other' }])
      await rejects(
        () => bench.store.update(c, parseFilter({ _id: 'c' }), { set: { key: 'k' } }),
        'EXISTS',
        'an update onto a unique key',
      )
      equal(await bench.store.count(c, parseFilter({ key: 'k' })), 1, 'how many have the unique key')
      const racers = await Promise.allSettled(
        Array.from({ length: 10 }, (_, i) => bench.store.insert(c, [{ _id: `r${i}`, key: 'race' }])),
      )
      equal(racers.filter((racer) => racer.status === 'fulfilled').length, 1, 'how many racers for a unique key won')
    },
  ],
  [
    'collections: a name that is none is INVALID before any I/O',
    async (bench) => {
      for (const name of ['', 'a b', "a'b", 'a.b', '1a', '$a', 'x'.repeat(61)]) {
        await rejects(() => bench.store.insert(name, [{ _id: 'a' }]), 'INVALID', `the collection name '${name}'`)
        await rejects(() => collect(bench.store.find(name, everything)), 'INVALID', `finding in '${name}'`)
      }
    },
  ],
]
