import { HubError, type IndexDriver } from '@tensorhub/core'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../src/index.ts'
import { LARGE, noise } from './suite/values.ts'

type Call = 'insert' | 'find' | 'update' | 'delete'

/** An index that can be lost: `before` the call is made, or `after` it was done and before its answer came. */
function losable(driver: IndexDriver): {
  driver: IndexDriver
  lose: (call: Call, when: 'before' | 'after' | 'never') => void
} {
  let lost: { call: Call; when: 'before' | 'after' | 'never' } = { call: 'find', when: 'never' }
  const gone = () =>
    new HubError('UNAVAILABLE', 'The connection was reset.', { at: { scheme: 'test', op: lost.call }, retryable: true })
  const wrapped = new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name !== lost.call || lost.when === 'never') return member.bind(target)
      if (name === 'find')
        return async function* () {
          yield* []
          throw gone()
        }
      return async (...args: unknown[]) => {
        if (lost.when === 'before') throw gone()
        await Reflect.apply(member, target, args)
        throw gone()
      }
    },
  })
  return {
    driver: wrapped,
    lose: (call, when) => {
      lost = { call, when }
    },
  }
}

describe('a store that is lost', () => {
  const open = async () => {
    const { driver, lose } = losable(memoryIndex())
    const hub = await TensorHub.connect({ index: driver, blobs: memoryBlobs(), projectName: 'p' })
    await hub.saveModel({ w: noise(LARGE, 1) }, 'mlp')
    await hub.saveTrainingLog({ step: 0 })
    return { hub, lose }
  }
  const unavailable = { code: 'UNAVAILABLE', retryable: true }

  it('B24: is UNAVAILABLE in every find, never false or an empty list', async () => {
    const { hub, lose } = await open()
    lose('find', 'before')
    await expect(hub.findTopModel('mlp')).rejects.toMatchObject(unavailable)
    await expect(hub.findDatasets('x')).rejects.toMatchObject(unavailable)
    await expect(hub.findTrainingLogs()).rejects.toMatchObject(unavailable)
    await expect(hub.models.find().toArray()).rejects.toMatchObject(unavailable)
    lose('find', 'never')
    expect(await hub.findTopModel('mlp')).toEqual({ w: noise(LARGE, 1) })
  })

  it('saves whose answer was lost are settled by looking: done is done, and not done is an error', async () => {
    const { hub, lose } = await open()
    lose('insert', 'after')
    expect(await hub.saveTrainingLog({ step: 1 })).toMatchObject({ step: 1 })
    expect(await hub.saveDataset([1, 2], 'small')).toMatchObject({ dataset_name: 'small' })
    lose('insert', 'before')
    await expect(hub.saveTrainingLog({ step: 2 })).rejects.toMatchObject(unavailable)
    await expect(hub.saveDataset([3], 'small')).rejects.toMatchObject(unavailable)
    lose('insert', 'never')
    expect((await hub.findTrainingLogs()).map((log) => log.step)).toEqual([0, 1])
    expect(await hub.findDatasets('small')).toEqual([[1, 2]])
    expect((await hub.check({ readData: true })).problems).toEqual([])
    await hub.close()
  })

  it('changes and deletes whose answer was lost can be asked for again', async () => {
    const { hub, lose } = await open()
    lose('update', 'after')
    await expect(hub.models.update({ model_name: 'mlp' }, { set: { good: true } })).rejects.toMatchObject(unavailable)
    lose('delete', 'after')
    await expect(hub.deleteTrainingLog()).rejects.toMatchObject(unavailable)
    lose('delete', 'never')
    expect(await hub.models.update({ model_name: 'mlp' }, { set: { good: true } })).toEqual({ documents: 1 })
    expect(await hub.deleteTrainingLog()).toEqual({ documents: 0 })
    expect(await hub.models.top()).toMatchObject({ good: true })
    await hub.close()
  })
})
