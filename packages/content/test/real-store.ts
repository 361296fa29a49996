import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlobDriver, type Doc, type IndexDriver, type IndexStore, openBlobs, openIndex } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'
import { ContentStore, type FullManifest, type Manifest, type SaveOptions } from '../src/index.ts'

export type Saved = Doc & { readonly content: Doc[string] & FullManifest }

export interface RealStore extends AsyncDisposable {
  readonly index: IndexStore
  readonly content: ContentStore
  save(_id: string, value: unknown, o?: Omit<SaveOptions, 'coll' | 'document'>): Promise<Saved>
  docs(): Promise<Saved[]>
  keys(): Promise<string[]>
  /** Collects, as if a day had passed, until nothing more can be freed. */
  collect(): Promise<void>
}

export const COLLECTIONS = ['things'] as const

/** A content store over SQLite and files, as an embedded hub has it: `index.db` and `blobs/` in a folder. `wrap` puts something in between. */
export async function openReal(
  folder: string,
  wrap: {
    index?: (driver: IndexDriver) => IndexDriver
    blobs?: (driver: BlobDriver) => BlobDriver
    file?: string
  } = {},
): Promise<RealStore> {
  await mkdir(folder, { recursive: true })
  const same = <T>(driver: T) => driver
  const index = openIndex((wrap.index ?? same)(sqlite({ file: wrap.file ?? join(folder, 'index.db') })))
  const blobs = openBlobs((wrap.blobs ?? same)(fs({ folder: join(folder, 'blobs') })))
  const content = new ContentStore({ index, blobs })
  return {
    index,
    content,
    async save(_id, value, o = {}) {
      const document = (manifest: Manifest) => ({ _id, content: manifest as unknown as Doc[string] }) as Doc
      return (await content.save(value, { coll: 'things', document, ...o })) as Saved
    },
    async docs() {
      const docs: Saved[] = []
      for await (const doc of index.find('things', { op: 'everything' })) docs.push(doc as Saved)
      return docs
    },
    async keys() {
      const keys: string[] = []
      for await (const blob of blobs.list('')) keys.push(blob.key)
      return keys
    },
    async collect() {
      for (let pass = 0; pass < 4; pass++) {
        await new Promise((turn) => setTimeout(turn, 5))
        await content.gc({ collections: COLLECTIONS, grace: 0, allowShortGrace: true })
      }
    },
    async [Symbol.asyncDispose]() {
      await index.close()
      await blobs.close()
    },
  }
}

/** Every key the documents of a store name: their chunks, and manifests that are blobs. */
export async function namedKeys(store: RealStore): Promise<string[]> {
  const keys = new Set<string>()
  for (const doc of await store.docs()) for (const blob of await store.content.blobsOf(doc, {})) keys.add(blob.key)
  return [...keys].sort()
}
