import { crc32 } from 'node:zlib'
import {
  type BlobStore,
  type Call,
  HubError,
  isHubError,
  isMissingBlob,
  type Progress,
  throwIfAborted,
} from '@tensorhub/core'
import { codecOf, decodeChunk } from './chunk-codec.ts'
import type { EncodedChunk } from './chunk-rows.ts'
import type { Dtype } from './dtypes.ts'
import { FILE_THREADS, type HashPool, hashHere, THREADS_FROM } from './hashing.ts'
import { Limiter } from './limiter.ts'
import type { Extent, FullManifest, ManifestChunk, ManifestTensor } from './manifest.ts'
import { allocate } from './memory.ts'
import { decodeSafetensors } from './safetensors.ts'
import { decodeValue } from './value-codec.ts'

export interface LoadOptions extends Call {
  readonly onProgress?: (progress: Progress) => void
}

/** Bytes of chunks that are read, hashed and decoded at once. */
const IN_FLIGHT = 96 * 1024 * 1024
const FILE_AHEAD = 2
/** Bytes of a file given to the consumer at once. */
const FILE_PIECE = 256 * 1024

/** Reads chunks, each verified by its hash before any byte of it is given out. */
export class ChunkReader {
  readonly #blobs: BlobStore
  readonly #pool: HashPool
  readonly #limiter = new Limiter(IN_FLIGHT)

  constructor(blobs: BlobStore, pool: HashPool) {
    this.#blobs = blobs
    this.#pool = pool
  }

  /** The whole value of a manifest. */
  async value(manifest: FullManifest, o: LoadOptions): Promise<unknown> {
    if (manifest.inline !== undefined) {
      o.onProgress?.({ phase: 'load', bytes: manifest.bytes, total: manifest.bytes })
      return decodeSafetensors(inlineBytes(manifest))
    }
    const tensors = await this.#tensors(manifest, manifest.tensors, o)
    throwIfAborted(o.signal, { scheme: 'content', op: 'load' })
    const tree = tensors.get('$tree')
    const entries = new Map(manifest.tensors.map((t) => [t.name, t]))
    return decodeValue(tree === undefined ? (manifest.tree ?? 'null') : new TextDecoder().decode(tree), (name) => {
      const entry = entries.get(name)
      const bytes = tensors.get(name)
      if (entry === undefined || bytes === undefined)
        throw new HubError('INTEGRITY', `The content names the tensor '${name}', which it does not hold.`, {
          at: { scheme: 'content', op: 'load' },
        })
      return { dtype: entry.dtype, shape: entry.shape, bytes }
    })
  }

