import { describe, expect, it } from 'vitest'
import type { StorePair } from './store-pair.ts'
import { LARGE, noise } from './values.ts'

/** Every operation is confined to its project: nothing that a caller can say reaches another one. */
export function confinement(pair: StorePair): void {
  const two = async () => {
    const stores = await pair.create()
    const mine = await stores.connect({ projectName: 'mine' })
    const theirs = await stores.connect({ projectName: 'theirs' })
    const record = await theirs.saveModel({ w: noise(LARGE, 1) }, 'mlp', { accuracy: 0.9 })
    await theirs.saveTrainingLog({ accuracy: 0.9 })
    return { mine, theirs, record }
  }

  describe('projects', () => {
    it('no filter reaches another project, in any form', async () => {
      const { mine, record } = await two()
      const filters = [
        {},
        { project_name: 'theirs' },
        { project_name: { $exists: true } },
        { $or: [{ project_name: 'theirs' }, { project_name: 'mine' }] },
        { $or: [{ project_name: 'mine' }, { _id: { $exists: true } }] },
        { $nor: [{ project_name: 'mine' }] },
        { $and: [{ project_name: 'theirs' }] },
        { project_name: { $ne: 'mine' } },
        { project_name: { $not: { $eq: 'mine' } } },
        { project_name: { $in: ['mine', 'theirs'] } },
        { project_name: { $regex: '.*' } },
        { _id: record._id },
        { accuracy: 0.9 },
        'mlp',
        'project_name:theirs',
        'project_name:theirs OR accuracy:0.9',
        'NOT project_name:mine',
        `_id:${record._id}`,
        '{"$or":[{"project_name":"theirs"},{}]}',
        'hub://mine/models/mlp',
        `hub://mine/models#${record._id}`,
      ]
      for (const filter of filters) {
        const said = JSON.stringify(filter)
        expect(await mine.models.find(filter).toArray(), said).toEqual([])
        expect(await mine.models.top(filter), said).toBeUndefined()
        expect(await mine.models.open(filter), said).toBeUndefined()
        expect(await mine.models.count(filter), said).toBe(0)
        if (typeof filter === 'object') {
          expect(await mine.findTopModel(filter), said).toBe(false)
          expect(await mine.deleteModel(filter), said).toEqual({ documents: 0, blobs: 0, bytes: 0 })
        }
        if (JSON.stringify(filter) === '{}') continue
        expect(await mine.models.update(filter, { set: { stolen: true } }), said).toEqual({ documents: 0 })
        expect(await mine.models.delete(filter), said).toEqual({ documents: 0, blobs: 0, bytes: 0 })
      }
      expect(await mine.models.open(record._id)).toBeUndefined()
      expect(await mine.logs.count()).toBe(0)
    })

    it('deletes without a filter stay at home', async () => {
      const { mine, theirs } = await two()
      await mine.saveModel({ w: 1 })
      expect(await mine.deleteModel()).toMatchObject({ documents: 1 })
      expect(await mine.deleteDatasets()).toMatchObject({ documents: 0 })
      for (const log of [
        mine.deleteTrainingLog(),
        mine.deleteValidationLog(),
        mine.deleteTestingLog(),
        mine.deleteTasks(),
      ])
        expect(await log).toEqual({ documents: 0 })
      expect(await theirs.models.count()).toBe(1)
      expect(await theirs.logs.count()).toBe(1)
    })

    it('a record cannot be moved into another project, nor one of another be opened', async () => {
      const { mine, theirs, record } = await two()
      await mine.saveModel({ w: 1 }, 'mlp')
      for (const change of [
        { set: { project_name: 'theirs' } },
        { unset: ['project_name'] },
        { set: { 'project_name.x': 1 } },
        { set: { _id: record._id } },
        { set: { content: null } },
        { inc: { accuracy: 1 } } as object,
      ])
        await expect(mine.models.update({ model_name: 'mlp' }, change)).rejects.toMatchObject({ code: 'INVALID' })
      await expect(mine.saveModel({ w: 1 }, { project_name: 'theirs' })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(mine.saveModel({ w: 1 }, { projectName: 'theirs' })).rejects.toMatchObject({ code: 'INVALID' })
      expect(() => mine.models.handle(record)).toThrow(
        expect.objectContaining({ code: 'INVALID', path: 'project_name' }),
      )
      expect(await theirs.models.handle(record).load()).toEqual({ w: noise(LARGE, 1) })
    })

    it('what two projects share is not freed by one of them', async () => {
      const { mine, theirs } = await two()
      await mine.saveModel({ w: noise(LARGE, 1) })
      expect(await mine.deleteModel()).toEqual({ documents: 1, blobs: 0, bytes: 0 })
      expect(await theirs.findTopModel()).toEqual({ w: noise(LARGE, 1) })
      expect(await theirs.deleteModel()).toEqual({ documents: 1, blobs: 1, bytes: LARGE })
    })
  })
}
