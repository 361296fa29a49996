import { IndexStore, parseFilter } from '@tensorhub/core'
import { check, collect, equal, rejects, sameDocs } from '../expect.ts'
import type { IndexTest } from './bench.ts'

const everything = parseFilter({})

function calls(store: IndexStore, c: string): readonly (readonly [string, () => unknown])[] {
  return [
    ['can', () => store.can()],
    ['open', () => store.open()],
    ['insert', () => store.insert(c, [{ _id: 'x' }])],
    ['find', () => collect(store.find(c, everything))],
    ['top', () => store.top(c, everything)],
    ['count', () => store.count(c, everything)],
    ['update', () => store.update(c, everything, { set: { n: 2 } })],
    ['delete', () => store.delete(c, everything)],
    ['takeOne', () => store.takeOne(c, everything, { set: { n: 2 } })],
    ['ensureIndex', () => store.ensureIndex(c, [{ path: ['n'], dir: 1 }])],
    ['now', () => store.now()],
    ['watch', () => collect(store.watch(c, everything))],
  ]
}

export const lifecycleTests: readonly IndexTest[] = [
  [
    'lifecycle: the capabilities are a whole record, and agree with the methods',
    async (bench) => {
      const can = await bench.can()
      equal(typeof can.maxDocBytes, 'number', 'can.maxDocBytes')
      for (const name of ['transactions', 'uniqueKeys', 'watch'] as const)
        equal(typeof can[name], 'boolean', `can.${name}`)
      check(bench.store.driver.scheme.length > 0, 'the driver has a scheme')
      if (can.watch) check(bench.store.driver.watch !== undefined, 'can.watch without a watch method')
    },
  ],
  [
    'lifecycle: calls made at once on an unopened store all work',
    async (bench) => {
      const store = await bench.fresh()
      const c = bench.coll()
      await Promise.all(Array.from({ length: 10 }, (_, i) => store.insert(c, [{ _id: `d${i}` }])))
      equal(await store.count(c, everything), 10, 'the count')
    },
  ],
  [
    'lifecycle: closing lets running calls finish; afterwards every call is CLOSED; closing twice is fine',
    async (bench) => {
      const store = await bench.fresh()
      const c = bench.coll()
      await store.insert(c, [{ _id: 'a', n: 1 }])
      const running = Array.from({ length: 5 }, (_, i) => store.insert(c, [{ _id: `late${i}` }]))
      const settled = Promise.allSettled(running)
      await store.close()
      const outcomes = await settled
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected')
          await rejects(() => Promise.reject(outcome.reason), 'CLOSED', 'a call beside close')
      }
      await store.close()
      for (const [name, call] of calls(store, c)) await rejects(call, 'CLOSED', `${name} after close`)
    },
  ],
  [
    'lifecycle: a store that is opened again still has everything',
    async (bench) => {
      const store = await bench.fresh()
      const c = bench.coll()
      await store.insert(c, [{ _id: 'a', n: 1 }])
      await store.ensureIndex(c, [{ path: ['n'], dir: 1 }])
      await store.update(c, everything, { inc: { n: 1 } })
      const second = await bench.again(store)
      await store.close()
      sameDocs(
        await collect(second.find(c, parseFilter({ n: 2 }))),
        [{ _id: 'a', n: 2, _rev: 1 }],
        'the document through a second driver',
      )
      await second.close()
      const third = await bench.again(store)
      sameDocs(
        await collect(third.find(c, everything)),
        [{ _id: 'a', n: 2, _rev: 1 }],
        'the document after both were closed',
      )
      equal(await third.delete(c, everything), 1, 'how many were deleted')
      await third.close()
    },
  ],
  [
    'lifecycle: a store that cannot be used rejects every call, and never answers with nothing',
    async (bench) => {
      const { unusable } = bench.harness
      if (typeof unusable !== 'function') return check(unusable.why.length > 0, 'unusable says why there is none')
      const driver = await unusable()
      const store = new IndexStore(driver)
      for (const [name, call] of calls(store, bench.coll())) {
        await rejects(
          call,
          ['UNAVAILABLE', 'DENIED', 'NOT_FOUND', 'INVALID', 'INTEGRITY', 'UNSUPPORTED'],
          `${name} on an unusable store`,
        )
      }
      await store.close()
    },
  ],
]
