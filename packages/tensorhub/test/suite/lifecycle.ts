import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { TensorHub } from '../../src/index.ts'
import type { StorePair } from './store-pair.ts'

/** Every method that reaches a store, by name, called in some valid way. */
const CALLS: Readonly<Record<string, (hub: TensorHub, signal?: AbortSignal) => unknown>> = {
  saveDataset: (hub, signal) => hub.saveDataset(1, 'x', of(signal)),
  findTopDataset: (hub, signal) => hub.findTopDataset('x', of(signal)),
  findDataset: (hub, signal) => hub.findDataset('x', of(signal)),
  findDatasets: (hub, signal) => hub.findDatasets('x', of(signal)),
  findAllDatasets: (hub, signal) => hub.findAllDatasets('x', of(signal)),
  deleteDatasets: (hub, signal) => hub.deleteDatasets(of(signal)),
  saveModel: (hub, signal) => hub.saveModel(1, of(signal)),
  findTopModel: (hub, signal) => hub.findTopModel(of(signal)),
  findModel: (hub, signal) => hub.findModel(of(signal)),
  deleteModel: (hub, signal) => hub.deleteModel(of(signal)),
  saveTrainingLog: (hub, signal) => hub.saveTrainingLog(of(signal)),
  saveValidationLog: (hub, signal) => hub.saveValidationLog(of(signal)),
  saveTestingLog: (hub, signal) => hub.saveTestingLog(of(signal)),
  findTrainingLogs: (hub, signal) => hub.findTrainingLogs(of(signal)),
  findValidationLogs: (hub, signal) => hub.findValidationLogs(of(signal)),
  findTestingLogs: (hub, signal) => hub.findTestingLogs(of(signal)),
  deleteTrainingLog: (hub, signal) => hub.deleteTrainingLog(of(signal)),
  deleteValidationLog: (hub, signal) => hub.deleteValidationLog(of(signal)),
  deleteTestingLog: (hub, signal) => hub.deleteTestingLog(of(signal)),
  checkUnfinishedTask: (hub, signal) => hub.checkUnfinishedTask('x', of(signal)),
  runTopTask: (hub, signal) => hub.runTopTask('x', { scripts: { handlers: {} }, ...of(signal) }),
  runTask: (hub, signal) => hub.runTask('x', { scripts: { handlers: {} }, ...of(signal) }),
  deleteTasks: (hub, signal) => hub.deleteTasks('x', of(signal)),
  gc: (hub, signal) => hub.gc(of(signal)),
  check: (hub, signal) => hub.check(of(signal)),
  'datasets.save': (hub, signal) => hub.datasets.save('x', 1, {}, of(signal)),
  'models.save': (hub, signal) => hub.models.save('x', 1, {}, of(signal)),
  'logs.save': (hub, signal) => hub.logs.save('x', {}, of(signal)),
  'models.find': (hub, signal) => hub.models.find({}, of(signal)).toArray(),
  'models.top': (hub, signal) => hub.models.top({}, of(signal)),
  'models.open': (hub, signal) => hub.models.open({}, of(signal)),
  'models.count': (hub, signal) => hub.models.count({}, of(signal)),
  'models.update': (hub, signal) => hub.models.update({ a: 1 }, { set: { a: 2 } }, of(signal)),
  'models.delete': (hub, signal) => hub.models.delete({ a: 1 }, of(signal)),
  'logs.delete': (hub, signal) => hub.logs.delete({ a: 1 }, of(signal)),
  'models.watch': async (hub, signal) => {
    for await (const _ of hub.models.watch({}, of(signal)));
  },
}

function of(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

/** Opening, aborting, closing, and what a hub shows of itself. */
export function lifecycle(pair: StorePair): void {
  describe('lifecycle', () => {
    it('every method heeds a signal that has aborted', async () => {
      const hub = await (await pair.create()).connect()
      for (const [name, call] of Object.entries(CALLS))
        await expect(async () => call(hub, AbortSignal.abort(new Error('stop'))), name).rejects.toMatchObject({
          code: 'ABORTED',
          name: 'AbortError',
        })
      expect([await hub.datasets.count(), await hub.models.count(), await hub.logs.count()]).toEqual([0, 0, 0])
    })

    it('a closed hub says so in every method; closing twice is harmless', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveDataset(1, 'x')
      const handle = await hub.datasets.open('x')
      await hub.close()
      await hub.close()
      for (const [name, call] of Object.entries(CALLS))
        await expect(async () => call(hub), name).rejects.toMatchObject({
          code: 'CLOSED',
          message: expect.stringContaining('connect again'),
        })
      await expect(handle?.load()).rejects.toMatchObject({ code: 'CLOSED' })
      expect(() => handle?.stream()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
      expect(() => hub.io('x')).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    })

    it('await using closes it, and others on the same stores go on', async () => {
      const stores = await pair.create()
      const other = await stores.connect()
      let kept: TensorHub
      {
        await using hub = await stores.connect()
        await hub.saveDataset(1, 'x')
        kept = hub
      }
      await expect(kept.findTopDataset('x')).rejects.toMatchObject({ code: 'CLOSED' })
      expect(await other.findTopDataset('x')).toBe(1)
    })

    it('closing ends loops that were left half-way, and watches; going on says CLOSED', async () => {
      const hub = await (await pair.create()).connect()
      for (let i = 0; i < 5; i++) await hub.saveTrainingLog({ i })
      const left = hub.logs.find()[Symbol.asyncIterator]()
      await left.next()
      const watch = hub.logs.watch({})[Symbol.asyncIterator]()
      const event = watch.next()
      event.catch(() => undefined)
      await hub.close()
      await expect(left.next()).rejects.toMatchObject({ code: 'CLOSED' })
      await expect(event).rejects.toMatchObject({ code: 'CLOSED' })
    })

    it('what is under way when the hub closes is finished first', async () => {
      const stores = await pair.create()
      const hub = await stores.connect()
      const saves = Array.from({ length: 20 }, (_, i) => hub.saveTrainingLog({ i }))
      const ended = Promise.allSettled(saves)
      await hub.close()
      const stored = (await ended).filter((save) => save.status === 'fulfilled').length
      expect(await (await stores.connect()).logs.count()).toBe(stored)
    })

    it('shows its project and places, and nothing of its insides', async () => {
      const hub = await (await pair.create()).connect()
      expect(String(hub)).toMatch(/^TensorHub\(project 'tutorial', /)
      expect(inspect(hub)).toBe(String(hub))
      for (const shown of [JSON.stringify(hub), inspect(hub.models, { depth: 9 }), inspect(hub.tasks, { depth: 9 })])
        expect(shown).not.toContain('connection')
      await hub.saveDataset(1, 'x')
      expect(inspect(await hub.datasets.open('x'), { depth: 9 })).not.toContain('connection')
    })
  })
}
