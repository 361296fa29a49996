import { type BlobStore, type Call, type Doc, HubError, type IndexStore, isHubError } from '@tensorhub/core'
import { type Adopter, type AdoptOptions, adopt } from './adopt.ts'
import { type CheckOptions, type CheckReport, check } from './checker.ts'
import { ChunkRows } from './chunk-rows.ts'
import { collect, type GcOptions, type GcReport } from './collector.ts'
import { HashPool } from './hashing.ts'
import { Limiter } from './limiter.ts'
import {
  checkManifest,
  type FullManifest,
  identityOf,
  isRef,
  type Manifest,
  type ManifestChunk,
  type ManifestTensor,
} from './manifest.ts'
import { ManifestLoader } from './manifest-loader.ts'
import { allocate } from './memory.ts'
import { ChunkReader, inlineBytes, type LoadOptions } from './reader.ts'
import { parseSafetensors, TREE } from './safetensors.ts'
import { decodeValue } from './value-codec.ts'
import { ContentWriter, type SavedDoc, type SaveOptions } from './writer.ts'

/** Bytes of another store's chunks in memory at once, on their way here. */
const ADOPTED_AT_ONCE = 64 * 1024 * 1024

/** One pool of threads serves every hub of the process. */
const pool = new HashPool()

/**
 * Values as content-addressed chunks over any index and blob store. A save is acknowledged only when every byte and its document are durable and
 * verified; a read gives nothing that was not hashed; what no document names is collected.
 */
export class ContentStore {
  readonly #index: IndexStore
  readonly #blobs: BlobStore
  readonly #manifests: ManifestLoader
  readonly #reader: ChunkReader
  readonly #writer: ContentWriter
  readonly #adopter: Adopter

  constructor(o: { readonly index: IndexStore; readonly blobs: BlobStore }) {
    this.#index = o.index
    this.#blobs = o.blobs
    this.#manifests = new ManifestLoader(o.blobs)
    this.#reader = new ChunkReader(o.blobs, pool)
    const rows = new ChunkRows(o.index, o.blobs)
    this.#writer = new ContentWriter(o.index, rows, this.#reader, pool)
    this.#adopter = { writer: this.#writer, rows, limiter: new Limiter(ADOPTED_AT_ONCE), underWay: new Map() }
  }

  /** Saves a value and its document. @throws INVALID (unsupported value, or one that was changed meanwhile), STORAGE_FULL, ABORTED, CONFLICT (retryable). */
  async save(value: unknown, o: SaveOptions): Promise<SavedDoc> {
    const { base, ...rest } = o
    const full = base && (await this.#base(base, o))
    return this.#writer.save(value, full === undefined ? rest : { ...rest, base: full })
  }

  /**
   * Stores a document of another store with its content: what `content` stands on there is read, verified and placed here, chunk by chunk as it is
   * stored, where this store does not have it. By the write protocol of a save: collectors may run, and the document comes last.
   *
   * @throws INTEGRITY when a chunk there is missing or damaged, EXISTS when the document is here, UNSUPPORTED for content of a newer version.
   */
  async adopt(from: ContentStore, content: Manifest, o: AdoptOptions): Promise<SavedDoc> {
    const manifest = await from.#manifests.full(content, o.name, o)
    // Not a byte is taken over unseen, also where there are no chunks.
    if (manifest.inline !== undefined) inlineBytes(manifest)
    const read = (chunk: ManifestChunk, call: Call) => from.#reader.encoded(chunk, call, manifest.bytes)
    return adopt(manifest, read, this.#adopter, o)
  }

  /** Whether a value lies wholly in its document, whose bytes are then verified: such a document can be stored anywhere as it is. @throws INTEGRITY, UNSUPPORTED */
  isInline(content: unknown, name: string): boolean {
    const manifest = checkManifest(content, name)
    if (isRef(manifest) || manifest.inline === undefined) return false
    inlineBytes(manifest)
    return true
  }

  /** What a content is, wherever it is stored: two contents with the same identity give the same value. @throws as {@link load} for a manifest that cannot be read. */
  async identity(content: unknown, name: string, call: Call): Promise<string> {
    return identityOf(await this.#manifests.full(content, name, call))
  }

  /** A base that is damaged, or of another version, is none. */
  async #base(base: Manifest, call: Call): Promise<FullManifest | undefined> {
    try {
      const manifest = await this.#manifests.full(base, 'the base', call)
      return manifest.inline === undefined && !isFile(manifest) ? manifest : undefined
    } catch (error) {
      if (isHubError(error, 'INTEGRITY') || isHubError(error, 'UNSUPPORTED')) return undefined
      throw error
    }
  }

  /** The value of a manifest. Opaque files come as one Uint8Array; use {@link stream} for large ones. */
  async load(content: Manifest, o: LoadOptions = {}): Promise<unknown> {
    const manifest = await this.#manifests.full(content, 'the record', o)
    if (!isFile(manifest)) return this.#reader.value(manifest, o)
    const bytes = allocate(
      (manifest.tensors[0]?.at ?? []).reduce((sum, [, , length]) => sum + length, 0),
      'The file',
    )
    let at = 0
    for await (const piece of this.#reader.stream(manifest, o)) {
      bytes.set(piece, at)
      at += piece.byteLength
    }
    return bytes
  }

  /** The bytes of an opaque file, or of a value that is one array of bytes. */
  stream(content: Manifest, o: LoadOptions = {}): ReadableStream<Uint8Array> {
    let inner: ReadableStreamDefaultReader<Uint8Array> | undefined
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          inner ??= (await this.#open(content, o)).getReader()
          const { done, value } = await inner.read()
          if (done) controller.close()
          else controller.enqueue(value)
        },
        cancel: (reason) => inner?.cancel(reason),
      },
      { highWaterMark: 0 },
    )
  }

