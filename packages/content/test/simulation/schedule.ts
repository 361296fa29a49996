import { type BlobStore, type Doc, type IndexStore, isHubError, openBlobs, openIndex } from '@tensorhub/core'
import { ChunkRows } from '../../src/chunk-rows.ts'
import { collect } from '../../src/collector.ts'
import { HashPool } from '../../src/hashing.ts'
import type { Manifest } from '../../src/manifest.ts'
import { ManifestLoader } from '../../src/manifest-loader.ts'
import { ChunkReader } from '../../src/reader.ts'
import { ContentWriter } from '../../src/writer.ts'
import { fakeBlobs, fakeIndex, type Mutation, type World } from './fake-stores.ts'
import { type Actor, Scheduler } from './scheduler.ts'

export interface Outcome {
  /** Acknowledged documents whose chunks or manifest went away, or that don't load and verify at the end. */
  readonly lost: number
  /** Blobs and rows that stay for ever without a document. */
  readonly leaked: number
  readonly acknowledged: number
  readonly conflicts: number
  readonly steps: number
}

const HOUR = 3_600_000
const WRITERS = 3
const COLLECTORS = 2
const VALUES = ['a', 'b', 'c', 'd'].map((text, i) => new Uint8Array(16).fill(text.charCodeAt(0) + i))
const pool = new HashPool()

/** One random schedule: three processes that save and delete, two that collect, over one world. Writer, rows, reader and collector are the product's. */
export async function schedule(seed: number, mutation?: Mutation): Promise<Outcome> {
  const scheduler = new Scheduler(seed, true)
  const acknowledged = new Map<string, Doc>()
  let lost = 0
  let saved = 0
  let conflicts = 0
  const world: World = { docs: new Map(), blobs: new Map(), onBlobDeleted: () => check() }
  const missing = (doc: Doc): boolean => {
    const content = doc.content as unknown as { chunks?: { key: string }[]; manifest?: { key: string } }
    if (content.manifest === undefined) return (content.chunks ?? []).some((chunk) => !world.blobs.has(chunk.key))
    const blob = world.blobs.get(content.manifest.key)
    if (blob === undefined) return true
    return (JSON.parse(new TextDecoder().decode(blob.bytes)) as { chunks: { key: string }[] }).chunks.some(
      (chunk) => !world.blobs.has(chunk.key),
    )
  }
  const check = () => {
    for (const [id, doc] of acknowledged) {
      if (world.docs.get('things')?.has(id) && !missing(doc)) continue
      lost++
      acknowledged.delete(id)
    }
  }
  const stores = (actor: Actor): { index: IndexStore; blobs: BlobStore } => ({
    index: openIndex(fakeIndex(world, scheduler, actor, mutation)),
    blobs: openBlobs(fakeBlobs(world, scheduler, actor, mutation)),
  })

  let number = 0
  for (let w = 0; w < WRITERS; w++) {
    scheduler.start(`writer ${w}`, async (actor) => {
      const { index, blobs } = stores(actor)
      // Half the writers keep every manifest in a blob.
      const writer = new ContentWriter(index, new ChunkRows(index, blobs), new ChunkReader(blobs, pool), pool, {
        inline: 0,
        small: 1,
        manifest: w % 2 === 0 ? 0 : 1e9,
        file: { least: 16, about: 16, most: 16 },
      })
      for (let n = 0; n < 3; n++) {
        const value = VALUES.filter(() => scheduler.random() < 0.5)
        if (value.length === 0) value.push(VALUES[0] as Uint8Array<ArrayBuffer>)
        const _id = `d${++number}`
        try {
          // Files come as streams, and share their chunks with the others.
          const doc = await writer.save(scheduler.random() < 0.3 ? stream(value) : value, {
            coll: 'things',
            document: (content) => ({ _id, content: content as unknown as Doc['content'] }) as Doc,
          })
          acknowledged.set(_id, doc)
          saved++
          check()
        } catch (error) {
          // Whatever was stored by then, nobody was told of it.
          if (!isHubError(error, 'CONFLICT') && !isHubError(error, 'UNAVAILABLE')) throw error
          if (error.code === 'CONFLICT') conflicts++
          continue
        }
        if (scheduler.random() < 0.5) {
          // From here on its owner no longer expects it, whether the call ends or its process dies.
          acknowledged.delete(_id)
          await index.delete('things', { op: 'eq', path: ['_id'], value: _id }).catch(unlessLost)
        }
      }
    })
  }
  const pass = async (actor: Actor) => {
    const { index, blobs } = stores(actor)
    await collect(index, blobs, new ManifestLoader(blobs), { collections: ['things'] })
  }
  for (let c = 0; c < COLLECTORS; c++) {
    scheduler.start(`collector ${c}`, async (actor) => {
      for (let n = 0; n < 4; n++) await pass(actor).catch(unlessLost)
    })
  }
  await scheduler.run()
  if (scheduler.failure !== undefined) {
    // In a world broken on purpose a collector may stop because a manifest is gone: the loss is found.
    if (mutation === undefined || !isHubError(scheduler.failure, 'INTEGRITY'))
      throw new Error(`Schedule ${seed} failed`, { cause: scheduler.failure })
    lost++
  }
  check()

  // Quiet: collect until nothing can be left, then every acknowledged document must load, and nothing else may be there.
  const quiet = new Scheduler(seed, false)
  const own: Actor = { name: 'quiet', parked: [], crashed: false, done: false, lastNow: 0 }
  quiet.point = () => Promise.resolve()
  const index = openIndex(fakeIndex(world, quiet, own, undefined))
  const blobs = openBlobs(fakeBlobs(world, quiet, own, undefined))
  const manifests = new ManifestLoader(blobs)
  if (lost === 0) {
    for (let n = 0; n < 6; n++) {
      quiet.now = scheduler.now + (n + 1) * 100 * HOUR
      await collect(index, blobs, manifests, { collections: ['things'] })
    }
    const reader = new ChunkReader(blobs, pool)
    const named = new Set<string>()
    for (const doc of world.docs.get('things')?.values() ?? []) {
      const content = doc.content as unknown as Manifest
      if ('manifest' in content) named.add(content.manifest.key)
      // A writer that died, or lost the store, before it could look back may leave a document whose manifest was collected.
      if (!acknowledged.has(doc._id) && 'manifest' in content && !world.blobs.has(content.manifest.key)) continue
      const full = await manifests.full(content, doc._id, {})
      for (const chunk of full.chunks) named.add(chunk.key)
      if (acknowledged.has(doc._id)) await reader.value(full, {})
    }
    let leaked = 0
    for (const key of world.blobs.keys()) if (!named.has(key)) leaked++
    for (const row of world.docs.get('_chunks')?.values() ?? []) if (!named.has(row.key as string)) leaked++
    return { lost, leaked, acknowledged: saved, conflicts, steps: scheduler.steps }
  }
  return { lost, leaked: 0, acknowledged: saved, conflicts, steps: scheduler.steps }
}

async function* stream(value: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const part of value) yield part
}

function unlessLost(error: unknown): void {
  if (!isHubError(error, 'UNAVAILABLE')) throw error
}
