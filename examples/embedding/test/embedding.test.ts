import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fs } from '@tensorhub/fs'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { sqlite } from '@tensorhub/sqlite'
import { type StoreOptions, TensorHub } from 'tensorhub'
import { afterAll, describe, expect, it } from 'vitest'
import { ModelRegistry } from '../src/index.ts'

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})
const newFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'embedding-'))
  folders.push(folder)
  return folder
}

/** Stores as an application makes them: driver objects. */
const STORES: Readonly<Record<string, () => Promise<Pick<StoreOptions, 'index' | 'blobs'>>>> = {
  memory: async () => ({ index: memoryIndex(), blobs: memoryBlobs() }),
  'SQLite and files': async () => {
    const folder = await newFolder()
    return { index: sqlite({ file: join(folder, 'index.db') }), blobs: fs({ folder: join(folder, 'blobs') }) }
  },
  'SQLite and memory': async () => ({
    index: sqlite({ file: join(await newFolder(), 'index.db') }),
    blobs: memoryBlobs(),
  }),
}

describe.each(Object.entries(STORES))('the library in a hub on %s', (_, stores) => {
  it('publishes, promotes and loads', async () => {
    await using hub = await TensorHub.connect({ ...(await stores()), projectName: 'shop' })
    const registry = new ModelRegistry({ hub })
    await expect(registry.promoteBest('r')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await registry.production('r')).toBeUndefined()
    for (const score of [0.8, 0.9, 0.85]) await registry.publish('r', { w: new Float32Array([score]) }, score)
    expect(await registry.promoteBest('r')).toMatchObject({ accuracy: 0.9 })
    expect({ ...(await registry.production('r')) }).toStrictEqual({ w: new Float32Array([0.9]) })
    await registry.publish('r', { w: new Float32Array([0.95]) }, 0.95)
    await registry.promoteBest('r')
    expect({ ...(await registry.production('r')) }).toStrictEqual({ w: new Float32Array([0.95]) })
    expect(await hub.models.count({ stage: 'production' })).toBe(1)
    expect(await hub.models.count({ stage: 'retired' })).toBe(1)
  })

  it('leaves its caller’s hub alone, which stays open and shares its stores with others', async () => {
    const given = await stores()
    await using hub = await TensorHub.connect({ ...given, projectName: 'shop' })
    await hub.saveModel({ own: 1 }, 'r-own', { stage: 'production' })
    const registry = new ModelRegistry({ hub, metric: 'f1' })
    await registry.publish('r', { w: new Float32Array([1]) }, 0.5)
    await registry.promoteBest('r')
    expect(await hub.models.top('r-own')).toMatchObject({ stage: 'production' })
    expect((await hub.models.top('r'))?.['f1']).toBe(0.5)
  })

  it('moves with its caller: what it saved is found after copyTo', async () => {
    await using hub = await TensorHub.connect({ ...(await stores()), projectName: 'shop' })
    await new ModelRegistry({ hub }).publish('r', { w: new Float32Array(50_000).fill(2) }, 0.5)
    await new ModelRegistry({ hub }).promoteBest('r')
    await using other = await TensorHub.connect({ index: memoryIndex(), blobs: memoryBlobs(), projectName: 'shop' })
    await hub.copyTo(other)
    expect((await new ModelRegistry({ hub: other }).production('r'))?.['w']?.[49_999]).toBe(2)
  })
})
