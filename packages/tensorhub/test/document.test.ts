import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { type DatasetRecord, type DeleteReceipt, type Informed, type LogRecord, TensorHub } from '../src/index.ts'
import { newFolder } from './suite/store-pair.ts'
import { noise } from './suite/values.ts'

/** Every method that the original documents, in its reference or its tutorial, and those its source had commented out. */
const DOCUMENTED = [
  'check_unfinished_task',
  'create_task',
  'delete_datasets',
  'delete_model',
  'delete_tasks',
  'delete_testing_log',
  'delete_training_log',
  'delete_validation_log',
  'find_all_datasets',
  'find_dataset',
  'find_datasets',
  'find_model',
  'find_testing_logs',
  'find_top_dataset',
  'find_top_model',
  'find_training_logs',
  'find_validation_logs',
  'run_task',
  'run_top_task',
  'save_dataset',
  'save_model',
  'save_testing_log',
  'save_training_log',
  'save_validation_log',
]

describe('the original document', () => {
  it('has each of its methods here, in camelCase', () => {
    for (const name of DOCUMENTED) {
      const camel = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
      expect(Reflect.get(TensorHub.prototype, camel), camel).toBeTypeOf('function')
    }
  })

  it('works from its first page to its last: distributor and runner, on one hub in a folder', async () => {
    const folder = await newFolder()
    const db = await TensorHub.connect(join(folder, 'hub'), { projectName: 'tutorial' })
    const X_train = { dtype: 'float32', shape: [64, 784], data: noise(64 * 784 * 4, 1) }
    const y_train = new Uint8Array(64).map((_, i) => i % 10)
    // Dataset management.
    expect(
      await db.saveDataset([X_train, y_train], { datasetName: 'mnist', description: 'this is a tutorial' }),
    ).toBeTruthy()
    await db.saveDataset([X_train, y_train], 'mnist', { version: '1.0' })
    expect(await db.findDataset('mnist')).toStrictEqual([X_train, y_train])
    expect(await db.findDataset('mnist', { version: '1.0' })).toStrictEqual([X_train, y_train])
    expect(await db.findAllDatasets('mnist')).toHaveLength(2)
    // Model management.
    const net = { architecture: { layers: [800, 800, 10] }, params: [noise(4096, 2), noise(4096, 3)] }
    await db.saveModel(net, { accuracy: 0.8, loss: 2.3, name: 'second_model' })
    expect(await db.findModel({ sess: null, accuracy: 0.8, loss: 2.3 })).toStrictEqual(net)
    for (const sort of [[['time', -1]], [['time', 1]], [['test_accuracy', -1]]] as const)
      expect(await db.findModel({ sess: null, sort })).toStrictEqual(net)
    await db.deleteModel()
    expect(await db.findModel()).toBe(false)
    // Events.
    await db.saveTrainingLog({ accuracy: 0.33 })
    await db.saveTrainingLog({ accuracy: 0.44 })
    expect(await db.deleteTrainingLog({ accuracy: 0.33 })).toEqual({ documents: 1 })
    await db.deleteTrainingLog()
    await db.deleteValidationLog()
    await db.deleteTestingLog()
    expect(await db.logs.count()).toBe(0)
    // Task distribution.
    const script = join(folder, 'task_script.mjs')
    await writeFile(
      script,
      `export default async ({ hub, hyperParameters: { n_units1, n_units2 } }) => {
        const [X_train, y_train] = await hub.findTopDataset('mnist')
        const test_accuracy = (X_train.shape[0] + y_train.length + n_units1 + n_units2) / 2000
        await hub.saveModel({ n_units1 }, { modelName: 'mlp', name: n_units1 + '-' + n_units2, test_accuracy })
        return { test_accuracy, unwanted: 1 }
      }\n`,
    )
    for (const n of [800, 600, 400])
      await db.createTask({
        taskName: 'mnist',
        script,
        hyperParameters: { n_units1: n, n_units2: n },
        savedResultKeys: ['test_accuracy'],
        description: `${n}-${n}`,
      })
    const runner = await TensorHub.connect(join(folder, 'hub'), { projectName: 'tutorial' })
    const order: unknown[] = []
    const running = (async () => {
      for (;;) {
        const outcome = await runner.runTask('mnist', { sort: [['time', -1]] })
        if (outcome === false) return
        order.push(outcome.task.description)
        expect(outcome).toMatchObject({ status: 'finished', result: { test_accuracy: expect.any(Number) } })
        expect(outcome.result).not.toHaveProperty('unwanted')
      }
    })()
    while (await db.checkUnfinishedTask({ taskName: 'mnist' })) await delay(50)
    await running
    expect(order).toEqual(['400-400', '600-600', '800-800'])
    const best = await db.findTopModel<{ n_units1: number }>('mlp', { sort: [['test_accuracy', -1]] })
    if (best === false) throw new Error('no model')
    expect([best._test_accuracy, best._name, best.n_units1]).toEqual([0.864, '800-800', 800])
    expect(await db.deleteTasks()).toEqual({ documents: 3 })
    expect(await db.deleteDatasets()).toMatchObject({ documents: 2 })
    await runner.close()
    await db.close()
  })

  it('is mirrored by the table of the README', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    for (const name of DOCUMENTED) {
      const camel = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
      expect(readme, camel).toMatch(new RegExp(`\\b${camel}\\b`))
    }
  })
})

