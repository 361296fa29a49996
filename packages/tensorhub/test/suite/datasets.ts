import { describe, expect, it } from 'vitest'
import type { StorePair } from './store-pair.ts'
import { LARGE, noise } from './values.ts'

/** Rows save_dataset, find_top_dataset, find_datasets, delete_datasets of design §7, and the tutorial's older names. */
export function datasets(pair: StorePair): void {
  describe('dataset management', () => {
    it('saveDataset gives the record; findTopDataset and findDataset give the value itself', async () => {
      const hub = await (await pair.create()).connect()
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
      expect(record).toMatchObject({
        dataset_name: 'mnist',
        description: 'this is a tutorial',
        project_name: 'tutorial',
      })
      expect(record._id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
      expect(record.time).toBeInstanceOf(Date)
      expect(record.content).toMatchObject({ v: 1, bytes: expect.any(Number), stored: expect.any(Number) })
      expect(await hub.findTopDataset('mnist')).toStrictEqual(mnist)
      expect(await hub.findDataset('mnist')).toStrictEqual(mnist)
      expect(await hub.datasets.top({ _id: record._id })).toEqual(record)
    })

    it('finds by name, tag and sort: positional, or all in one object', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveDataset('one', 'mnist', { version: '1.0' })
      await hub.saveDataset('two', { datasetName: 'mnist', version: '1.1' })
      await hub.saveDataset('three', 'other')
      expect(await hub.findTopDataset('mnist')).toBe('two')
      expect(await hub.findTopDataset('mnist', { version: '1.0' })).toBe('one')
      expect(await hub.findTopDataset({ datasetName: 'mnist', version: '1.0' })).toBe('one')
      expect(await hub.findTopDataset('mnist', { sort: [['time', 1]] })).toBe('one')
      expect(await hub.findTopDataset('mnist', { sort: { time: -1 } })).toBe('two')
      expect(await hub.findTopDataset('mnist', { version: { $gt: '1.0' } })).toBe('two')
      expect(await hub.findTopDataset(null, { version: '1.0' })).toBe('one')
      expect(await hub.findTopDataset()).toBe('three')
      expect(await hub.findTopDataset('absent')).toBe(false)
      expect(await hub.findTopDataset('mnist', { version: '9' })).toBe(false)
    })

    it('findDatasets and findAllDatasets give all, oldest first unless sorted, or false', async () => {
      const hub = await (await pair.create()).connect()
      for (const part of ['b', 'a', 'c']) await hub.saveDataset(part, 'shards', { part })
      expect(await hub.findDatasets('shards')).toEqual(['b', 'a', 'c'])
      expect(await hub.findAllDatasets('shards', { sort: [['part', -1]] })).toEqual(['c', 'b', 'a'])
      expect(await hub.findDatasets({ datasetName: 'shards', part: 'a' })).toEqual(['a'])
      expect(await hub.findDatasets('none')).toBe(false)
    })

    it('deleteDatasets deletes what matches, and without arguments all of the project', async () => {
      const hub = await (await pair.create()).connect()
      await hub.saveDataset(noise(LARGE, 1), 'big', { version: 1 })
      await hub.saveDataset('small', 'small')
      await hub.saveDataset('small', 'small', { version: 2 })
      const receipt = await hub.deleteDatasets({ datasetName: 'big' })
      expect(receipt).toEqual({ documents: 1, blobs: 1, bytes: LARGE })
      expect(await hub.findDatasets('big')).toBe(false)
      expect(await hub.deleteDatasets({ version: 2 })).toEqual({ documents: 1, blobs: 0, bytes: 0 })
      expect(await hub.deleteDatasets('absent')).toEqual({ documents: 0, blobs: 0, bytes: 0 })
      expect(await hub.deleteDatasets()).toEqual({ documents: 1, blobs: 0, bytes: 0 })
      expect(await hub.datasets.count()).toBe(0)
    })

    it('progress of saves and finds only rises, and ends at the whole', async () => {
      const hub = await (await pair.create()).connect()
      const told: { phase: string; bytes: number; total?: number }[] = []
      const onProgress = (progress: { phase: 'save' | 'load' | 'check' | 'collect'; bytes: number; total?: number }) =>
        void told.push(progress)
      const parts = [1, 2, 3].map((seed) => ({ a: noise(LARGE, seed), b: noise(LARGE, seed + 10) }))
      for (const part of parts) {
        told.length = 0
        await hub.saveDataset(part, 'parts', { onProgress })
        expect(told.at(-1)).toEqual({ phase: 'save', bytes: 2 * LARGE, total: 2 * LARGE })
        expect(rises(told)).toBe(true)
      }
      told.length = 0
      expect(await hub.findTopDataset('parts', { onProgress })).toStrictEqual(parts[2])
      expect(told.at(-1)).toEqual({ phase: 'load', bytes: 2 * LARGE, total: 2 * LARGE })
      expect(rises(told)).toBe(true)
      told.length = 0
      expect(await hub.findDatasets('parts', { onProgress })).toStrictEqual(parts)
      expect(told.at(-1)).toEqual({ phase: 'load', bytes: 6 * LARGE, total: 6 * LARGE })
      expect(rises(told)).toBe(true)
    })

    it('values of thousands of tensors are saved again and loaded with every option, though their manifest is a blob', async () => {
      const hub = await (await pair.create()).connect()
      const parts = (add: number) => Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i + add]))
      const told: number[] = []
      const options = {
        signal: new AbortController().signal,
        onProgress: ({ bytes }: { bytes: number }) => void told.push(bytes),
      }
      for (const version of [1, 2]) await hub.saveDataset(parts(version), 'many', { version, ...options })
      expect((await hub.datasets.top())?.content).toHaveProperty('manifest')
      expect(await hub.findTopDataset('many', options)).toStrictEqual(parts(2))
      expect(await hub.findTopDataset('many', { version: 1, ...options })).toStrictEqual(parts(1))
      expect(await (await hub.datasets.open('many'))?.rows(0, 1, { tensor: 7 })).toBeDefined()
      expect(told.length).toBeGreaterThan(3)
    })

    it('a save that is aborted on its way leaves nothing that is seen; a load that is aborted gives nothing', async () => {
      const hub = await (await pair.create()).connect()
      const value = { a: noise(LARGE, 1), b: noise(LARGE, 2), c: noise(LARGE, 3) }
      const saving = new AbortController()
      await expect(
        hub.saveDataset(value, 'x', { signal: saving.signal, onProgress: () => saving.abort(new Error('enough')) }),
      ).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError', cause: { message: 'enough' } })
      expect(await hub.datasets.count()).toBe(0)
      await hub.saveDataset(value, 'x')
      const loading = new AbortController()
      await expect(
        hub.findTopDataset('x', { signal: loading.signal, onProgress: () => loading.abort() }),
      ).rejects.toMatchObject({ code: 'ABORTED' })
      expect(await hub.findTopDataset('x')).toStrictEqual(value)
    })
  })
}

function rises(told: readonly { bytes: number }[]): boolean {
  return told.length > 0 && told.every((step, i) => i === 0 || step.bytes >= (told[i - 1] as { bytes: number }).bytes)
}
