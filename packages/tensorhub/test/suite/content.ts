import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/index.ts'
import { collectAll, keysOf } from './receipts.ts'
import type { StorePair, Stores } from './store-pair.ts'
import { LARGE, noise } from './values.ts'

/** What becomes of damage in the blob store: it is named, never given out as a value, and what is whole stays readable. */
export function content(pair: StorePair): void {
  const damaged = async (change: (bytes: Uint8Array) => Uint8Array | undefined) => {
    const stores = await pair.create()
    const hub = await stores.connect({ collect: false })
    const bad = await hub.saveDataset(noise(LARGE, 1), 'bad')
    await hub.saveDataset(noise(LARGE, 2), 'good')
    const key = keyOf(bad.content)
    await damage(stores, key, change)
    return { stores, hub, key }
  }

  describe('integrity', () => {
    it.each([
      ['cut off at 0', () => new Uint8Array(0), true],
      ['cut off at 1', (bytes: Uint8Array) => bytes.slice(0, 1), true],
      ['cut off at half', (bytes: Uint8Array) => bytes.slice(0, LARGE / 2), true],
      ['short of one byte', (bytes: Uint8Array) => bytes.slice(0, -1), true],
      ['one byte longer', (bytes: Uint8Array) => new Uint8Array([...bytes, 0]), true],
      ['one bit flipped', (bytes: Uint8Array) => bytes.map((byte, i) => (i === 4711 ? byte ^ 1 : byte)), false],
      ['missing', () => undefined, true],
    ])('a chunk %s: INTEGRITY that names it, and check finds it', async (_, change, structural) => {
      const { hub, key } = await damaged(change)
      await expect(hub.findTopDataset('bad')).rejects.toMatchObject({ code: 'INTEGRITY', at: { target: key } })
      await expect(hub.findDatasets()).rejects.toMatchObject({ code: 'INTEGRITY' })
      const handle = await hub.datasets.open({ dataset_name: 'bad' })
      await expect(handle?.rows(0, 1)).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await hub.findTopDataset('good')).toStrictEqual(noise(LARGE, 2))
      const quick = await hub.check()
      expect(quick).toMatchObject({ documents: 2, chunks: 2 })
      expect(quick.problems).toHaveLength(structural ? 1 : 0)
      const whole = await hub.check({ readData: true })
      expect(whole.problems).toEqual([
        {
          collection: 'datasets',
          _id: handle?.record._id,
          key,
          code: 'INTEGRITY',
          message: expect.stringContaining(key),
        },
      ])
    })

    it('a damaged record can be deleted, and its bytes are freed', async () => {
      const { stores, hub } = await damaged((bytes) => bytes.slice(1))
      expect(await hub.deleteDatasets('bad')).toMatchObject({ documents: 1, blobs: 1 })
      await collectAll(hub)
      expect(await keysOf(stores)).toHaveLength(1)
      expect(await hub.check({ readData: true })).toMatchObject({ documents: 1, problems: [] })
    })

    it('check reports its progress, and changes nothing', async () => {
      const { stores, hub } = await damaged((bytes) => bytes.slice(1))
      const before = await keysOf(stores)
      const told: number[] = []
      await hub.check({ readData: true, onProgress: ({ bytes }) => void told.push(bytes) })
      expect(told.length).toBeGreaterThan(0)
      expect([...told].sort((a, b) => a - b)).toEqual(told)
      expect(await keysOf(stores)).toEqual(before)
    })

    it('a record that was deleted, and freed, after it was found is NOT_FOUND and no damage', async () => {
      const hub = await (await pair.create()).connect({ collect: false })
      await hub.saveDataset(noise(LARGE, 1), 'x')
      const handle = await hub.datasets.open('x')
      await hub.deleteDatasets()
      await collectAll(hub)
      for (const read of [() => handle?.load(), () => handle?.rows(0, 1), () => handle?.stream().getReader().read()])
        await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'RECORD_DELETED' })
    })

    it('content of a newer version is refused by name, and everything else goes on', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ collect: false })
      const { _id } = await hub.saveDataset(noise(LARGE, 1), 'new')
      await stores.index.update('datasets', { op: 'eq', path: ['_id'], value: _id }, { set: { 'content.v': 2 } })
      await expect(hub.findTopDataset('new')).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      await hub.saveDataset(noise(LARGE, 2), 'old')
      expect(await hub.deleteDatasets('old')).toMatchObject({ documents: 1 })
      expect((await hub.check()).problems).toMatchObject([{ _id, code: 'UNSUPPORTED' }])
    })
  })
}

/** The key of a content's only chunk. */
function keyOf(manifest: Manifest): string {
  const [chunk] = 'chunks' in manifest ? manifest.chunks : []
  if (chunk === undefined) throw new Error('the content has no chunk')
  return chunk.key
}

async function damage(
  stores: Stores,
  key: string,
  change: (bytes: Uint8Array) => Uint8Array | undefined,
): Promise<void> {
  const bytes = change(await stores.blobs.bytes(key))
  if (bytes === undefined) await stores.blobs.delete([key])
  else await stores.blobs.write(key, bytes)
}
