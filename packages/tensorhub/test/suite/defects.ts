import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { counting } from './counting-driver.ts'
import { collectAll, keysOf } from './receipts.ts'
import type { StorePair } from './store-pair.ts'
import { LARGE, noise } from './values.ts'

/**
 * Defects of the Python original that must not return, each by its number, on every pair of stores. Elsewhere: B1 to B4 (connecting) in
 * test/connect.test.ts; B5 to B15 (tasks) in test/tasks/defects.test.ts; B17's crashes in test/faults; B24's lost store in test/lost-store.test.ts.
 * Not applicable: B32, since scripts run in processes of their own and TensorFlow.js has no mode of graphs that a hub could switch on around them.
 */
export function defects(pair: StorePair): void {
  describe('defects of the original', () => {
    it('B16: deletes free the blobs', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ collect: false })
      await hub.saveModel({ weights: noise(LARGE, 1) })
      await hub.saveDataset(noise(LARGE, 2), 'x')
      expect(await keysOf(stores)).toHaveLength(2)
      expect(await hub.deleteModel()).toEqual({ documents: 1, blobs: 1, bytes: LARGE })
      expect(await hub.deleteDatasets()).toEqual({ documents: 1, blobs: 1, bytes: LARGE })
      await collectAll(hub)
      expect(await keysOf(stores)).toEqual([])
    })

    it('B17: a save that ends half-way leaves no document, and its blobs can be collected', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ collect: false })
      const stop = new AbortController()
      const value = { a: noise(LARGE, 1), b: noise(LARGE, 2) }
      const onProgress = () => stop.abort()
      await expect(hub.saveModel(value, { signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'ABORTED' })
      expect(await hub.findTopModel()).toBe(false)
      await collectAll(hub)
      expect(await keysOf(stores)).toEqual([])
    })

    it('B18: a found model carries its tags, and can be saved again without them', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel({ w: [1] }, { test_accuracy: 0.9, name: '800-800' })
      const net = (await hub.findTopModel({ sort: [['test_accuracy', -1]] })) as {
        _test_accuracy: number
        _name: string
      }
      expect(`the best accuracy ${net._test_accuracy} is from model ${net._name}`).toBe(
        'the best accuracy 0.9 is from model 800-800',
      )
      await hub.saveModel(net, 'again')
      expect(await hub.findTopModel('again')).toStrictEqual({ w: [1] })
    })

    it('B19: findDatasets gives false when nothing matches', async () => {
      const hub = await (await pair.create()).connect()
      expect(await hub.findDatasets('x')).toBe(false)
      expect(await hub.findDatasets('x', { version: 1 })).toBe(false)
    })

    it('B20: findDatasets has an order, the oldest first', async () => {
      const hub = await (await pair.create()).connect()
      for (let i = 0; i < 20; i++) await hub.saveDataset(i, 'x')
      expect(await hub.findDatasets('x')).toEqual(Array.from({ length: 20 }, (_, i) => i))
    })

    it('B21: a stream is stored while it is still being read, verified on the way back, and read by parts', async () => {
      const hub = await (await pair.create()).connect()
      const pieces = Array.from({ length: 8 }, (_, i) => new Uint8Array(noise(4 * 1024 * 1024, i + 1).buffer))
      let stored = 0
      const storedWhen: number[] = []
      async function* film() {
        for (const piece of pieces) {
          storedWhen.push(stored)
          yield piece
        }
      }
      await hub.saveDataset(film(), 'film', {
        onProgress: ({ bytes }) => {
          stored = bytes
        },
      })
      expect(storedWhen[0]).toBe(0)
      expect(storedWhen[7]).toBeGreaterThan(0)
      const whole = Buffer.concat(pieces)
      let at = 0
      let largest = 0
      for await (const bytes of (await hub.datasets.open('film'))?.stream() ?? []) {
        expect(whole.subarray(at, at + bytes.length).equals(bytes)).toBe(true)
        at += bytes.length
        largest = Math.max(largest, bytes.length)
      }
      expect(at).toBe(whole.length)
      expect(largest).toBeLessThan(whole.length)
    })

    it('B22: the lowest loss is never of a model without one, nor NaN', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel({ n: 1 }, { loss: Number.NaN })
      await hub.saveModel({ n: 2 })
      await hub.saveModel({ n: 3 }, { loss: null })
      await hub.saveModel({ n: 4 }, { loss: 0.5 })
      await hub.saveModel({ n: 5 }, { loss: 0.2 })
      expect(await hub.findTopModel({ sort: [['loss', 1]] })).toEqual({ n: 5 })
      expect(await hub.findTopModel({ sort: [['loss', -1]] })).toEqual({ n: 4 })
    })

    it('B23: values are data; nothing in them is run, in either direction', async () => {
      const hub = await (await pair.create()).connect()
      const trap = { __proto__: null, constructor: 'x', toJSON: 'y', valueOf: 'z' }
      await expect(hub.saveDataset({ toJSON: () => 'run' }, 'x')).rejects.toMatchObject({
        code: 'INVALID',
        path: 'toJSON',
      })
      await hub.saveDataset({ ...trap, code: 'process.exit(1)' }, 'x')
      await hub.saveDataset(JSON.parse('{"__proto__":{"polluted":true}}'), 'y')
      expect(await hub.findTopDataset('x')).toEqual({ ...trap, code: 'process.exit(1)' })
      const found = (await hub.findTopDataset('y')) as Record<string, unknown>
      expect(Object.hasOwn(found, '__proto__')).toBe(true)
      expect(found['polluted']).toBeUndefined()
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    })

    it('B24: not found is false; a lost store, damage and a closed hub are errors of their own', async () => {
      const stores = await pair.create()
      const hub = await stores.connect()
      await hub.saveDataset(noise(LARGE, 1), 'x')
      expect(await hub.findTopDataset('y')).toBe(false)
      for (const key of await keysOf(stores)) await stores.blobs.delete([key])
      await expect(hub.findTopDataset('x')).rejects.toMatchObject({ code: 'INTEGRITY' })
      await hub.close()
      await expect(hub.findTopDataset('x')).rejects.toMatchObject({ code: 'CLOSED' })
    })

    it('B25: reserved tags are refused, not overwritten', async () => {
      const hub = await (await pair.create()).connect()
      for (const name of ['project_name', 'time']) {
        await expect(hub.saveModel({ w: 1 }, { [name]: 'x' }), name).rejects.toMatchObject({
          code: 'INVALID',
          path: name,
        })
        await expect(hub.saveDataset(1, 'x', { [name]: 'x' }), name).rejects.toMatchObject({
          code: 'INVALID',
          path: name,
        })
        await expect(hub.saveTrainingLog({ [name]: 'x' }), name).rejects.toMatchObject({ code: 'INVALID', path: name })
      }
      // The original's params_id, status, script and result are the user's own here.
      const tags = { params_id: 'mine', status: 'ok', script: 'a.py', result: 3 }
      expect(await hub.saveModel({ w: 1 }, tags)).toMatchObject(tags)
    })

    it('B26: a null model name means any', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel({ w: 7 }, 'mlp')
      expect(await hub.findTopModel(null)).toEqual({ w: 7 })
      expect(await hub.findTopModel({ modelName: null })).toEqual({ w: 7 })
      expect(await hub.deleteModel({ modelName: null })).toMatchObject({ documents: 1 })
    })

    it('B27: architectures larger than a document have room, with any key', async () => {
      const hub = await (await pair.create()).connect()
      const architecture = { text: 'x'.repeat(20 * 1024 * 1024), 'a.b': { $set: 1, '': 2 } }
      await hub.saveModel({ architecture })
      expect(await hub.findTopModel()).toEqual({ architecture })
    })

    it('B28: finding one model is one query, and no second one counts the others', async () => {
      const stores = await pair.create()
      const { driver, calls } = counting(stores.index.driver)
      await using hub = await TensorHub.connect({ index: driver, blobs: stores.blobs.driver, projectName: 'tutorial' })
      for (let i = 0; i < 10; i++) await hub.saveModel({ i }, { accuracy: i })
      expect(calls.ensureIndex).toBeGreaterThan(0)
      calls.find = 0
      calls.count = 0
      expect(await hub.findTopModel({ sort: [['accuracy', -1]] })).toEqual({ i: 9 })
      expect([calls.find, calls.count]).toEqual([1, 0])
    })

    it('B29: time is a Date of the store; logs can be read, and tied to what they are of', async () => {
      const hub = await (await pair.create()).connect()
      const { _id, time } = await hub.saveModel({ w: 1 })
      await hub.saveTrainingLog({ model: _id, loss: 1 })
      await hub.saveTrainingLog({ loss: 2 })
      expect(time).toBeInstanceOf(Date)
      const [log] = await hub.findTrainingLogs({ model: _id })
      expect(log?.loss).toBe(1)
      expect(log?.time.getTime()).toBeGreaterThanOrEqual(time.getTime())
      expect(await hub.findTrainingLogs({ time: { $lt: time } })).toEqual([])
    })

    it('B30: the id is no tag of the model: info holds it, and there is no __id', async () => {
      const hub = await (await pair.create()).connect()
      const { _id } = await hub.saveModel({ w: 1 }, { accuracy: 1 })
      const found = (await hub.findTopModel()) as { info: { _id: string } }
      expect(found.info._id).toBe(_id)
      expect(Object.getOwnPropertyNames(found).sort()).toEqual(['_accuracy', 'info', 'w'])
    })

    it('B31: tags can be corrected', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel({ w: 1 }, 'mlp', { accuracy: 0.8, note: 'wrong' })
      const change = { set: { accuracy: 0.9 }, unset: ['note'] }
      expect(await hub.models.update({ model_name: 'mlp' }, change)).toEqual({ documents: 1 })
      expect(await hub.models.top()).toMatchObject({ accuracy: 0.9, model_name: 'mlp' })
      expect(await hub.models.top()).not.toHaveProperty('note')
    })
  })
}
