import {
  type Call,
  type Doc,
  HubError,
  type IndexStore,
  isHubError,
  type Progress,
  throwIfAborted,
  type Value,
} from '@tensorhub/core'
import { ulid } from 'ulid'
import { encodeChunk } from './chunk-codec.ts'
import type { ChunkRows, NewChunk, PlacedChunk, Placement } from './chunk-rows.ts'
import { FILE_CHUNK, FileChunker, type FileChunkSizes } from './file-chunker.ts'
import { FILE_THREADS, type HashPool, hashHere, THREADS_FROM } from './hashing.ts'
import { Limiter } from './limiter.ts'
import type { FullManifest, Manifest, ManifestChunk, ManifestTensor } from './manifest.ts'
import type { ChunkReader } from './reader.ts'
import { type Plan, patchRows } from './row-patches.ts'
import { packSafetensors } from './safetensors.ts'
import { cut, joinSlice } from './slices.ts'
import { type FileSource, isFileSource, piecesOf } from './source.ts'
import { type EncodedValue, encodeValue } from './value-codec.ts'

/** A document with its content. */
export type SavedDoc = Doc & { readonly content: Manifest & Value }

/** What {@link ContentWriter} takes: a base that is at hand. */
export type WriteOptions = Omit<SaveOptions, 'base'> & { readonly base?: FullManifest }

/** Where a document with content goes. */
export interface CommitOptions extends Call {
  /** The collection of the document. */
  readonly coll: string
  /** Makes the document, with this as its field `content`; called at the moment of commit, again if the commit has to be repeated. */
  readonly document: (content: Manifest & Value) => Doc
}

export interface SaveOptions extends CommitOptions {
  /** Default `'value'`, or `'file'` for streams. */
  readonly format?: string
  /**
   * The content of an earlier version of a value with the same structure. Of its tensors only the rows that changed are stored then, wherever that is
   * less than a quarter of a slice; for that the slices that changed are read from it.
   */
  readonly base?: Manifest
  readonly onProgress?: (progress: Progress) => void
}

/** Sizes in bytes that decide where things lie. */
export interface Limits {
  /** A value whose encoding is at most this long is kept inside its document. */
  readonly inline: number
  /** Tensors below this share chunks. */
  readonly small: number
  /** A longer manifest goes to a blob of its own. */
  readonly manifest: number
  /** Chunks of files. */
  readonly file: FileChunkSizes
}
export const LIMITS: Limits = { inline: 8 * 1024, small: 64 * 1024, manifest: 256 * 1024, file: FILE_CHUNK }
/** A chunk of a file below this is hashed without a thread. */
const HERE = 256 * 1024
/** A tree longer than this is stored as a chunk. */
const TREE_INLINE = 16 * 1024
/** Bytes of a value on their way to the store at once: the caller's own memory, so they cost none. Eight slices: eight connections to a store that is far away. */
const IN_FLIGHT = 128 * 1024 * 1024
/** Chunks are placed as soon as there are so many bytes of them: new ones are uploaded while others are hashed. */
export const BATCH = 16 * 1024 * 1024
/** So many while all turn out to be stored already: pinning them is a durable commit a batch and nothing else. */
const BATCH_HELD = 192 * 1024 * 1024
/** So many chunks are placed at once at most. */
const BATCH_CHUNKS = 64
/** How often a save that lost a race with a collector begins again. */
export const ATTEMPTS = 5

/** Steps S1 to S6 of the write protocol (tasks.md §8.2): data, then the chunks' rows, then the document, then a look back. */
export class ContentWriter {
  readonly #index: IndexStore
  readonly #rows: ChunkRows
  readonly #reader: ChunkReader
  readonly #pool: HashPool
  readonly #limits: Limits

  constructor(index: IndexStore, rows: ChunkRows, reader: ChunkReader, pool: HashPool, limits: Limits = LIMITS) {
    this.#index = index
    this.#rows = rows
    this.#reader = reader
    this.#pool = pool
    this.#limits = limits
  }

