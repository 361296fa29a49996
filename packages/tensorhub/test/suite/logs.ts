import { describe, expect, it } from 'vitest'
import type { LogRecord, TensorHub } from '../../src/index.ts'
import type { StorePair } from './store-pair.ts'

interface Kind {
  save(hub: TensorHub, tags?: Record<string, unknown>): Promise<LogRecord>
  find(hub: TensorHub, filter?: Record<string, unknown>): Promise<LogRecord[]>
  delete(hub: TensorHub, ...filter: [Record<string, unknown>?]): Promise<{ documents: number }>
}

const KINDS: Readonly<Record<string, Kind>> = {
  training: {
    save: (hub, tags) => hub.saveTrainingLog(tags),
    find: (hub, filter) => hub.findTrainingLogs(filter),
    delete: (hub, ...filter) => hub.deleteTrainingLog(...filter),
  },
  validation: {
    save: (hub, tags) => hub.saveValidationLog(tags),
    find: (hub, filter) => hub.findValidationLogs(filter),
    delete: (hub, ...filter) => hub.deleteValidationLog(...filter),
  },
  testing: {
    save: (hub, tags) => hub.saveTestingLog(tags),
    find: (hub, filter) => hub.findTestingLogs(filter),
    delete: (hub, ...filter) => hub.deleteTestingLog(...filter),
  },
}

/** Rows of save, find and delete of the three logs of design §7. */
export function logs(pair: StorePair): void {
  describe('event and logging management', () => {
    it.each(Object.entries(KINDS))('the %s log is saved, found and deleted apart from the others', async (kind, of) => {
      const hub = await (await pair.create()).connect()
      for (const other of Object.values(KINDS)) await other.save(hub, { accuracy: 0.1 })
      const record = await of.save(hub, { accuracy: 0.33, epoch: 1 })
      expect(record).toMatchObject({ kind, accuracy: 0.33, epoch: 1, project_name: 'tutorial' })
      expect(record.time).toBeInstanceOf(Date)
      await of.save(hub, { accuracy: 0.44, loss: Number.NaN })
      expect((await of.find(hub)).map((log) => log.accuracy)).toEqual([0.1, 0.33, 0.44])
      expect((await of.find(hub, { sort: [['accuracy', -1]] })).map((log) => log.accuracy)).toEqual([0.44, 0.33, 0.1])
      expect((await of.find(hub, { accuracy: { $gt: 0.4 } }))[0]?.loss).toBeNaN()
      expect(await of.find(hub, { accuracy: 9 })).toEqual([])
      expect(await of.delete(hub, { accuracy: 0.33 })).toEqual({ documents: 1 })
      expect(await of.delete(hub)).toEqual({ documents: 2 })
      expect(await hub.logs.count()).toBe(2)
    })

    it('no fields at all are an event too', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveTrainingLog()
      expect(await hub.findTrainingLogs()).toHaveLength(1)
    })

    it('a thousand at once are all there, in the order they were asked for', async () => {
      const hub = await (await pair.create()).connect()
      await Promise.all(Array.from({ length: 1000 }, (_, step) => hub.saveTrainingLog({ step })))
      expect((await hub.findTrainingLogs()).map((log) => log.step)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    })
  })
}
