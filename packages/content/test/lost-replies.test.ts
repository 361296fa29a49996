import { HubError, type IndexDriver } from '@tensorhub/core'
import { expect, it } from 'vitest'
import { MIB, noise, openStore } from './store.ts'

/** An index that loses the reply of an update of the chunks' rows, after it was applied, `times` times. */
function losing(driver: IndexDriver, times: number, lost: () => void): IndexDriver {
  let left = times
  return new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name !== 'update') return member.bind(target)
      return async (...args: Parameters<IndexDriver['update']>) => {
        const changed = await target.update(...args)
        if (args[0] !== '_chunks' || left-- <= 0) return changed
        lost()
        throw new HubError('UNKNOWN', 'The reply was lost.', {
          at: { scheme: 'losing', op: 'update' },
          reason: 'REPLY_LOST',
        })
      }
    },
  })
}

it('a pin and a confirmation whose replies are lost are made again: the save succeeds', async () => {
  let lost = 0
  const store = await openStore(undefined, undefined, (driver) => losing(driver, 3, () => lost++))
  const doc = await store.save({ a: noise(MIB, 1) })
  await store.save({ a: noise(MIB, 1), b: noise(MIB, 2) })
  expect(lost).toBe(3)
  expect(await store.content.load(doc.content)).toStrictEqual({ a: noise(MIB, 1) })
  expect((await store.content.check({ collections: ['things'], readData: true })).problems).toEqual([])
})

it('replies that are lost again and again end the save, typed', async () => {
  const store = await openStore(undefined, undefined, (driver) => losing(driver, 1000, () => undefined))
  await expect(store.save({ a: noise(MIB, 1) })).rejects.toMatchObject({ code: 'UNKNOWN', reason: 'REPLY_LOST' })
  expect(await store.index.count('things', { op: 'everything' })).toBe(0)
})