  /** The bytes of some tensors: each chunk is read once, straight into place where it is one tensor's slice. */
  async #tensors(
    manifest: FullManifest,
    wanted: readonly ManifestTensor[],
    o: LoadOptions,
  ): Promise<Map<string, Uint8Array>> {
    const out = new Map<string, Uint8Array>()
    const users = new Map<number, { readonly into: Uint8Array; readonly offset: number }[]>()
    for (const tensor of wanted) {
      const size = tensor.at.reduce((sum, extent) => sum + extent[2], 0)
      const bytes = allocate(size, `The tensor '${tensor.name}'`)
      out.set(tensor.name, bytes)
      let at = 0
      for (const [chunk, offset, length] of tensor.at) {
        const list = users.get(chunk) ?? []
        list.push({ into: bytes.subarray(at, at + length), offset })
        users.set(chunk, list)
        at += length
      }
    }
    const total = [...users.keys()].reduce((sum, chunk) => sum + (manifest.chunks[chunk] as ManifestChunk).size, 0)
    let done = 0
    await all(
      [...users].map(([number, places]) => async (call: Call) => {
        const chunk = manifest.chunks[number] as ManifestChunk
        const first = places[0] as { into: Uint8Array; offset: number }
        // A chunk that is exactly one slice is read where it belongs, without a copy.
        const direct = places.length === 1 && first.into.byteLength === chunk.size ? first.into : undefined
        const raw = await this.#limiter.run(chunk.size, () => this.chunk(chunk, call, total, direct))
        for (const { into, offset } of places)
          if (raw !== into) into.set(raw.subarray(offset, offset + into.byteLength))
        done += chunk.size
        o.onProgress?.({ phase: 'load', bytes: done, total })
      }),
      o,
    )
    return out
  }

  /** One chunk's raw bytes, verified. @throws INTEGRITY naming key, expected and found. */
  async chunk(
    chunk: ManifestChunk,
    call: Call,
    total: number,
    into?: Uint8Array,
    threads?: number,
  ): Promise<Uint8Array> {
    return (await this.#verified(chunk, call, total, into, threads)).raw
  }

  /** One chunk as it is stored; what it decodes to is verified. @throws INTEGRITY naming key, expected and found. */
  async encoded(chunk: ManifestChunk, call: Call, total: number): Promise<EncodedChunk> {
    return { codec: codecOf(chunk.key), bytes: (await this.#verified(chunk, call, total)).stored }
  }

  async #verified(
    chunk: ManifestChunk,
    call: Call,
    total: number,
    into?: Uint8Array,
    threads?: number,
  ): Promise<{ readonly raw: Uint8Array; readonly stored: Uint8Array }> {
    const at = { scheme: 'content', op: 'load', target: chunk.key }
    let raw: Uint8Array
    let stored: Uint8Array
    try {
      if (codecOf(chunk.key) === 'raw') {
        raw = into ?? allocate(chunk.size, `The chunk '${chunk.key}'`)
        const info = await this.#blobs.readInto(chunk.key, raw, { ...call, offset: 0 })
        if (info.size !== chunk.size) throw damaged(chunk, `it has ${info.size} bytes instead of ${chunk.size}`)
        stored = raw
      } else {
        stored = await this.#blobs.bytes(chunk.key, call)
        if (chunk.crc !== undefined && crc32(stored) !== chunk.crc)
          throw damaged(chunk, 'its stored bytes have changed')
        raw = await decodeChunk(stored, chunk.size, chunk.key)
      }
    } catch (error) {
      if (isHubError(error, 'RANGE')) throw damaged(chunk, 'it is shorter than it was', error)
      if (isMissingBlob(error))
        throw new HubError('INTEGRITY', `The chunk '${chunk.key}' is missing from the blob store.`, {
          at,
          reason: 'CHUNK_MISSING',
          cause: error,
        })
      throw error
    }
    if (raw.byteLength !== chunk.size)
      throw damaged(chunk, `it decodes to ${raw.byteLength} bytes instead of ${chunk.size}`)
    const id = total >= THREADS_FROM ? await this.#pool.hash(raw, threads) : hashHere(raw)
    if (id !== chunk.id) throw damaged(chunk, `its bytes hash to ${id}`)
    return { raw, stored }
  }

  /** Rows `start` to `end` of one tensor, reading only the chunks they lie in. */
  async rows(
    manifest: FullManifest,
    tensor: ManifestTensor,
    start: number,
    end: number,
    call: Call,
  ): Promise<{ readonly dtype: Dtype; readonly shape: readonly number[]; readonly bytes: Uint8Array }> {
    const rows = tensor.shape[0] as number
    const from = Math.min(start, rows)
    const to = Math.min(end, rows)
    const size = tensor.at.reduce((sum, extent) => sum + extent[2], 0)
    const row = rows === 0 ? 0 : size / rows
    const out = allocate((to - from) * row, `These rows of the tensor '${tensor.name}'`)
    /** What each chunk gives: each is read once, however many pieces of it there are. */
    const wanted = new Map<number, { readonly offset: number; readonly length: number; readonly into: number }[]>()
    let at = 0
    for (const [number, offset, length] of tensor.at) {
      const begin = Math.max(at, from * row)
      const stop = Math.min(at + length, to * row)
      if (begin < stop) {
        const list = wanted.get(number) ?? []
        list.push({ offset: offset + begin - at, length: stop - begin, into: begin - from * row })
        wanted.set(number, list)
      }
      at += length
    }
    const jobs = [...wanted].map(([number, pieces]) => (inner: Call) => {
      const chunk = manifest.chunks[number] as ManifestChunk
      return this.#limiter.run(chunk.size, async () => {
        const raw = await this.chunk(chunk, inner, chunk.size)
        for (const { offset, length, into } of pieces) out.set(raw.subarray(offset, offset + length), into)
      })
    })
    await all(jobs, call)
    return { dtype: tensor.dtype, shape: [to - from, ...tensor.shape.slice(1)], bytes: out }
  }

  /**
   * The bytes of a file in order, a few chunks ahead of the consumer. Chunks are read into the same few pieces of memory again and again, and given out
   * as small copies: garbage of the size of chunks is collected too late to keep the process small.
   */
  stream(manifest: FullManifest, o: LoadOptions): ReadableStream<Uint8Array> {
    const [file] = manifest.tensors
    const extents = file?.at ?? []
    const chunks = extents.map(([number]) => manifest.chunks[number] as ManifestChunk)
    const most = chunks.reduce((size, chunk) => Math.max(size, chunk.size), 0)
    const free: ArrayBuffer[] = []
    const ahead: { readonly memory: ArrayBuffer; readonly chunk: Promise<Uint8Array> }[] = []
    const stop = new AbortController()
    const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal
    const at = { scheme: 'content', op: 'load' }
    let next = 0
    let done = 0
    let current: { readonly memory: ArrayBuffer; readonly bytes: Uint8Array; at: number } | undefined
    const begin = () => {
      for (; ahead.length < FILE_AHEAD && next < chunks.length; next++) {
        const it = chunks[next] as ManifestChunk
        const memory = free.pop() ?? allocate(most, `The chunk '${it.key}'`).buffer
        const [, offset, length] = extents[next] as Extent
        const into = new Uint8Array(memory, 0, it.size)
        const chunk = this.chunk(it, { signal }, manifest.bytes, into, FILE_THREADS).then((raw) =>
          raw.subarray(offset, offset + length),
        )
        // A failure is given to the consumer when it gets there; until then it must not count as unhandled.
        chunk.then(undefined, () => undefined)
        ahead.push({ memory, chunk })
      }
    }
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            if (current === undefined) {
              begin()
              const first = ahead.shift()
              if (first === undefined) {
                throwIfAborted(o.signal, at)
                return controller.close()
              }
              current = { memory: first.memory, bytes: await first.chunk, at: 0 }
              begin()
            }
            // What was read ahead is not given to a caller who gave up meanwhile.
            throwIfAborted(o.signal, at)
            const piece = current.bytes.slice(current.at, current.at + FILE_PIECE)
            current.at += piece.byteLength
            if (current.at === current.bytes.byteLength) {
              free.push(current.memory)
              current = undefined
            }
            done += piece.byteLength
            o.onProgress?.({ phase: 'load', bytes: done, total: manifest.bytes })
            controller.enqueue(piece)
          } catch (error) {
            stop.abort(error)
            throw error
          }
        },
        cancel(reason) {
          stop.abort(reason)
        },
      },
      { highWaterMark: 0 },
    )
  }
}

