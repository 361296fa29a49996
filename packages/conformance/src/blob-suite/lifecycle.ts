import { BlobStore } from '@tensorhub/core'
import { check, collect, equal, rejects } from '../expect.ts'
import type { BlobTest } from './bench.ts'
import { bytesOf, sameBytes } from './bytes.ts'

function calls(store: BlobStore, key: string, signal?: AbortSignal): readonly (readonly [string, () => unknown])[] {
  const o = signal ? { signal } : {}
  return [
    ['stat', () => store.stat(key, o)],
    ['read', () => store.read(key, o)],
    ['readInto', () => store.readInto(key, new Uint8Array(1), { ...o, offset: 0 })],
    ['write of bytes', () => store.write(key, 'new', o)],
    ['write of a stream', () => store.write(key, new Blob(['new']).stream(), o)],
    ['delete', () => store.delete([key], o)],
    ['list', () => collect(store.list('', o))],
    ['sweep', () => store.sweep({ ...o, before: new Date(0) })],
  ]
}

export const lifecycleTests: readonly BlobTest[] = [
  [
    'lifecycle: the capabilities are a whole record, and agree with the methods',
    async (bench) => {
      const can = await bench.can()
      for (const name of ['ifAbsent', 'ifVersion', 'meta', 'copy', 'sign'] as const)
        equal(typeof can[name], 'boolean', `can.${name}`)
      for (const name of ['partMin', 'partMax', 'partsMax', 'sizeMax', 'deleteMax'] as const)
        check(can[name] >= 1, `can.${name} is a positive number`)
      check(can.partMin <= can.partMax, 'partMin is at most partMax')
      if (can.copy) check(bench.store.driver.copy !== undefined, 'can.copy without a copy method')
      if (can.sign) check(bench.store.driver.sign !== undefined, 'can.sign without a sign method')
    },
  ],
  [
    'lifecycle: calls made at once on an unopened store all work',
    async (bench) => {
      const store = await bench.fresh()
      await Promise.all(Array.from({ length: 10 }, (_, i) => store.write(`k${i}`, 'x')))
      equal((await bench.keys('', store)).length, 10, 'how many keys')
    },
  ],
  [
    'lifecycle: after close every call is CLOSED; closing twice is fine; opened again everything is there',
    async (bench) => {
      const store = await bench.fresh()
      const bytes = bytesOf(10_000, 3)
      await store.write('k', bytes)
      const next = await bench.again(store)
      await store.close()
      await store.close()
      for (const [name, call] of calls(store, 'k')) await rejects(call, 'CLOSED', `${name} after close`)
      sameBytes(await next.bytes('k'), bytes, 'the content after the first driver was closed')
      await next.close()
      const third = await bench.again(store)
      sameBytes(await third.bytes('k'), bytes, 'the content after both were closed')
      await third.close()
    },
  ],
  [
    'abort: every call rejects with ABORTED when the signal is aborted already, the driver’s own too, and does nothing',
    async (bench) => {
      const key = `${bench.prefix()}k`
      await bench.store.write(key, 'old')
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      for (const [name, call] of calls(bench.store, key, signal)) {
        const error = await rejects(call, 'ABORTED', `${name} with an aborted signal`)
        check(error.cause === reason, `${name}: the error's cause is the signal's reason`)
      }
      const { driver } = bench.store
      await rejects(() => driver.stat(key, { signal }), 'ABORTED', 'stat of the driver')
      await rejects(() => driver.read(key, { signal }), 'ABORTED', 'read of the driver')
      await rejects(() => driver.write(key, new Blob(['new']).stream(), { signal }), 'ABORTED', 'write of the driver')
      await rejects(() => driver.delete([key], { signal }), 'ABORTED', 'delete of the driver')
      equal(new TextDecoder().decode(await bench.store.bytes(key)), 'old', 'the content')
    },
  ],
  [
    'abort: in the middle of a list ends it',
    async (bench) => {
      const p = bench.prefix()
      for (let i = 0; i < 20; i++) await bench.store.write(`${p}${i}`, 'x')
      const stop = new AbortController()
      let seen = 0
      await rejects(
        async () => {
          for await (const _info of bench.store.list(p, { signal: stop.signal })) if (++seen === 3) stop.abort()
        },
        'ABORTED',
        'a list aborted at its third blob',
      )
      equal(seen, 3, 'how many were seen')
    },
  ],
  [
    'sweep: of a store without leftovers frees nothing, and never a blob',
    async (bench) => {
      const p = bench.prefix()
      await bench.store.write(`${p}k`, bytesOf(1000))
      const before = new Date(Date.now() + 3_600_000)
      equal(await bench.store.sweep({ before, dryRun: true }), { count: 0, bytes: 0 }, 'a dry run')
      equal(await bench.store.sweep({ before }), { count: 0, bytes: 0 }, 'a sweep')
      sameBytes(await bench.store.bytes(`${p}k`), bytesOf(1000), 'the content')
    },
  ],
  [
    'lifecycle: a store that cannot be used rejects every call, and never answers with nothing',
    async (bench) => {
      const { unusable } = bench.harness
      if (typeof unusable !== 'function') return check(unusable.why.length > 0, 'unusable says why there is none')
      const driver = await unusable()
      const store = new BlobStore(driver)
      for (const [name, call] of calls(store, 'k')) {
        await rejects(
          call,
          ['UNAVAILABLE', 'DENIED', 'INVALID', 'INTEGRITY', 'UNSUPPORTED', 'NOT_FOUND'],
          `${name} on an unusable store`,
        )
      }
      await store.close()
    },
  ],
]
