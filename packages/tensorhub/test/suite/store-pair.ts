import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlobStore, type IndexStore, openBlobs, openIndex } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { blobsFromUrl, indexFromUrl, memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { sqlite } from '@tensorhub/sqlite'
import { afterAll } from 'vitest'
import { type CommonOptions, TensorHub } from '../../src/index.ts'
import { narrowBlobs, narrowIndex } from './narrow-drivers.ts'

/** One index and one blob store, new and empty: how hubs connect to them, and a way past the hub for looking and for damage. */
export interface Stores {
  connect(options?: CommonOptions): Promise<TensorHub>
  readonly index: IndexStore
  readonly blobs: BlobStore
}

/** A combination of an index and a blob store that the facade is tested on. */
export interface StorePair {
  readonly name: string
  create(): Promise<Stores>
}

const closing: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

/** Does this after the file's tests, before what was asked for earlier: what was started first ends last. */
export function atEnd(close: () => Promise<void>): void {
  closing.push(close)
}

/** Makes stores whose hubs are closed after the file's tests. `connect` is given the options of each hub. */
export function storesOf(parts: {
  readonly connect: (options: CommonOptions) => Promise<TensorHub>
  readonly index: IndexStore
  readonly blobs: BlobStore
}): Stores {
  closing.push(async () => {
    await parts.index.close()
    await parts.blobs.close()
  })
  return {
    ...parts,
    async connect(options = {}) {
      const hub = await parts.connect({ projectName: 'tutorial', ...options })
      closing.push(() => hub.close())
      return hub
    },
  }
}

/** A new folder, removed after the file's tests. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-test-'))
  closing.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** An embedded hub: SQLite and files in one folder. */
export const embedded: StorePair = {
  name: 'embedded folder',
  async create() {
    const folder = await newFolder()
    return storesOf({
      connect: (options) => TensorHub.connect(folder, options),
      index: openIndex(sqlite({ file: join(folder, 'index.db') })),
      blobs: openBlobs(fs({ folder: join(folder, 'blobs') })),
    })
  },
}

let named = 0

/** Both layers in the memory of this process. */
export const memory: StorePair = {
  name: 'memory:',
  async create() {
    const url = `memory:suite${process.pid}-${++named}`
    return storesOf({
      connect: (options) => TensorHub.connect(url, options),
      index: openIndex(indexFromUrl(url)),
      blobs: openBlobs(blobsFromUrl(url)),
    })
  },
}

/** Two URLs: an index in a file, blobs in memory. */
export const sqliteAndMemory: StorePair = {
  name: 'sqlite:// and memory:',
  async create() {
    const file = join(await newFolder(), 'index.db')
    const blobs = `memory:suite${process.pid}-${++named}`
    return storesOf({
      connect: (options) => TensorHub.connect({ ...options, index: `sqlite://${file}`, blobs }),
      index: openIndex(sqlite({ file })),
      blobs: openBlobs(blobsFromUrl(blobs)),
    })
  },
}

/** Driver objects that offer as little as a driver may: no transactions, no watching, no conditional writes, filters and orders only roughly. */
export const narrow: StorePair = {
  name: 'driver objects that offer the least',
  async create() {
    const documents = new Map()
    const bytes = new Map()
    return storesOf({
      connect: (options) =>
        TensorHub.connect({
          ...options,
          index: narrowIndex(memoryIndex(documents)),
          blobs: narrowBlobs(memoryBlobs(bytes)),
        }),
      index: openIndex(memoryIndex(documents)),
      blobs: openBlobs(memoryBlobs(bytes)),
    })
  },
}
