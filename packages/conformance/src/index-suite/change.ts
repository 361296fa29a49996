import { type Change, type Doc, parseFilter } from '@tensorhub/core'
import { collect, equal, rejects, sameDocs } from '../expect.ts'
import type { IndexTest } from './bench.ts'

const everything = parseFilter({})
const byId = (_id: string) => parseFilter({ _id })

export const changeTests: readonly IndexTest[] = [
  [
    'update: set, unset and inc of dotted paths; missing parents are made; _rev rises; the number says how many matched',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'a', n: 1, o: { p: 1, q: 2 }, keep: true },
        { _id: 'b', n: 2 },
        { _id: 'c', other: true },
      ])
      const change: Change = {
        set: { 'o.p': 'new', 'deep.er.est': [1] },
        unset: ['o.q', 'absent.x', 'gone'],
        inc: { n: 5, 'o.count': 2 },
      }
      equal(await bench.store.update(c, parseFilter({ n: { $gte: 1 } }), change), 2, 'how many were changed')
      sameDocs(
        await collect((await bench.again()).find(c, everything)),
        [
          { _id: 'a', n: 6, o: { p: 'new', count: 2 }, keep: true, deep: { er: { est: [1] } }, _rev: 1 },
          { _id: 'b', n: 7, o: { p: 'new', count: 2 }, deep: { er: { est: [1] } }, _rev: 1 },
          { _id: 'c', other: true, _rev: 0 },
        ],
        'the documents',
      )
      equal(
        await bench.store.update(c, parseFilter({ n: 100 }), { set: { n: 0 } }),
        0,
        'an update that matches nothing',
      )
    },
  ],
  [
    'update: a change that leaves the document the same still counts and raises _rev',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', n: 1 }])
      equal(await bench.store.update(c, byId('a'), { set: { n: 1 } }), 1, 'how many matched')
      equal((await bench.store.top(c, byId('a')))?.['_rev'], 1, '_rev')
    },
  ],
  [
    'update: every kind of number is incremented; a missing field counts as 0',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', i: 1, f: 0.5, big: 9007199254740993n, nan: Number.NaN }])
      await bench.store.update(c, byId('a'), { inc: { i: 2, f: 0.25, big: 2, nan: 1, fresh: -3 } })
      sameDocs(
        await collect(bench.store.find(c, everything)),
        [{ _id: 'a', i: 3, f: 0.75, big: 9007199254740995n, nan: Number.NaN, fresh: -3, _rev: 1 }],
        'the document',
      )
    },
  ],
  [
    'update: an impossible change is INVALID and changes nothing, in takeOne too',
    async (bench) => {
      const c = bench.coll()
      const doc: Doc = { _id: 'a', s: '1', list: [{ x: 1 }], nothing: null, n: 1, date: new Date(5) }
      await bench.store.insert(c, [doc])
      const bad: Change[] = [
        { inc: { s: 1 } },
        { inc: { nothing: 1 } },
        { inc: { list: 1 } },
        { inc: { date: 1 } },
        { set: { fine: 1, 's.x': 1 } },
        { set: { 'list.x': 1 } },
        { set: { 'nothing.x': 1 } },
        { set: { fine: 1 }, inc: { 'n.deep': 1 } },
        { set: { n: 1 }, inc: { n: 1 } },
        { set: { n: 1 }, unset: ['n'] },
        { set: { 'o.p': 1, o: {} } },
        { set: { _id: 'b' } },
        { set: { _rev: 7 } },
        { inc: { _rev: 7 } },
        { unset: ['_rev'] },
        { set: { '_rev.x': 7 } },
        { set: { 'list.0': 1 } },
        { set: { $x: 1 } },
        { set: { 'a..b': 1 } },
        { set: { '': 1 } },
        { set: { ['__proto__.x']: 1 } },
        { inc: { n: Number.POSITIVE_INFINITY } },
        {},
      ]
      for (const change of bad) {
        const what = JSON.stringify(change)
        await rejects(() => bench.store.update(c, everything, change), 'INVALID', `update by ${what}`)
        await rejects(() => bench.store.takeOne(c, everything, change), 'INVALID', `takeOne by ${what}`)
      }
      sameDocs(await collect(bench.store.find(c, everything)), [{ ...doc, _rev: 0 }], 'the document afterwards')
    },
  ],
  [
    'update: where one of several documents cannot be changed, each is as before or as after, and with transactions as before',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'a', n: 1 },
        { _id: 'b', n: 'text' },
        { _id: 'c', n: 3 },
      ])
      await rejects(
        () => bench.store.update(c, everything, { inc: { n: 1 } }),
        'INVALID',
        'an increment of a text among numbers',
      )
      const after = await collect(bench.store.find(c, everything))
      const values = after.map((doc) => doc['n'])
      if ((await bench.can()).transactions) equal(values, [1, 'text', 3], 'the values')
      else {
        equal(values[1], 'text', 'the text')
        for (const [i, old] of [
          [0, 1],
          [2, 3],
        ] as const)
          equal(values[i] === old || values[i] === old + 1, true, `value ${i} is old or new`)
      }
    },
  ],
  [
    'update: an update sees each document once, even when the change makes it match again',
    async (bench) => {
      const c = bench.coll()
      await bench.store.ensureIndex(c, [{ path: ['n'], dir: 1 }])
      await bench.store.insert(
        c,
        Array.from({ length: 300 }, (_, i) => ({ _id: `d${i}`, n: i })),
      )
      equal(
        await bench.store.update(c, parseFilter({ n: { $gte: 0 } }), { inc: { n: 1000 } }),
        300,
        'how many were changed',
      )
      equal(await bench.store.count(c, parseFilter({ n: { $gte: 2000 } })), 0, 'how many were changed twice')
    },
  ],
  [
    'delete: gives how many; what does not match stays; a deleted _id may be inserted again',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(
        c,
        Array.from({ length: 10 }, (_, i) => ({ _id: `d${i}`, n: i, s: 'x' })),
      )
      equal(
        await bench.store.delete(c, parseFilter({ n: { $lt: 4 }, s: { $regex: '^x$' } })),
        4,
        'how many were deleted',
      )
      equal(await bench.store.delete(c, parseFilter({ n: { $lt: 4 } })), 0, 'how many were deleted the second time')
      equal(await bench.store.count(c, everything), 6, 'how many stay')
      await bench.store.insert(c, [{ _id: 'd0', n: 100 }])
      equal(await (await bench.again()).count(c, everything), 7, 'how many after one came back')
      equal(await bench.store.delete(c, everything), 7, 'how many a delete of everything deletes')
    },
  ],
  [
    'update, delete: no filter at all is never taken as everything',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a' }])
      await rejects(
        async () => bench.store.delete(c, parseFilter({ x: undefined })),
        'INVALID',
        'deleting by undefined',
      )
      await rejects(
        async () => bench.store.delete(c, parseFilter({ x: { $unknown: 1 } })),
        'INVALID',
        'deleting by an unknown operator',
      )
      equal(await bench.store.delete(c, parseFilter({ x: { $in: [] } })), 0, 'deleting by an empty $in')
      equal(await bench.store.count(c, everything), 1, 'how many stay')
    },
  ],
]
