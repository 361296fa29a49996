import { parseFilter } from '@tensorhub/core'
import { check, collect, equal, sameDocs } from '../expect.ts'
import type { IndexTest } from './bench.ts'

const everything = parseFilter({})

export const claimTests: readonly IndexTest[] = [
  [
    'takeOne: takes the first in order, gives it as changed, and null when none matches',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'a', n: 2 },
        { _id: 'b', n: 1 },
        { _id: 'c', n: 3 },
      ])
      const order = [{ path: ['n'], dir: -1 }] as const
      const free = parseFilter({ taken: { $exists: false } })
      const taken: unknown[] = []
      for (let i = 0; i < 4; i++) {
        const doc = await bench.store.takeOne(c, free, { set: { taken: true }, inc: { n: 10 } }, { order })
        if (doc !== null)
          sameDocs([doc], [{ _id: doc._id, n: doc['n'] as number, taken: true, _rev: 1 }], 'what takeOne gives')
        taken.push(doc === null ? null : [doc._id, doc['n']])
      }
      equal(taken, [['c', 13], ['a', 12], ['b', 11], null], 'what was taken')
      equal(
        await (await bench.again()).count(c, parseFilter({ taken: true })),
        3,
        'how many a second driver sees taken',
      )
    },
  ],
  [
    'takeOne: of 50 racers over two drivers one wins',
    async (bench) => {
      const c = bench.coll()
      const again = await bench.again()
      for (let round = 0; round < 4; round++) {
        const _id = `task${round}`
        await bench.store.insert(c, [{ _id, status: 'pending' }])
        const racers = Array.from({ length: 50 }, (_, i) =>
          (i % 2 === 0 ? bench.store : again).takeOne(c, parseFilter({ _id, status: 'pending' }), {
            set: { status: 'running', by: i },
          }),
        )
        const winners = (await Promise.all(racers)).filter((doc) => doc !== null)
        equal(winners.length, 1, `how many claimed round ${round}`)
        sameDocs(await collect(bench.store.find(c, parseFilter({ _id }))), winners, 'the stored claim')
      }
    },
  ],
  [
    'takeOne: 50 racers over 30 documents take each once',
    async (bench) => {
      const c = bench.coll()
      const again = await bench.again()
      await bench.store.insert(
        c,
        Array.from({ length: 30 }, (_, i) => ({ _id: `t${String(i).padStart(2, '0')}`, free: true })),
      )
      const taken = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          (i % 2 === 0 ? bench.store : again).takeOne(c, parseFilter({ free: true }), { set: { free: false } }),
        ),
      )
      const got = taken.filter((doc) => doc !== null).map((doc) => doc._id)
      equal(new Set(got).size, got.length, 'how many different ones were taken')
      equal(got.length, 30, 'how many were taken')
    },
  ],
  [
    'takeOne: compare-and-set loses no increment',
    async (bench) => {
      const c = bench.coll()
      const again = await bench.again()
      await bench.store.insert(c, [{ _id: 'counter', n: 0 }])
      const add = async (store: typeof again) => {
        for (let tries = 0; tries < 10_000; tries++) {
          const doc = await store.top(c, everything)
          const n = doc?.['n'] as number
          if ((await store.takeOne(c, parseFilter({ _id: 'counter', n }), { set: { n: n + 1 } })) !== null) return
        }
        check(false, 'compare-and-set never succeeded')
      }
      await Promise.all(Array.from({ length: 40 }, (_, i) => add(i % 2 === 0 ? bench.store : again)))
      equal((await bench.store.top(c, everything))?.['n'], 40, 'the counter')
    },
  ],
  [
    'update: concurrent increments are all counted, and _rev counts the changes',
    async (bench) => {
      const c = bench.coll()
      const again = await bench.again()
      await bench.store.insert(c, [{ _id: 'a', n: 0 }])
      await Promise.all(
        Array.from({ length: 60 }, (_, i) =>
          (i % 2 === 0 ? bench.store : again).update(c, everything, { inc: { n: 1 } }),
        ),
      )
      sameDocs(await collect(bench.store.find(c, everything)), [{ _id: 'a', n: 60, _rev: 60 }], 'the document')
    },
  ],
  [
    'takeOne: filters and orders of every shape decide as find does',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'a', v: [3, 8], s: 'xyz' },
        { _id: 'b', v: 5, s: 'xxyz' },
        { _id: 'c', v: Number.NaN, s: 'zz' },
        { _id: 'd', s: 'xz' },
      ])
      for (const filter of [
        { s: { $regex: '^x+y' } },
        { 'v.0': 3 },
        { v: { $not: { $gt: 6 } } },
        { v: { $elemMatch: { $gt: 4 } } },
      ]) {
        for (const dir of [1, -1] as const) {
          const where = parseFilter(filter)
          const order = [{ path: ['v'], dir }]
          const first = await bench.store.top(c, where, { order })
          const taken = await bench.store.takeOne(c, where, { set: { mark: true } }, { order })
          equal(taken?._id, first?._id, `the document taken by ${JSON.stringify(filter)} ${dir}`)
        }
      }
    },
  ],
]