  async save(value: unknown, o: WriteOptions): Promise<SavedDoc> {
    throwIfAborted(o.signal, { scheme: 'content', op: 'save' })
    if (isFileSource(value)) return this.#saveFile(value, o)
    const encoded = encodeValue(value)
    const total = encoded.tensors.reduce((sum, t) => sum + t.bytes.byteLength, 0) + encoded.tree.length
    const format = o.format ?? 'value'
    if (total <= this.#limits.inline) {
      const file = packSafetensors(encoded)
      if (file.byteLength <= this.#limits.inline) {
        const size = file.byteLength
        const manifest: FullManifest = {
          v: 1,
          format,
          tensors: [],
          chunks: [],
          bytes: size,
          stored: size,
          inline: Buffer.from(file).toString('base64'),
          id: hashHere(file),
        }
        o.onProgress?.({ phase: 'save', bytes: size, total: size })
        const doc = documentOf(manifest, o)
        await this.#insert(doc, o)
        return { ...doc, _rev: 0 }
      }
    }
    return this.#saveTensors(encoded, format, o)
  }

  async #saveTensors(encoded: EncodedValue, format: string, o: WriteOptions): Promise<SavedDoc> {
    const treeBytes = encoded.tree.length > TREE_INLINE ? new TextEncoder().encode(encoded.tree) : undefined
    const all = treeBytes
      ? [
          ...encoded.tensors,
          { name: '$tree', dtype: 'uint8' as const, shape: [treeBytes.byteLength], bytes: treeBytes },
        ]
      : encoded.tensors
    const plain: Plan = { ...cut(all, this.#limits.small), ids: [], held: [] }
    const sizeOf = (plan: Plan) => plan.slices.reduce((sum, slice) => sum + slice.size, 0)
    const total = sizeOf(plain)
    const hashing = new Limiter(IN_FLIGHT)
    let last: HubError | undefined
    let known: readonly (string | undefined)[] = []
    let told = 0
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const placement = await this.#rows.begin(callOf(o))
      let done = 0
      const progress = (bytes: number) => {
        done += bytes
        // A repeated attempt starts again from the front; what is told only rises.
        if (done <= told) return
        told = done
        o.onProgress?.({ phase: 'save', bytes: done, total })
      }
      // A save that has to begin again does so without the base: that may be what went away.
      const plan =
        attempt === 0 && o.base !== undefined
          ? await this.#patch(plain, o.base, total, hashing, placement, o)
          : { ...plain, ids: known }
      progress(total - sizeOf(plan))
      const joined = plan.slices.map((slice) => joinSlice(slice))
      const ids = await this.#place(joined, plan.ids, total, hashing, placement, o, progress)
      if (plan.slices.length === plain.slices.length && plan.held.length === 0) known = ids
      const { chunks, stored } = chunksOf(
        ids,
        joined.map((bytes) => bytes.byteLength),
        placement.placed,
      )
      const manifest: FullManifest = {
        v: 1,
        format,
        ...(treeBytes ? {} : { tree: encoded.tree }),
        tensors: plan.tensors,
        chunks: [...chunks, ...plan.held],
        bytes: total,
        stored,
      }
      const saved = await this.commit(manifest, placement, o)
      if (!isHubError(saved)) return saved
      last = saved
    }
    throw last
  }

