import { type BlobDriver, HubError } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import { MIB, noise, openStore } from './store.ts'

/** A driver whose bucket can be taken away. */
function bucketOf(driver: BlobDriver, state: { gone: boolean }): BlobDriver {
  return new Proxy(driver, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (state.gone && ['stat', 'read', 'readInto'].includes(String(name)))
          return Promise.reject(new HubError('NOT_FOUND', 'There is no bucket.', { reason: 'NO_BUCKET' }))
        return Reflect.apply(value, target, args)
      }
    },
  })
}

describe('a bucket that is missing', () => {
  it('is told as such by load and check, and is no missing chunk, since nothing is known of the blobs', async () => {
    const state = { gone: false }
    const store = await openStore(undefined, (driver) => bucketOf(driver, state))
    const { content } = await store.save(noise(MIB, 1))
    state.gone = true
    await expect(store.content.load(content)).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'NO_BUCKET' })
    await expect(store.content.check({ collections: ['things'] })).rejects.toMatchObject({ reason: 'NO_BUCKET' })
    await expect(store.content.check({ collections: ['things'], readData: true })).rejects.toMatchObject({
      reason: 'NO_BUCKET',
    })
    state.gone = false
    expect((await store.content.check({ collections: ['things'], readData: true })).problems).toEqual([])
  })
})