  async #open(content: Manifest, o: LoadOptions): Promise<ReadableStream<Uint8Array>> {
    const manifest = await this.#manifests.full(content, 'the record', o)
    if (isFile(manifest)) return this.#reader.stream(manifest, o)
    const value = await this.#reader.value(manifest, o)
    if (!(value instanceof Uint8Array))
      throw new HubError('INVALID', 'The value is no array of bytes and cannot be streamed; load it.', {
        at: { scheme: 'content', op: 'stream' },
      })
    return ReadableStream.from([value]) as ReadableStream<Uint8Array>
  }

  /**
   * Rows `start` to `end` (exclusive) along the first axis of every tensor in the value, in the value's own structure; or of one tensor, by its name
   * (`t/0`) or number. Reads only the chunks the rows lie in. Arrays of fewer than 256 numbers belong to the structure and come back whole.
   */
  async rows(
    content: Manifest,
    o: Call & { readonly start: number; readonly end: number; readonly tensor?: string | number },
  ): Promise<unknown> {
    const whole = (n: number) => Number.isSafeInteger(n) && n >= 0
    if (!whole(o.start) || !whole(o.end) || o.end < o.start)
      throw new HubError('INVALID', 'rows needs whole numbers start ≤ end.', {
        at: { scheme: 'content', op: 'rows' },
        path: 'start',
      })
    const manifest = await this.#manifests.full(content, 'the record', o)
    const { tensors, tree, read } =
      manifest.inline === undefined ? this.#storedRows(manifest, o) : inlineRows(inlineBytes(manifest))
    const rowsOf = async (tensor: Shaped) => {
      if (tensor.shape.length === 0)
        throw new HubError('INVALID', `The tensor '${tensor.name}' is a scalar and has no rows.`, {
          at: { scheme: 'content', op: 'rows' },
        })
      return read(tensor.name, o.start, o.end)
    }
    if (o.tensor !== undefined) {
      const tensor = typeof o.tensor === 'number' ? tensors[o.tensor] : tensors.find((t) => t.name === o.tensor)
      if (tensor === undefined)
        throw new HubError(
          'NOT_FOUND',
          `The value has no tensor '${o.tensor}'; it has ${tensors.map((t) => t.name).join(', ') || 'none'}.`,
          { at: { scheme: 'content', op: 'rows' } },
        )
      const found = await rowsOf(tensor)
      return decodeValue('{"$t":"x","as":"tensor"}', () => found)
    }
    if (isFile(manifest))
      throw new HubError('INVALID', 'The value is an opaque file, which has no rows; load or stream it.', {
        at: { scheme: 'content', op: 'rows' },
      })
    if (tree === undefined)
      throw new HubError('INVALID', 'The structure of this value is too large for rows without a tensor; name one.', {
        at: { scheme: 'content', op: 'rows' },
        path: 'tensor',
      })
    const parts = new Map<string, RawTensor>()
    for (const tensor of tensors) parts.set(tensor.name, await rowsOf(tensor))
    return decodeValue(tree, (name) => parts.get(name) as RawTensor)
  }

  #storedRows(manifest: FullManifest, o: Call): RowSource {
    const call: Call = o.signal ? { signal: o.signal } : {}
    const tensors = manifest.tensors.filter((t) => t.name !== '$tree')
    return {
      tensors,
      tree: manifest.tree,
      read: (name, start, end) =>
        this.#reader.rows(manifest, tensors.find((t) => t.name === name) as ManifestTensor, start, end, call),
    }
  }

  /** One pass of collection. */
  gc(o: GcOptions): Promise<GcReport> {
    return collect(this.#index, this.#blobs, this.#manifests, o)
  }

  /** Checks every document's content; changes nothing. */
  check(o: CheckOptions): Promise<CheckReport> {
    return check(this.#index, this.#blobs, this.#manifests, this.#reader, o)
  }

  /**
   * The blobs that a document's content stands on, with their stored bytes: its chunks, and its manifest where that is a blob of its own. Content that
   * cannot be read (damaged, or of a newer version) gives none, so that it can still be deleted.
   */
  async blobsOf(doc: Doc, call: Call): Promise<{ readonly key: string; readonly stored: number }[]> {
    try {
      const content = checkManifest(doc.content, doc._id)
      const manifest = await this.#manifests.full(content, doc._id, call)
      return [
        ...manifest.chunks,
        ...(isRef(content) ? [{ key: content.manifest.key, stored: content.manifest.size }] : []),
      ]
    } catch (error) {
      if (isHubError(error, 'INTEGRITY') || isHubError(error, 'UNSUPPORTED')) return []
      throw error
    }
  }

  /** Of blobs (stored bytes by key) that deleted documents named: how many no document names any more. One pass over all documents with content. */
  async unnamed(
    blobs: ReadonlyMap<string, number>,
    o: Call & { readonly collections: readonly string[] },
  ): Promise<{ blobs: number; bytes: number }> {
    const call: Call = o.signal ? { signal: o.signal } : {}
    const free = new Map(blobs)
    for (const coll of o.collections) {
      if (free.size === 0) break
      const where = { op: 'exists', path: ['content'], value: true } as const
      for await (const doc of this.#index.find(coll, where, { ...call, fields: [['content']] })) {
        for (const { key } of await this.blobsOf(doc, call)) free.delete(key)
        if (free.size === 0) break
      }
    }
    return { blobs: free.size, bytes: [...free.values()].reduce((sum, n) => sum + n, 0) }
  }
}

function isFile(manifest: FullManifest): boolean {
  return (
    manifest.tree === undefined && manifest.inline === undefined && !manifest.tensors.some((t) => t.name === '$tree')
  )
}

type Shaped = Pick<ManifestTensor, 'name' | 'shape'>
type RawTensor = ReturnType<Parameters<typeof decodeValue>[1]>

/** Where rows come from: what tensors there are, how they make up the value, and their rows' bytes. */
interface RowSource {
  readonly tensors: readonly Shaped[]
  readonly tree: string | undefined
  read(name: string, start: number, end: number): Promise<RawTensor>
}

/** A value that is kept in its document: everything is at hand. */
function inlineRows(file: Uint8Array): RowSource {
  const { tensors, metadata } = parseSafetensors(file)
  return {
    tensors: [...tensors]
      .map(([name, { shape }]) => ({ name, shape }))
      .sort((a, b) => numberOf(a.name) - numberOf(b.name)),
    tree: metadata[TREE],
    async read(name, start, end) {
      const { dtype, shape, bytes } = tensors.get(name) as RawTensor
      const [rows, ...rest] = shape as [number, ...number[]]
      const row = rows === 0 ? 0 : bytes.byteLength / rows
      const [from, to] = [Math.min(start, rows), Math.min(end, rows)]
      return { dtype, shape: [to - from, ...rest], bytes: bytes.slice(from * row, to * row) }
    },
  }
}

/** The file holds wide elements first; by number they stand as in the value. */
function numberOf(name: string): number {
  return Number(name.slice(name.indexOf('/') + 1))
}