describe('the types of the original methods', () => {
  it('say what comes back, and refuse what cannot be', () => {
    type Hub = TensorHub
    expectTypeOf<Hub['saveDataset']>().returns.resolves.toEqualTypeOf<DatasetRecord>()
    expectTypeOf<Hub['deleteModel']>().returns.resolves.toEqualTypeOf<DeleteReceipt>()
    expectTypeOf<Hub['findTrainingLogs']>().returns.resolves.toEqualTypeOf<LogRecord[]>()
    expectTypeOf<Hub['checkUnfinishedTask']>().returns.resolves.toEqualTypeOf<boolean>()
    // Never called: only compiled.
    const compiled = async (hub: Hub, signal: AbortSignal) => {
      expectTypeOf(await hub.findTopDataset('x')).toEqualTypeOf<unknown>()
      expectTypeOf(await hub.findTopDataset<number[]>('x')).toEqualTypeOf<number[] | false>()
      expectTypeOf(await hub.findDatasets<string>('x')).toEqualTypeOf<string[] | false>()
      expectTypeOf(await hub.findTopModel<Map<string, 1>>()).toEqualTypeOf<(Map<string, 1> & Informed) | false>()
      await hub.saveDataset(1, 'x', {
        tag: 1,
        signal,
        onProgress: ({ bytes }) => expectTypeOf(bytes).toEqualTypeOf<number>(),
      })
      await hub.saveDataset(1, { datasetName: 'x', tag: 1 })
      await hub.findTopModel({ modelName: null, sort: [['time', -1]] })
      await hub.findTopModel(null, { sort: { time: -1 } })
      // @ts-expect-error A dataset needs its name.
      await hub.saveDataset(1)
      // @ts-expect-error Nor is it any object.
      await hub.saveDataset(1, { version: '1.0' })
      // @ts-expect-error A direction is 1 or -1.
      await hub.findTopModel({ sort: { time: 'desc' } })
      // @ts-expect-error A callback.
      await hub.saveModel(1, { onProgress: true })
      // @ts-expect-error A name is text.
      await hub.findTopDataset(5)
      // @ts-expect-error Priority is a number.
      await hub.createTask('t', 's.ts', { priority: 'high' })
      // @ts-expect-error A URL beside stores of their own.
      await TensorHub.connect('memory:', { index: 'memory:', blobs: 'memory:' })
      // @ts-expect-error There is no such option.
      await TensorHub.connect({ project: 'x' })
    }
    expect(compiled).toBeTypeOf('function')
  })
})
