import { describe, expect, it } from 'vitest'
import { temporaryHub } from './temporary-hub.ts'

/** The original document, method by method (reference: tl.db.TensorHub). */
describe('dataset management', () => {
  it('saves under a name with tags and finds the value itself', async () => {
    const hub = await temporaryHub()
    const mnist = [
      new Float32Array([1, 2, 3]),
      new Uint8Array([4, 5]),
      [
        [1, 2],
        [3, 4],
      ],
      'x',
    ]
    const record = await hub.saveDataset(mnist, 'mnist', { description: 'this is a tutorial' })
    expect(record).toMatchObject({ dataset_name: 'mnist', description: 'this is a tutorial', project_name: 'tutorial' })
    expect(record._id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
    expect(record.time).toBeInstanceOf(Date)
    expect(await hub.findTopDataset('mnist')).toEqual(mnist)
    expect(await hub.findDataset('mnist')).toEqual(mnist)
  })

  it('finds by tag, newest first, and gives false when nothing matches', async () => {
    const hub = await temporaryHub()
    await hub.saveDataset('one', 'mnist', { version: '1.0' })
    await hub.saveDataset('two', { datasetName: 'mnist', version: '1.1' })
    expect(await hub.findTopDataset('mnist')).toBe('two')
    expect(await hub.findTopDataset('mnist', { version: '1.0' })).toBe('one')
    expect(await hub.findTopDataset({ datasetName: 'mnist', version: '1.0' })).toBe('one')
    expect(await hub.findTopDataset('mnist', { sort: [['time', 1]] })).toBe('one')
    expect(await hub.findTopDataset(null, { version: '1.1' })).toBe('two')
    expect(await hub.findTopDataset('absent')).toBe(false)
  })

  it('finds all, oldest first, or false', async () => {
    const hub = await temporaryHub()
    for (const part of ['a', 'b', 'c']) await hub.saveDataset(part, 'shards', { part })
    expect(await hub.findDatasets('shards')).toEqual(['a', 'b', 'c'])
    expect(await hub.findAllDatasets('shards', { sort: { part: -1 } })).toEqual(['c', 'b', 'a'])
    expect(await hub.findDatasets('none')).toBe(false)
  })

  it('deletes what matches, and without arguments all of the project', async () => {
    const hub = await temporaryHub()
    await hub.saveDataset(new Float32Array(100_000), 'big', { version: 1 })
    await hub.saveDataset('small', 'small')
    const receipt = await hub.deleteDatasets({ datasetName: 'big' })
    expect(receipt).toMatchObject({ documents: 1, blobs: 1 })
    expect(receipt.bytes).toBeGreaterThan(0)
    expect(await hub.findDatasets('big')).toBe(false)
    expect(await hub.deleteDatasets()).toMatchObject({ documents: 1, blobs: 0 })
    expect(await hub.datasets.count()).toBe(0)
  })
})

describe('model management', () => {
  const net = (fill: number) => ({ architecture: { layers: ['dense'] }, weights: [new Float32Array(8).fill(fill)] })

  it('saves a model with tags and finds it by them, live, with its record', async () => {
    const hub = await temporaryHub()
    await hub.saveModel(net(1), { accuracy: 0.8, loss: 2.3, name: 'second_model' })
    const found = (await hub.findModel({ accuracy: 0.8, loss: 2.3 })) as {
      _accuracy: number
      _name: string
      info: Record<string, unknown>
    }
    expect(found).toEqual(net(1))
    expect(found._accuracy).toBe(0.8)
    expect(found._name).toBe('second_model')
    expect(found.info).toMatchObject({ accuracy: 0.8, loss: 2.3, model_name: 'model' })
  })

  it('sorts by time and by metric', async () => {
    const hub = await temporaryHub()
    for (const [i, accuracy] of [0.7, 0.9, 0.8].entries())
      await hub.saveModel(net(i), 'mlp', { test_accuracy: accuracy })
    const accuracyOf = async (sort: [string, 1 | -1][]) =>
      ((await hub.findTopModel({ sort })) as { _test_accuracy: number })._test_accuracy
    expect(await accuracyOf([['time', -1]])).toBe(0.8)
    expect(await accuracyOf([['time', 1]])).toBe(0.7)
    expect(await accuracyOf([['test_accuracy', -1]])).toBe(0.9)
    expect(await accuracyOf([['test_accuracy', 1]])).toBe(0.7)
    expect(await hub.findTopModel('other')).toBe(false)
    expect(await hub.findTopModel({ sess: null, sort: [['time', -1]] })).toMatchObject({
      architecture: { layers: ['dense'] },
    })
  })

  it('deletes all models of the project, or what matches', async () => {
    const hub = await temporaryHub()
    await hub.saveModel(net(1), { keep: false })
    await hub.saveModel(net(2), { keep: true })
    expect(await hub.deleteModel({ keep: false })).toMatchObject({ documents: 1 })
    expect(await hub.deleteModel()).toMatchObject({ documents: 1 })
    expect(await hub.findTopModel()).toBe(false)
  })

  it('keeps opaque bytes', async () => {
    const hub = await temporaryHub()
    const onnx = new Uint8Array(20_000).map((_, i) => i % 251)
    await hub.saveModel(onnx, 'onnx')
    expect(await hub.findTopModel('onnx')).toEqual(onnx)
  })
})

describe('event and logging management', () => {
  it('saves, finds and deletes the three kinds apart', async () => {
    const hub = await temporaryHub()
    await hub.saveTrainingLog({ accuracy: 0.33 })
    await hub.saveTrainingLog({ accuracy: 0.44, loss: Number.NaN })
    await hub.saveValidationLog({ accuracy: 0.33 })
    await hub.saveTestingLog({ accuracy: 0.33 })
    expect((await hub.findTrainingLogs()).map((log) => log['accuracy'])).toEqual([0.33, 0.44])
    expect((await hub.findTrainingLogs({ sort: { accuracy: -1 } })).map((log) => log['accuracy'])).toEqual([0.44, 0.33])
    expect((await hub.findTrainingLogs({ accuracy: 0.44 }))[0]?.['loss']).toBeNaN()
    expect(await hub.deleteTrainingLog({ accuracy: 0.33 })).toEqual({ documents: 1 })
    expect(await hub.findTrainingLogs()).toHaveLength(1)
    expect(await hub.deleteTrainingLog()).toEqual({ documents: 1 })
    expect(await hub.deleteValidationLog()).toEqual({ documents: 1 })
    expect(await hub.deleteTestingLog()).toEqual({ documents: 1 })
    expect(await hub.logs.count()).toBe(0)
  })
})
