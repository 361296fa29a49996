import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { TensorHub } from '../../src/index.ts'
import type { StorePair, Stores } from './store-pair.ts'
import { LARGE, noise } from './values.ts'

/** Collects until nothing is left to collect, as if every pin had lapsed. */
export async function collectAll(hub: TensorHub): Promise<{ freed: number; bytes: number }> {
  const all = { freed: 0, bytes: 0 }
  for (;;) {
    // A pin of this very millisecond has not lapsed yet.
    await delay(5)
    const { freed, bytes, nextAt } = await hub.gc({ grace: 0, allowShortGrace: true })
    all.freed += freed
    all.bytes += bytes
    if (nextAt === undefined) return all
  }
}

/** Every blob of the stores. */
export async function keysOf(stores: Stores): Promise<string[]> {
  const keys: string[] = []
  for await (const blob of stores.blobs.list('')) keys.push(blob.key)
  return keys
}

/** Delete receipts, and the collection that frees what they count. */
export function receipts(pair: StorePair): void {
  describe('receipts and collection', () => {
    it('a receipt counts what no other record names, and gc frees exactly that', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ collect: false })
      const frozen = noise(LARGE, 1)
      for (let epoch = 0; epoch < 3; epoch++)
        await hub.saveModel({ frozen, head: noise(LARGE, 10 + epoch) }, 'mlp', { epoch })
      await hub.saveDataset({ frozen }, 'weights')
      expect(await keysOf(stores)).toHaveLength(4)
      expect(await hub.deleteModel({ epoch: 0 })).toEqual({ documents: 1, blobs: 1, bytes: LARGE })
      expect(await collectAll(hub)).toEqual({ freed: 1, bytes: LARGE })
      expect(await hub.deleteModel()).toEqual({ documents: 2, blobs: 2, bytes: 2 * LARGE })
      expect(await collectAll(hub)).toEqual({ freed: 2, bytes: 2 * LARGE })
      expect(await hub.findTopDataset('weights')).toStrictEqual({ frozen })
      expect(await hub.deleteDatasets()).toEqual({ documents: 1, blobs: 1, bytes: LARGE })
      expect(await collectAll(hub)).toEqual({ freed: 1, bytes: LARGE })
      expect(await keysOf(stores)).toEqual([])
      expect(await stores.index.count('_chunks', { op: 'everything' })).toBe(0)
    })

    it('a value deleted with its twin is counted once', async () => {
      const hub = await (await pair.create()).connect({ collect: false })
      await hub.saveDataset(noise(LARGE, 1), 'a')
      await hub.saveDataset(noise(LARGE, 1), 'b')
      expect(await hub.deleteDatasets('a')).toEqual({ documents: 1, blobs: 0, bytes: 0 })
      await hub.saveDataset(noise(LARGE, 1), 'c')
      expect(await hub.deleteDatasets()).toEqual({ documents: 2, blobs: 1, bytes: LARGE })
    })

    it('a manifest that is a blob of its own is counted and freed too', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ collect: false })
      await hub.saveModel(Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i])))
      const keys = await keysOf(stores)
      expect(keys.filter((key) => key.startsWith('m/'))).toHaveLength(1)
      expect(await hub.findTopModel()).toHaveLength(4000)
      expect((await hub.check({ readData: true })).problems).toEqual([])
      const { documents, blobs, bytes } = await hub.deleteModel()
      expect([documents, blobs]).toEqual([1, keys.length])
      expect(await collectAll(hub)).toEqual({ freed: blobs, bytes })
      expect(await keysOf(stores)).toEqual([])
    })

    it('gc keeps what a pin holds, says when to come again, and only counts in a dry run', async () => {
      const stores = await pair.create()
      const hub = await stores.connect({ collect: false })
      await hub.saveDataset(noise(LARGE, 1), 'x')
      await hub.deleteDatasets()
      const waiting = await hub.gc()
      expect(waiting).toMatchObject({ condemned: 0, freed: 0, bytes: 0 })
      const hours = ((waiting.nextAt as Date).getTime() - (await stores.index.now()).getTime()) / 3_600_000
      expect(hours).toBeGreaterThan(23)
      expect(hours).toBeLessThanOrEqual(24)
      await delay(5)
      expect(await hub.gc({ dryRun: true, grace: 0, allowShortGrace: true })).toMatchObject({ condemned: 1 })
      expect(await keysOf(stores)).toHaveLength(1)
      const told: string[] = []
      await delay(5)
      await hub.gc({ grace: 0, allowShortGrace: true, onProgress: ({ phase }) => void told.push(phase) })
      expect(told).toContain('collect')
      expect(await collectAll(hub)).toEqual({ freed: 1, bytes: LARGE })
    })

    it('gc refuses what would lose data, and options that are none', async () => {
      const hub = await (await pair.create()).connect()
      await expect(hub.gc({ grace: 1000 })).rejects.toMatchObject({ code: 'INVALID', path: 'grace' })
      await expect(hub.gc({ grace: -1, allowShortGrace: true })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(hub.gc({ grace: '1h' as unknown as number })).rejects.toMatchObject({
        code: 'INVALID',
        path: 'grace',
      })
      await expect(hub.gc({ dryrun: true } as object)).rejects.toMatchObject({ code: 'INVALID', path: 'dryrun' })
      await expect(hub.gc({ dryRun: 'no' } as object)).rejects.toMatchObject({ code: 'INVALID', path: 'dryRun' })
      await expect(hub.check({ readdata: true } as object)).rejects.toMatchObject({ code: 'INVALID', path: 'readdata' })
    })
  })
}
