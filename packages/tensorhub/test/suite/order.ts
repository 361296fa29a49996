import { describe, expect, it } from 'vitest'
import type { StorePair } from './store-pair.ts'

/** Time and order: `time` is the store's, records of one process stand in strict order, and "the best by" never finds one without a value. */
export function order(pair: StorePair): void {
  describe('time and order', () => {
    it('time is the store’s, and two hubs of one process never write out of order', async () => {
      const stores = await pair.create()
      const [a, b] = [await stores.connect(), await stores.connect({ projectName: 'tutorial' })]
      const before = await stores.index.now()
      for (let i = 0; i < 200; i++) await (i % 2 === 0 ? a : b).saveTrainingLog({ i })
      const after = await stores.index.now()
      const logs = await a.findTrainingLogs()
      expect(logs.map((log) => log.i)).toEqual(Array.from({ length: 200 }, (_, i) => i))
      const ids = logs.map((log) => log._id)
      expect([...ids].sort()).toEqual(ids)
      for (const { time } of logs) {
        // The estimate of the store's clock may be off by a round trip.
        expect(time.getTime()).toBeGreaterThanOrEqual(before.getTime() - 5_000)
        expect(time.getTime()).toBeLessThanOrEqual(after.getTime() + 5_000)
      }
      const newest = await a.logs.find({}, { sort: [['time', -1]] }).toArray()
      expect(newest.map((log) => log.i)).toEqual(Array.from({ length: 200 }, (_, i) => 199 - i))
    })

    it('records without the sort key, or with null or NaN there, come last in either direction', async () => {
      const hub = await (await pair.create()).connect()
      const odd = [
        {},
        { loss: null },
        { loss: Number.NaN },
        { loss: Number.NEGATIVE_INFINITY },
        { loss: 0.5 },
        { loss: 'high' },
        { loss: 0.2 },
      ]
      const best = async (dir: 1 | -1) => (await hub.models.top({}, { sort: [['loss', dir]] }))?.loss
      for (const tags of odd.slice(0, 3)) await hub.saveModel({}, tags)
      for (const dir of [1, -1] as const) expect(await hub.models.top({}, { sort: [['loss', dir]] })).toBeDefined()
      await hub.saveModel({}, { loss: 'high' })
      expect([await best(1), await best(-1)]).toEqual(['high', 'high'])
      await hub.deleteModel({ loss: 'high' })
      await hub.saveModel({}, { loss: 0.5 })
      expect([await best(1), await best(-1)]).toEqual([0.5, 0.5])
      await hub.saveModel({}, { loss: 0.2 })
      expect([await best(1), await best(-1)]).toEqual([0.2, 0.5])
      await hub.saveModel({}, { loss: Number.NEGATIVE_INFINITY })
      expect([await best(1), await best(-1)]).toEqual([Number.NEGATIVE_INFINITY, 0.5])
      expect(((await hub.findTopModel({ sort: { loss: -1 } })) as { _loss: number })._loss).toBe(0.5)
    })

    it('the same by a dotted path, and by a Date', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel({}, { eval: {} })
      await hub.saveModel({}, { eval: { at: null } })
      await hub.saveModel({}, { eval: { at: new Date(2000) } })
      await hub.saveModel({}, { eval: { at: new Date(1000) } })
      const at = async (dir: 1 | -1) => (await hub.models.top({}, { sort: [['eval.at', dir]] }))?.eval
      expect([await at(1), await at(-1)]).toEqual([{ at: new Date(1000) }, { at: new Date(2000) }])
    })
  })
}
