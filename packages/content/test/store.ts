import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlobDriver, type Doc, type IndexDriver, type IndexStore, openBlobs, openIndex } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { memoryIndex } from '@tensorhub/memory'
import { ContentStore, type FullManifest, type Manifest } from '../src/index.ts'

export const MIB = 1024 * 1024

export interface Opened {
  readonly folder: string
  readonly index: IndexStore
  readonly content: ContentStore
  save(
    value: unknown,
    o?: { signal?: AbortSignal; base?: Manifest; onProgress?: (p: { bytes: number }) => void },
  ): Promise<Doc & { readonly content: Doc[string] & FullManifest }>
  files(): Promise<string[]>
}

/** A content store over an index in memory and blobs in a new folder. */
export async function openStore(
  folder?: string,
  wrap: (driver: BlobDriver) => BlobDriver = (driver) => driver,
  wrapIndex: (driver: IndexDriver) => IndexDriver = (driver) => driver,
): Promise<Opened> {
  const where = folder ?? (await mkdtemp(join(tmpdir(), 'tensorhub-content-')))
  const index = openIndex(wrapIndex(memoryIndex()))
  const blobs = openBlobs(wrap(fs({ folder: where })))
  const content = new ContentStore({ index, blobs })
  let n = 0
  return {
    folder: where,
    index,
    content,
    async save(value, o = {}) {
      const _id = `d${++n}`
      const document = (manifest: Manifest) => ({ _id, content: manifest as unknown as Doc[string] }) as Doc
      return (await content.save(value, { coll: 'things', document, ...o })) as Doc & {
        readonly content: Doc[string] & FullManifest
      }
    },
    async files() {
      const keys: string[] = []
      for await (const blob of blobs.list('')) keys.push(blob.key)
      return keys
    },
  }
}

/** Numbers that do not compress, from a seed. */
export function noise(bytes: number, seed: number): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bytes / 4)
  let x = (seed * 2654435761 + 1) >>> 0
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = ((x >>> 0) & 0x807fffff) | 0x3c000000
  }
  return new Float32Array(words.buffer)
}
