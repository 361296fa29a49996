import { type BlobDriver, HubError } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import { MIB, noise, openStore } from './store.ts'

type WriteBytes = NonNullable<BlobDriver['writeBytes']>

/** The driver with another `writeBytes`, which is given the real one. */
function writingBy(by: (write: WriteBytes, ...args: Parameters<WriteBytes>) => ReturnType<WriteBytes>) {
  return (driver: BlobDriver): BlobDriver =>
    new Proxy(driver, {
      get(target, name) {
        const own: unknown = Reflect.get(target, name, target)
        if (name === 'writeBytes')
          return (...args: Parameters<WriteBytes>) => by((own as WriteBytes).bind(target), ...args)
        return typeof own === 'function' ? own.bind(target) : own
      },
    })
}

describe('memory that the caller changes while it is saved', () => {
  for (const [kind, make] of [
    ['raw', () => noise(MIB, 1)],
    ['zstd', () => new Float32Array(MIB / 4)],
    ['hashed on threads', () => noise(80 * MIB, 1)],
  ] as const) {
    it(`${kind}: refused; a later save of the right bytes is not given the wrong ones`, async () => {
      const weights = make()
      let change = true
      const store = await openStore(
        undefined,
        writingBy((write, ...args) => {
          // An optimizer that goes on training in place, between the hashing and the writing; the first bytes are surely hashed by now.
          if (change) weights[0] = 42
          change = false
          return write(...args)
        }),
      )
      await expect(store.save({ weights })).rejects.toMatchObject({ code: 'INVALID', reason: 'VALUE_CHANGED' })
      expect(await store.index.count('things', { op: 'everything' })).toBe(0)
      const right = make()
      const doc = await store.save({ weights: right })
      const loaded = (await store.content.load(doc.content)) as { weights: Float32Array }
      expect(Buffer.compare(Buffer.from(loaded.weights.buffer), Buffer.from(right.buffer))).toBe(0)
    })
  }
})

it('of several uploads that fail, the error of the first is told, not the abort of those it stopped', async () => {
  let calls = 0
  const store = await openStore(
    undefined,
    writingBy((_write, key, _bytes, { signal }) => {
      if (calls++ > 0)
        return Promise.reject(
          new HubError('STORAGE_FULL', 'no room', { at: { scheme: 'fs', op: 'write', target: key } }),
        )
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }),
  )
  await expect(store.save({ a: noise(16 * MIB, 1), b: noise(16 * MIB, 2) })).rejects.toMatchObject({
    code: 'STORAGE_FULL',
  })
})
