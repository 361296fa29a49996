import { describe, expect, it } from 'vitest'
import type { TensorHub } from '../../src/index.ts'
import type { StorePair } from './store-pair.ts'

/** What JavaScript callers may hand over, past the compiler. */
function loose(hub: TensorHub): Record<string, (...args: unknown[]) => Promise<unknown>> & {
  [namespace in 'datasets' | 'models' | 'logs' | 'tasks']: Record<string, (...args: unknown[]) => Promise<unknown>>
} {
  return hub as never
}

const EVERYWHERE = ['_x', '_id', '_rev', 'project_name', 'time', 'content', 'task', 'projectName']

/** Bad input: a typed error that names what is wrong, and nothing is stored or lost. */
export function refusals(pair: StorePair): void {
  describe('bad input', () => {
    it('reserved tags are refused in every collection, on save and on update', async () => {
      const hub = await (await pair.create()).connect()
      const refused = (path: string) => ({ code: 'INVALID', path, message: expect.stringContaining(`'${path}'`) })
      for (const tag of [...EVERYWHERE, 'dataset_name', 'datasetName']) {
        if (tag !== 'datasetName')
          await expect(hub.saveDataset(1, 'x', { [tag]: 1 }), tag).rejects.toMatchObject(refused(tag))
        await expect(hub.datasets.save('x', 1, { [tag]: 1 }), tag).rejects.toMatchObject(refused(tag))
        await expect(hub.datasets.update({ a: 1 }, { set: { [tag]: 1 } }), tag).rejects.toMatchObject(refused(tag))
        await expect(hub.datasets.update({ a: 1 }, { unset: [tag] }), tag).rejects.toMatchObject(refused(tag))
      }
      for (const tag of [...EVERYWHERE, 'model_name', 'modelName']) {
        if (tag !== 'modelName') await expect(hub.saveModel(1, { [tag]: 1 }), tag).rejects.toMatchObject(refused(tag))
        await expect(hub.models.save('x', 1, { [tag]: 1 }), tag).rejects.toMatchObject(refused(tag))
        await expect(hub.models.update({ a: 1 }, { set: { [`${tag}.x`]: 1 } }), tag).rejects.toMatchObject({
          code: 'INVALID',
        })
      }
      for (const tag of [...EVERYWHERE, 'kind'])
        for (const save of [hub.saveTrainingLog({ [tag]: 1 }), hub.logs.save('x', { [tag]: 1 })])
          await expect(save, tag).rejects.toMatchObject(refused(tag))
      for (const tag of [...EVERYWHERE, 'status', 'priority', 'epoch', 'result', 'task_name'])
        await expect(hub.tasks.update({ a: 1 }, { set: { [tag]: 1 } }), tag).rejects.toMatchObject(refused(tag))
      for (const tags of ['best', [1], { 0: 'best' }, null])
        await expect(hub.saveModel(1, { tags })).rejects.toMatchObject({ code: 'INVALID', path: 'tags' })
      await expect(hub.models.update({ a: 1 }, { set: { 'tags.x': 1 } })).rejects.toMatchObject({ path: 'tags.x' })
      expect([await hub.datasets.count(), await hub.models.count(), await hub.logs.count()]).toEqual([0, 0, 0])
    })

    it('a keyword without a name is no name: nothing is deleted or found by it', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveTrainingLog({ step: 1 })
      for (const call of ['deleteTrainingLog', 'findTrainingLogs', 'saveTrainingLog'])
        await expect(loose(hub)[call]?.({ '': 'x' }), call).rejects.toMatchObject({ code: 'INVALID' })
      await expect(loose(hub)['createTask']?.('t', import.meta.filename, { '': 'x' })).rejects.toMatchObject({
        code: 'INVALID',
      })
      expect(await hub.logs.count()).toBe(1)
    })

    it('a filter that is nested without end', async () => {
      const hub = await (await pair.create()).connect()
      let filter: object = { a: 1 }
      for (let i = 0; i < 50_000; i++) filter = { $and: [filter] }
      await expect(loose(hub).models['count']?.(filter)).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('nested deeper'),
      })
    })

    it('what is reserved for tasks only is a free tag elsewhere', async () => {
      const hub = await (await pair.create()).connect()
      expect(await hub.saveModel(1, { dataset_name: 'mnist' })).toMatchObject({ dataset_name: 'mnist' })
      await expect(hub.saveModel(1, { datasetName: 'mnist' })).rejects.toMatchObject({
        code: 'INVALID',
        path: 'datasetName',
        message: expect.stringContaining("as a tag of models write 'dataset_name'"),
      })
      const tags = {
        epoch: 3,
        status: 'ok',
        result: 1,
        error: 'none',
        progress: 0.5,
        name: 'n',
        version: '1.0',
        tags: ['a'],
      }
      expect(await hub.saveModel(1, tags)).toMatchObject(tags)
      expect(await hub.saveDataset(1, 'x', tags)).toMatchObject(tags)
      expect(await hub.saveTrainingLog(tags)).toMatchObject(tags)
      for (const [name, value] of Object.entries(tags)) expect(await hub.models.count({ [name]: value }), name).toBe(1)
    })

    it('camelCase spellings of a field are refused in filters, with the field’s name', async () => {
      const hub = await (await pair.create()).connect()
      const hint = {
        code: 'INVALID',
        reason: 'FIELD_NAME',
        path: 'modelName',
        message: expect.stringContaining("'model_name'"),
      }
      await expect(hub.models.top({ modelName: 'x' })).rejects.toMatchObject(hint)
      await expect(hub.models.count({ $or: [{ a: 1 }, { $and: [{ modelName: 'x' }] }] })).rejects.toMatchObject(hint)
      await expect(hub.models.delete({ modelName: 'x' })).rejects.toMatchObject(hint)
      await expect(hub.models.count('modelName:x')).rejects.toMatchObject(hint)
      expect(() => hub.models.find({ modelName: 'x' })).toThrow(expect.objectContaining(hint))
      await expect(hub.findTopDataset('x', { modelName: 'y' })).rejects.toMatchObject(hint)
    })

    it('an unknown operator or a filter of the wrong form names the path, before anything is read', async () => {
      const hub = await (await pair.create()).connect()
      const operator = { code: 'INVALID', reason: 'QUERY_OPERATOR_REFUSED' }
      await expect(hub.findTopModel({ accuracy: { $near: 1 } })).rejects.toMatchObject({
        ...operator,
        path: 'accuracy.$near',
      })
      // @ts-expect-error the compiler refuses it too
      await expect(hub.models.count({ $where: 'true' })).rejects.toMatchObject(operator)
      await expect(hub.deleteDatasets({ a: { $expr: 1 } })).rejects.toMatchObject(operator)
      await expect(hub.findTopModel({ a: undefined })).rejects.toMatchObject({ code: 'INVALID', path: 'a' })
      await expect(hub.deleteModel({ a: undefined })).rejects.toMatchObject({ code: 'INVALID', path: 'a' })
      await expect(hub.models.count('accuracy>>1')).rejects.toMatchObject({ code: 'INVALID', reason: 'QUERY_TEXT' })
      for (const filter of [null, 5, [], true, () => true])
        await expect(loose(hub).models['count']?.(filter), String(filter)).rejects.toMatchObject({ code: 'INVALID' })
    })

    it('a delete whose name or filter is undefined is refused: only one without arguments means all', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel(1, 'm')
      await hub.saveTrainingLog({ step: 1 })
      const config: { readonly name?: string; readonly filter?: { readonly [tag: string]: unknown } } = {}
      const { deleteModel, deleteDatasets, deleteTasks, deleteTrainingLog } = hub as unknown as {
        readonly [method: string]: (this: unknown, ...args: unknown[]) => Promise<unknown>
      }
      for (const [path, method, ...args] of [
        ['modelName', deleteModel, config.name],
        ['modelName', deleteModel, { modelName: config.name }],
        ['modelName', deleteModel, undefined, config.filter],
        ['datasetName', deleteDatasets, config.filter],
        ['taskName', deleteTasks, config.name],
        ['filter', deleteTrainingLog, config.filter],
      ] as const)
        await expect(method?.apply(hub, args), path).rejects.toMatchObject({ code: 'INVALID', path })
      // Nor is a name where there are none.
      await expect(deleteTrainingLog?.call(hub, 'all')).rejects.toMatchObject({ code: 'INVALID' })
      expect([await hub.models.count(), await hub.logs.count()]).toEqual([1, 1])
      await hub.deleteModel(undefined, { model_name: 'other' })
      expect(await hub.models.count()).toBe(1)
    })

    it('a change or delete of the namespaces without a filter is refused', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel(1)
      await hub.saveTrainingLog()
      for (const filter of [{}, '', undefined]) {
        const empty = { code: 'INVALID', reason: 'EMPTY_FILTER', path: 'filter' }
        await expect(loose(hub).models['delete']?.(filter)).rejects.toMatchObject(empty)
        await expect(loose(hub).logs['delete']?.(filter)).rejects.toMatchObject(empty)
        await expect(loose(hub).models['update']?.(filter, { set: { a: 1 } })).rejects.toMatchObject(empty)
      }
      for (const change of [{}, { set: {} }, { unset: [] }])
        await expect(hub.models.update({ a: 1 }, change)).rejects.toMatchObject({ code: 'INVALID', path: 'change' })
      expect([await hub.models.count(), await hub.logs.count()]).toEqual([1, 1])
    })

    it('unsupported values are refused with their path, and nothing is stored', async () => {
      const hub = await (await pair.create()).connect()
      const cyclic: Record<string, unknown> = { a: 1 }
      cyclic['self'] = cyclic
      const holey = [1, 2, 3]
      delete holey[1]
      const refused: readonly (readonly [string, unknown, string])[] = [
        ['function', { layers: [{ f: () => 1 }] }, 'layers.0.f'],
        ['symbol', [Symbol('x')], '0'],
        ['cycle', { deep: cyclic }, 'deep.self'],
        ['class instance', { re: /x/ }, 're'],
        ['promise', { x: Promise.resolve([1]) }, 'x'],
        ['promise', { later: Promise.resolve(1) }, 'later'],
        ['hole', { list: holey }, 'list.1'],
      ]
      for (const [what, value, path] of refused) {
        await expect(hub.saveDataset(value, 'x'), what).rejects.toMatchObject({ code: 'INVALID', path })
        await expect(hub.saveModel(value), what).rejects.toMatchObject({ code: 'INVALID', path })
      }
      await expect(hub.saveDataset(undefined, 'x')).rejects.toMatchObject({ code: 'INVALID', path: 'value' })
      for (const tag of [() => 1, Symbol('x'), cyclic, new Float32Array(2)])
        await expect(hub.saveTrainingLog({ tag })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(hub.saveTrainingLog({ tag: undefined })).rejects.toMatchObject({ code: 'INVALID', path: 'tag' })
      await expect(hub.saveTrainingLog({ 'a.b': 1 })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(hub.saveTrainingLog({ $a: 1 })).rejects.toMatchObject({ code: 'INVALID' })
      expect([await hub.datasets.count(), await hub.models.count(), await hub.logs.count()]).toEqual([0, 0, 0])
    })

    it('a missing or wrong name says how to give it', async () => {
      const hub = await (await pair.create()).connect()
      const missing = {
        code: 'INVALID',
        path: 'datasetName',
        message: expect.stringContaining("saveDataset(value, 'mnist'"),
      }
      await expect(loose(hub)['saveDataset']?.([1])).rejects.toMatchObject(missing)
      await expect(loose(hub)['saveDataset']?.([1], null)).rejects.toMatchObject(missing)
      await expect(loose(hub)['saveDataset']?.([1], { version: '1.0' })).rejects.toMatchObject(missing)
      for (const name of ['', 5, ['a'], true])
        await expect(loose(hub)['saveDataset']?.([1], { datasetName: name })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(hub.saveDataset(1, 'a', { datasetName: 'b' })).rejects.toMatchObject({
        code: 'INVALID',
        path: 'datasetName',
      })
      await expect(loose(hub)['saveDataset']?.(1, { datasetName: 'a' }, 'b')).rejects.toMatchObject({ code: 'INVALID' })
      await expect(loose(hub)['saveDataset']?.(1, 'a', {}, {})).rejects.toMatchObject({ code: 'INVALID' })
      await expect(loose(hub)['saveDataset']?.(1, 'a', 'b')).rejects.toMatchObject({ code: 'INVALID' })
      await expect(hub.models.save('', 1)).rejects.toMatchObject({ code: 'INVALID', path: 'name' })
      await expect(hub.logs.save('')).rejects.toMatchObject({ code: 'INVALID', path: 'name' })
      expect(await hub.datasets.count()).toBe(0)
    })

    it('no option is ignored: unknown names and wrong types are refused', async () => {
      const hub = await (await pair.create()).connect()
      const { models, datasets } = loose(hub)
      const refused = (path: string) => ({ code: 'INVALID', path })
      await expect(hub.models.top({}, { limit: 1 } as object)).rejects.toMatchObject(refused('limit'))
      await expect(hub.models.count({}, { sort: {} } as object)).rejects.toMatchObject(refused('sort'))
      await expect(datasets['save']?.('x', 1, {}, { progress: () => 1 })).rejects.toMatchObject(refused('progress'))
      await expect(datasets['save']?.('x', 1, {}, { onProgress: true })).rejects.toMatchObject(refused('onProgress'))
      await expect(datasets['save']?.('x', 1, {}, { signal: 'now' })).rejects.toMatchObject(refused('signal'))
      await expect(datasets['save']?.('x', 1, {}, 'options')).rejects.toMatchObject(refused('options'))
      await expect(datasets['save']?.('x', 1, 'tags')).rejects.toMatchObject(refused('tags'))
      await expect(datasets['save']?.('x', 1, null)).rejects.toMatchObject(refused('tags'))
      await expect(loose(hub)['saveModel']?.(1, { onProgress: 5 })).rejects.toMatchObject(refused('onProgress'))
      await expect(loose(hub)['findTopModel']?.({ signal: 5 })).rejects.toMatchObject(refused('signal'))
      await expect(loose(hub)['findTopModel']?.({ sort: 'time' })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(loose(hub)['findTopModel']?.({ sort: [['time', 'desc']] })).rejects.toMatchObject(refused('time'))
      for (const options of [
        { limit: -1 },
        { limit: 1.5 },
        { limit: '1' },
        { after: 5 },
        { after: 'x' },
        { fields: 'a' },
        { fields: ['a..b'] },
        { fields: [1] },
      ])
        expect(() => hub.models.find({}, options as object), JSON.stringify(options)).toThrow(
          expect.objectContaining({ code: 'INVALID' }),
        )
      for (const change of [
        null,
        'x',
        [],
        {},
        { $set: { a: 1 } },
        { set: { a: undefined } },
        { set: 5 },
        { unset: 'a' },
        { set: { a: 1 }, unset: ['a'] },
      ])
        await expect(models['update']?.({ a: 1 }, change), JSON.stringify(change)).rejects.toMatchObject({
          code: 'INVALID',
        })
      expect(await hub.datasets.count()).toBe(0)
    })

    it('a cursor of another sort is refused', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveModel(1, { accuracy: 1 })
      const page = hub.models.find({}, { sort: { accuracy: 1 } })
      await page.toArray()
      const after = page.cursor as string
      expect(() => hub.models.find({}, { sort: { accuracy: -1 }, after })).toThrow(
        expect.objectContaining({ code: 'INVALID' }),
      )
    })
  })
}