/** Runs all jobs; the first failure aborts the others, and is thrown when all have ended. */
export async function all(jobs: readonly ((call: Call) => Promise<void>)[], o: Call): Promise<void> {
  const stop = new AbortController()
  const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal
  let first: { readonly error: unknown } | undefined
  await Promise.all(
    jobs.map((job) =>
      job({ signal }).catch((error: unknown) => {
        first ??= { error }
        stop.abort(error)
      }),
    ),
  )
  if (first !== undefined) throw first.error
}

/**
 * The verified bytes of a value that lies in its document: memory of its own, so that views of it are aligned and keep no pooled Buffer alive.
 *
 * @throws INTEGRITY
 */
export function inlineBytes(manifest: FullManifest): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(manifest.inline ?? '', 'base64'))
  const id = hashHere(bytes)
  if (id !== manifest.id)
    throw new HubError(
      'INTEGRITY',
      `The value inside the document is damaged: its ${bytes.byteLength} bytes hash to ${id}; ${manifest.id} was expected.`,
      { at: { scheme: 'content', op: 'load' }, reason: 'INLINE_DAMAGED' },
    )
  return bytes
}

function damaged(chunk: ManifestChunk, what: string, cause?: unknown): HubError {
  return new HubError('INTEGRITY', `The chunk '${chunk.key}' is damaged: ${what}; ${chunk.id} was expected.`, {
    at: { scheme: 'content', op: 'load', target: chunk.key },
    reason: 'CHUNK_DAMAGED',
    ...(cause === undefined ? {} : { cause }),
  })
}
