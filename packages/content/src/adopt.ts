import { type Call, type HubError, isHubError, throwIfAborted } from '@tensorhub/core'
import type { ChunkRows, EncodedChunk, NewChunk } from './chunk-rows.ts'
import type { Limiter } from './limiter.ts'
import type { FullManifest, ManifestChunk } from './manifest.ts'
import { ATTEMPTS, BATCH, type CommitOptions, type ContentWriter, chunksOf, type SavedDoc } from './writer.ts'

export interface AdoptOptions extends CommitOptions {
  /** How the document is called in errors, e.g. `models/01H…`. */
  readonly name: string
  /** Called for each chunk that was uploaded here, with its stored bytes. */
  readonly onUpload?: (stored: number) => void
}

/** What the adoptions of one store share. */
export interface Adopter {
  readonly writer: ContentWriter
  readonly rows: ChunkRows
  /** Bytes in memory. */
  readonly limiter: Limiter
  /** Chunks that are being placed, by id. Who needs one of them waits: versions of one model are copied side by side, and share most of their bytes. */
  readonly underWay: Map<string, Promise<unknown>>
}

/** So many chunks are placed at once at most. */
const BATCH_CHUNKS = 64

/**
 * Places the chunks of another store's manifest, and commits the manifest with this store's own keys. Chunks go in batches, each as large as what may be
 * in memory of it; those that are here already are pinned and not read.
 */
export async function adopt(
  manifest: FullManifest,
  read: (chunk: ManifestChunk, call: Call) => Promise<EncodedChunk>,
  { writer, rows, limiter, underWay }: Adopter,
  o: AdoptOptions,
): Promise<SavedDoc> {
  const call: Call = o.signal ? { signal: o.signal } : {}
  /** Keys that this call wrote. A commit that begins again finds them placed. */
  const told = new Set<string>()
  let last: HubError | undefined
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const placement = await rows.begin(call)
    for (const batch of batches(manifest.chunks)) {
      const size = batch.reduce((sum, chunk) => sum + chunk.size, 0)
      // Nothing is held while waiting, so nobody waits for who waits for them.
      for (let other = under(batch, underWay); other !== undefined; other = under(batch, underWay)) await other
      const placing = limiter.run(size, async () => {
        throwIfAborted(o.signal, { scheme: 'content', op: 'adopt', target: o.name })
        const chunks = batch.map(
          (chunk): NewChunk => ({ id: chunk.id, size: chunk.size, encoded: (inner) => read(chunk, inner) }),
        )
        await rows.place(chunks, placement, call, () => undefined)
      })
      const settled = placing.then(undefined, () => undefined)
      for (const { id } of batch) underWay.set(id, settled)
      try {
        await placing
      } finally {
        for (const { id } of batch) underWay.delete(id)
      }
      for (const { id } of batch) {
        const place = placement.placed.get(id)
        if (place === undefined || !placement.fresh.has(place.key) || told.has(place.key)) continue
        told.add(place.key)
        o.onUpload?.(place.stored)
      }
    }
    const placed = chunksOf(
      manifest.chunks.map((chunk) => chunk.id),
      manifest.chunks.map((chunk) => chunk.size),
      placement.placed,
    )
    const stored = manifest.inline === undefined ? placed.stored : manifest.stored
    const saved = await writer.commit({ ...manifest, chunks: placed.chunks, stored }, placement, o)
    if (!isHubError(saved)) return saved
    last = saved
  }
  throw last
}

function under(batch: readonly ManifestChunk[], underWay: Adopter['underWay']): Promise<unknown> | undefined {
  return batch.map(({ id }) => underWay.get(id)).find((placing) => placing !== undefined)
}

/** Each chunk once, in batches of at most {@link BATCH} bytes; a larger chunk goes alone. */
function* batches(chunks: readonly ManifestChunk[]): Generator<ManifestChunk[], void, undefined> {
  const seen = new Set<string>()
  let batch: ManifestChunk[] = []
  let size = 0
  for (const chunk of chunks) {
    if (seen.has(chunk.id)) continue
    seen.add(chunk.id)
    if (batch.length > 0 && (size + chunk.size > BATCH || batch.length >= BATCH_CHUNKS)) {
      yield batch
      batch = []
      size = 0
    }
    batch.push(chunk)
    size += chunk.size
  }
  if (batch.length > 0) yield batch
}
