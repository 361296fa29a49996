import type { ModelCodec } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import type { Informed } from '../../src/index.ts'
import type { StorePair } from './store-pair.ts'

/** A live model, as a library would have it. */
class Net {
  readonly weights: Float32Array
  constructor(weights: Float32Array) {
    this.weights = weights
  }
  predict(x: number): number {
    return this.weights.reduce((sum, w) => sum + w * x, 0)
  }
}

const codec: ModelCodec = {
  format: 'net',
  accepts: (value) => value instanceof Net,
  save: async (model) => ({ weights: (model as Net).weights }),
  load: async (content) => new Net((content as { weights: Float32Array }).weights),
}

const plain = (fill: number) => ({ architecture: { layers: ['dense'] }, weights: [new Float32Array(8).fill(fill)] })

/** Rows save_model, find_top_model, delete_model of design §7, and the tutorial's older names. */
export function models(pair: StorePair): void {
  describe('model management', () => {
    it('saveModel without a name stores "model"; by name positional, or in the object', async () => {
      const hub = await (await pair.create()).connect()
      expect(await hub.saveModel(plain(1), { accuracy: 0.8 })).toMatchObject({ model_name: 'model', accuracy: 0.8 })
      expect(await hub.saveModel(plain(2))).toMatchObject({ model_name: 'model' })
      expect(await hub.saveModel(plain(3), 'mlp', { accuracy: 0.9 })).toMatchObject({
        model_name: 'mlp',
        accuracy: 0.9,
      })
      expect(await hub.saveModel(plain(4), { modelName: 'cnn', accuracy: 0.7 })).toMatchObject({ model_name: 'cnn' })
      expect(await hub.findTopModel('mlp')).toEqual(plain(3))
      expect(await hub.findTopModel({ modelName: 'cnn' })).toEqual(plain(4))
      expect(await hub.findTopModel('model')).toEqual(plain(2))
      expect(await hub.findTopModel()).toEqual(plain(4))
    })

    it('findTopModel and findModel find by tags, and the model carries its record', async () => {
      const hub = await (await pair.create()).connect()
      const { _id, time } = await hub.saveModel(plain(1), { accuracy: 0.8, loss: 2.3, name: 'second_model' })
      const found = await hub.findModel<ReturnType<typeof plain>>({ accuracy: 0.8, loss: 2.3 })
      if (found === false) throw new Error('not found')
      expect(found).toEqual(plain(1))
      expect([found._accuracy, found._loss, found._name]).toEqual([0.8, 2.3, 'second_model'])
      expect(found.info).toEqual({ _id, time, model_name: 'model', accuracy: 0.8, loss: 2.3, name: 'second_model' })
    })

    it('sorts by time and by metric, and accepts the sess of old', async () => {
      const hub = await (await pair.create()).connect()
      for (const [i, test_accuracy] of [0.7, 0.9, 0.8].entries())
        await hub.saveModel(plain(i), 'mlp', { test_accuracy })
      const accuracyOf = async (sort: [string, 1 | -1][]) =>
        ((await hub.findTopModel({ sort })) as { _test_accuracy: number })._test_accuracy
      expect(await accuracyOf([['time', -1]])).toBe(0.8)
      expect(await accuracyOf([['time', 1]])).toBe(0.7)
      expect(await accuracyOf([['test_accuracy', -1]])).toBe(0.9)
      expect(await accuracyOf([['test_accuracy', 1]])).toBe(0.7)
      expect(await hub.findModel({ sess: {}, test_accuracy: 0.9 })).toEqual(plain(1))
      expect(await hub.findTopModel('other')).toBe(false)
    })

    it('a codec makes the model live again, on every hub that has it', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ codecs: [codec] })
      const record = await hub.saveModel(new Net(new Float32Array([1, 2])), 'net', { accuracy: 0.5 })
      expect(record.content.format).toBe('net')
      const net = await hub.findTopModel<Net>('net')
      if (net === false) throw new Error('not found')
      expect(net).toBeInstanceOf(Net)
      expect([net.predict(2), net._accuracy, net.info.accuracy]).toEqual([6, 0.5, 0.5])
      const without = await stores.connect()
      await expect(without.findTopModel('net')).rejects.toMatchObject({ code: 'UNSUPPORTED', reason: 'CODEC_MISSING' })
      expect(await (await without.models.open('net'))?.content()).toEqual({ weights: new Float32Array([1, 2]) })
    })

    it('plain objects, arrays and typed arrays carry their tags unseen; text and numbers cannot', async () => {
      const hub = await (await pair.create()).connect()
      for (const value of [{ w: [1] }, [1, 2], new Uint8Array([1, 2]), 'text', 7]) {
        await hub.saveModel(value, 'any', { accuracy: 0.5 })
        const found = await hub.findTopModel('any')
        expect(found).toStrictEqual(value)
        if (typeof found !== 'object' || found === null) continue
        expect([(found as Informed)._accuracy, (found as Informed).info.accuracy]).toEqual([0.5, 0.5])
        expect(Object.keys(found)).toEqual(Object.keys(value))
      }
    })

    it('no tag replaces a property that the model has of its own', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel({ info: 'mine', _accuracy: 'mine too' }, { accuracy: 0.5, loss: 1 })
      const found = (await hub.findTopModel()) as { info: string; _accuracy: string; _loss: number }
      expect([found.info, found._accuracy, found._loss]).toEqual(['mine', 'mine too', 1])
    })

    it('deleteModel deletes what matches, and without arguments all of the project', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel(plain(1), { keep: false })
      await hub.saveModel(plain(2), 'named', { keep: true })
      await hub.saveModel(plain(3), 'named', { keep: false })
      expect(await hub.deleteModel({ modelName: 'named', keep: false })).toMatchObject({ documents: 1 })
      expect(await hub.deleteModel('model')).toMatchObject({ documents: 1 })
      expect(await hub.deleteModel()).toMatchObject({ documents: 1 })
      expect(await hub.findTopModel()).toBe(false)
    })
  })
}
