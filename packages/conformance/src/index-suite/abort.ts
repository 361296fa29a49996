import { parseFilter } from '@tensorhub/core'
import { check, collect, equal, rejects } from '../expect.ts'
import type { IndexTest } from './bench.ts'

const everything = parseFilter({})

export const abortTests: readonly IndexTest[] = [
  [
    'abort: every call rejects with ABORTED when the signal is aborted already, and does nothing',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', n: 1 }])
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      const calls: readonly (readonly [string, () => unknown])[] = [
        ['insert', () => bench.store.insert(c, [{ _id: 'b' }], { signal })],
        ['find', () => collect(bench.store.find(c, everything, { signal }))],
        ['top', () => bench.store.top(c, everything, { signal })],
        ['count', () => bench.store.count(c, everything, { signal })],
        ['update', () => bench.store.update(c, everything, { set: { n: 2 } }, { signal })],
        ['delete', () => bench.store.delete(c, everything, { signal })],
        ['takeOne', () => bench.store.takeOne(c, everything, { set: { n: 2 } }, { signal })],
        ['ensureIndex', () => bench.store.ensureIndex(c, [{ path: ['n'], dir: 1 }], { signal })],
        ['now', () => bench.store.now({ signal })],
        ['watch', () => collect(bench.store.watch(c, everything, { signal }))],
      ]
      for (const [name, call] of calls) {
        const error = await rejects(call, 'ABORTED', `${name} with an aborted signal`)
        check(error.cause === reason, `${name}: the error's cause is the signal's reason`)
      }
      equal(await bench.store.count(c, parseFilter({ n: 1 })), 1, 'the document is unchanged')
      equal(await bench.store.count(c, everything), 1, 'nothing was inserted or deleted')
    },
  ],
  [
    'abort: the driver itself refuses an aborted signal',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', n: 1 }])
      const { driver } = bench.store
      const signal = AbortSignal.abort()
      const order = [{ path: ['_id'], dir: 1 }] as const
      await rejects(() => driver.insert(c, [{ _id: 'b' }], { signal }), 'ABORTED', 'insert')
      await rejects(() => collect(driver.find(c, everything, { signal, order })), 'ABORTED', 'find')
      await rejects(() => driver.count(c, everything, { signal }), 'ABORTED', 'count')
      await rejects(() => driver.update(c, everything, { set: { n: 2 } }, { signal }), 'ABORTED', 'update')
      await rejects(() => driver.takeOne(c, everything, { set: { n: 2 } }, { signal, order }), 'ABORTED', 'takeOne')
      await rejects(() => driver.delete(c, everything, { signal }), 'ABORTED', 'delete')
      equal(await bench.store.count(c, parseFilter({ n: 1 })), 1, 'the document is unchanged')
    },
  ],
  [
    'abort: in the middle of a find ends it, and the store works on',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(
        c,
        Array.from({ length: 500 }, (_, i) => ({ _id: `d${i}` })),
      )
      const stop = new AbortController()
      let seen = 0
      await rejects(
        async () => {
          for await (const _doc of bench.store.find(c, everything, { signal: stop.signal }))
            if (++seen === 5) stop.abort()
        },
        'ABORTED',
        'a find aborted at its fifth document',
      )
      check(seen < 500, 'the find went on to its end')
      equal(await bench.store.count(c, everything), 500, 'the count afterwards')
    },
  ],
  [
    'abort: a write aborted in flight is done whole or not at all',
    async (bench) => {
      const c = bench.coll()
      for (let i = 0; i < 20; i++) {
        const stop = new AbortController()
        const writing = bench.store.insert(c, [{ _id: `a${i}`, big: 'x'.repeat(1000) }], { signal: stop.signal }).then(
          () => 'done',
          (error: unknown) => error,
        )
        if (i % 2 === 0) stop.abort()
        else setImmediate(() => stop.abort())
        const outcome = await writing
        if (outcome !== 'done') await rejects(() => Promise.reject(outcome), 'ABORTED', 'an insert aborted in flight')
      }
      for (const doc of await collect(bench.store.find(c, everything)))
        equal(String(doc['big']).length, 1000, 'a document after an abort')
    },
  ],
]