  /** The plan with only the rows that changed since the base, whose chunks are then part of the placement. */
  async #patch(
    plain: Plan,
    base: FullManifest,
    total: number,
    hashing: Limiter,
    placement: Placement,
    o: WriteOptions,
  ): Promise<Plan> {
    const call = callOf(o)
    const signal = o.signal ?? new AbortController().signal
    const plan = await patchRows(plain, base, {
      hash: async (bytes) =>
        total >= THREADS_FROM ? hashing.run(bytes.byteLength, () => this.#hash(bytes, signal)) : hashHere(bytes),
      read: (chunk) => this.#reader.chunk(chunk, call, total),
      pin: (ids) => this.#rows.pin(ids, call),
    })
    for (const { id, size: _raw, ...place } of plan.held) placement.placed.set(id, place)
    return plan
  }

  /** Hashes chunk by chunk; what is hashed is pinned and uploaded while the next is hashed. */
  async #place(
    chunks: readonly Uint8Array[],
    known: readonly (string | undefined)[],
    total: number,
    hashing: Limiter,
    placement: Placement,
    o: WriteOptions,
    progress: (bytes: number) => void,
  ): Promise<string[]> {
    const ids: (string | undefined)[] = chunks.map((_, i) => known[i])
    const uploads: Promise<unknown>[] = []
    const started = new Set<string>()
    const sending = new Limiter(IN_FLIGHT)
    const stop = new AbortController()
    const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal
    let batch: NewChunk[] = []
    let batched = 0
    let enough = BATCH
    const flush = () => {
      const some = batch
      const size = batched
      batch = []
      batched = 0
      if (some.length === 0) return
      const upload = sending.run(size, async () => {
        throwIfAborted(signal)
        await this.#rows.place(some, placement, { signal }, progress)
        const isNew = ({ id }: NewChunk) => placement.fresh.has((placement.placed.get(id) as PlacedChunk).key)
        enough = some.some(isNew) ? BATCH : BATCH_HELD
      })
      uploads.push(
        upload.catch((error: unknown) => {
          stop.abort(error)
          throw error
        }),
      )
      // Awaited below; a failure while hashing still goes on must not count as unhandled.
      upload.then(undefined, () => undefined)
      uploads.at(-1)?.then(undefined, () => undefined)
    }
    const threads = total >= THREADS_FROM
    const hash = async (bytes: Uint8Array) =>
      threads ? hashing.run(bytes.byteLength, () => this.#hash(bytes, signal)) : hashHere(bytes)
    const hashes = chunks.map(async (bytes, i) => {
      const id = ids[i] ?? (await hash(bytes))
      ids[i] = id
      if (started.has(id)) return progress(bytes.byteLength)
      started.add(id)
      batch.push({ id, size: bytes.byteLength, encoded: () => encodeChunk(bytes), rehash: () => hash(bytes) })
      batched += bytes.byteLength
      if (batched >= enough || batch.length >= BATCH_CHUNKS) flush()
    })
    const hashed = await Promise.allSettled(hashes)
    flush()
    const sent = await Promise.allSettled(uploads)
    throwIfAborted(o.signal, { scheme: 'content', op: 'save' })
    const failed = [...sent, ...hashed].find((result) => result.status === 'rejected')
    // The first upload that failed stopped the others: theirs tell nothing.
    if (failed !== undefined) throw stop.signal.aborted ? stop.signal.reason : failed.reason
    return ids as string[]
  }

  async #hash(bytes: Uint8Array, signal: AbortSignal): Promise<string> {
    throwIfAborted(signal)
    return this.#pool.hash(bytes)
  }

  /** S4, S5, S6. @returns the stored document, or the error of a save that must begin again. */
  async commit(manifest: FullManifest, placement: Placement, o: CommitOptions): Promise<SavedDoc | HubError> {
    const call = callOf(o)
    const again = (what: string) =>
      new HubError('CONFLICT', `${what}; nothing was stored, try again.`, {
        at: { scheme: 'content', op: 'save', target: o.coll },
        retryable: true,
      })
    const keys = new Map(manifest.chunks.map((chunk) => [chunk.id, chunk.key]))
    let content: Manifest = manifest
    const bytes = new TextEncoder().encode(JSON.stringify(manifest))
    if (bytes.byteLength > this.#limits.manifest) {
      const key = `m/${ulid()}.json`
      if (!(await this.#rows.storeOwn(key, bytes, placement, call))) return again('The manifest could not be entered')
      keys.set(key, key)
      const { format, bytes: raw, stored } = manifest
      content = { v: 1, format, bytes: raw, stored, manifest: { key, id: hashHere(bytes), size: bytes.byteLength } }
    }
    if (!(await this.#rows.confirm(placement, call))) {
      const lost = await this.#rows.renew(placement, call).then(
        () => undefined,
        (error: unknown) => {
          if (!isHubError(error, 'CONFLICT')) throw error
          return error
        },
      )
      if (lost !== undefined) return lost
      if (!(await this.#rows.confirm(placement, call))) return again('The save took so long that its pins might lapse')
    }
    const doc = documentOf(content, o)
    await this.#insert(doc, o)
    let good = false
    try {
      good = await this.#rows.verify(keys, {})
    } finally {
      // Also when looking back failed: what was not verified is not acknowledged, so it must not be seen.
      if (!good) await this.#index.delete(o.coll, { op: 'eq', path: ['_id'], value: doc._id })
    }
    return good ? { ...doc, _rev: 0 } : again('A collector freed some of its chunks meanwhile')
  }

  /**
   * S5. From here on the caller's abort is no longer heard: it must not leave a document that is there and was never acknowledged. An answer that got
   * lost is settled by looking.
   */
  async #insert(doc: Doc, o: CommitOptions): Promise<void> {
    throwIfAborted(o.signal, { scheme: 'content', op: 'save', target: o.coll })
    try {
      await this.#index.insert(o.coll, [doc])
    } catch (error) {
      if (!isHubError(error, 'UNAVAILABLE') && !isHubError(error, 'UNKNOWN')) throw error
      const there = await this.#index.top(o.coll, { op: 'eq', path: ['_id'], value: doc._id }, { fields: [['_id']] })
      if (there === undefined) throw error
    }
  }

  /** An opaque file: cut by content, stored as it comes; memory holds a few chunks. */
  async #saveFile(source: FileSource, o: WriteOptions): Promise<SavedDoc> {
    const placement = await this.#rows.begin(callOf(o))
    const ids: string[] = []
    const sizes: number[] = []
    const begun = new Map<string, Promise<void>>()
    const stop = new AbortController()
    const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal
    const limiter = new Limiter(2)
    const running = new Set<Promise<void>>()
    let failure: { readonly error: unknown } | undefined
    let bytes = 0
    const chunker = new FileChunker(this.#limits.file)
    const total = source instanceof Blob ? { total: source.size } : {}
    const send = async (raw: Uint8Array<ArrayBuffer>): Promise<void> => {
      const at = ids.length
      ids.push('')
      sizes.push(raw.byteLength)
      await new Promise<void>((accepted) => {
        const job = limiter
          .run(1, async () => {
            accepted()
            throwIfAborted(signal)
            const id = raw.byteLength < HERE ? hashHere(raw) : await this.#pool.hash(raw, FILE_THREADS)
            ids[at] = id
            let placing = begun.get(id)
            if (placing === undefined) {
              placing = this.#rows.place(
                [{ id, size: raw.byteLength, encoded: () => encodeChunk(raw) }],
                placement,
                { signal },
                () => undefined,
              )
              begun.set(id, placing)
            }
            await placing
            bytes += raw.byteLength
            chunker.recycle(raw)
            o.onProgress?.({ phase: 'save', bytes, ...total })
          })
          .catch((error: unknown) => {
            failure ??= { error }
            stop.abort(error)
          })
          .finally(() => running.delete(job))
        running.add(job)
      })
    }
    try {
      for await (const piece of piecesOf(source, signal)) {
        throwIfAborted(signal)
        if (!(piece instanceof Uint8Array))
          throw new HubError('INVALID', 'The stream gave something other than Uint8Array.', {
            at: { scheme: 'content', op: 'save' },
          })
        for (const raw of chunker.push(piece)) await send(raw)
      }
      for (const raw of chunker.end()) await send(raw)
    } catch (error) {
      failure ??= { error }
      stop.abort(error)
    }
    await Promise.all(running)
    throwIfAborted(o.signal, { scheme: 'content', op: 'save' })
    if (failure !== undefined) throw failure.error
    const size = sizes.reduce((sum, n) => sum + n, 0)
    const file: ManifestTensor = { name: 'file', dtype: 'uint8', shape: [size], at: [] }
    const { chunks, stored } = chunksOf(ids, sizes, placement.placed)
    const at = sizes.map((length, i) => [i, 0, length] as const)
    const saved = await this.commit(
      { v: 1, format: o.format ?? 'file', tensors: [{ ...file, at }], chunks, bytes: size, stored },
      placement,
      o,
    )
    if (isHubError(saved)) throw saved
    return saved
  }
}

/** The chunks of a manifest. For tensors the numbering is the slices'; equal slices keep their own entries but share a key. */
export function chunksOf(
  ids: readonly string[],
  sizes: readonly number[],
  placed: ReadonlyMap<string, PlacedChunk>,
): { chunks: ManifestChunk[]; stored: number } {
  const chunks = ids.map((id, i): ManifestChunk => {
    const place = placed.get(id) as PlacedChunk
    return { ...place, id, size: sizes[i] as number }
  })
  let stored = 0
  for (const place of placed.values()) stored += place.stored
  return { chunks, stored }
}

function documentOf(content: Manifest, o: CommitOptions): SavedDoc {
  return o.document(content as Manifest & Value) as SavedDoc
}

function callOf(o: Call): Call {
  return o.signal ? { signal: o.signal } : {}
}
