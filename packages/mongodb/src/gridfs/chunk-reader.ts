import { abortError, type ErrorPlace, HubError, retrying, throwIfAborted } from '@tensorhub/core'
import { reading } from '../reads.ts'
import type { Collections, KeyRow } from './collections.ts'
import { REQUEST_BYTES } from './collections.ts'
import { isPassing } from './failures.ts'
import type { Slots } from './slots.ts'

/** Bytes that a stream asks for at a time, where chunks are smaller, and the most that it has on the way. */
const PIECE = 1024 * 1024
const AHEAD = 8 * 1024 * 1024

export interface ReadCall {
  readonly at: ErrorPlace
  readonly signal?: AbortSignal | undefined
}

/** Reads the chunks of files. A file's chunks never change, so requests for one file are of one version, however many they are. */
export class ChunkReader {
  readonly #collections: Collections
  readonly #slots: Slots
  readonly #timeout: number

  constructor(collections: Collections, slots: Slots, timeout: number) {
    this.#collections = collections
    this.#slots = slots
    this.#timeout = timeout
  }

  /** Fills memory with the file's bytes from `offset` on, by as many requests at once as there are slots. */
  async fill(row: KeyRow, into: Uint8Array, offset: number, spread: number, call: ReadCall): Promise<void> {
    const { chunkSize } = row
    const first = Math.floor(offset / chunkSize)
    const count = Math.ceil((offset + into.byteLength) / chunkSize) - first
    const most = Math.max(1, Math.floor(REQUEST_BYTES / chunkSize))
    const each = Math.min(most, Math.max(Math.ceil(count / spread), Math.ceil(PIECE / chunkSize)))
    let stopped = false
    const requests: Promise<void>[] = []
    for (let n = first; n < first + count; n += each) {
      const from = Math.max(offset, n * chunkSize)
      const to = Math.min(offset + into.byteLength, (n + each) * chunkSize)
      const place = into.subarray(from - offset, to - offset)
      requests.push(
        this.#slots.run(async () => {
          if (stopped) return
          try {
            await this.#request(row, place, from, call)
          } catch (error) {
            stopped = true
            throw error
          }
        }),
      )
    }
    // The memory is the caller's again once this ends, so nothing may write into it any more.
    const outcomes = await Promise.allSettled(requests)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** The bytes from `offset` to `end`, a window of requests ahead of the consumer that grows as it reads on. */
  stream(row: KeyRow, offset: number, end: number, call: ReadCall): ReadableStream<Uint8Array> {
    const { chunkSize } = row
    const each = Math.max(1, Math.floor(PIECE / chunkSize)) * chunkSize
    const widest = Math.max(2, Math.floor(AHEAD / each))
    const ahead: Promise<Uint8Array>[] = []
    let next = offset
    let width = 1
    const { signal, at } = call
    let forget = (): void => undefined
    return new ReadableStream<Uint8Array>(
      {
        // At once, and not when the server has answered.
        start: (controller) => {
          if (signal === undefined) return
          const onAbort = () => controller.error(abortError(signal, at))
          signal.addEventListener('abort', onAbort, { once: true })
          forget = () => signal.removeEventListener('abort', onAbort)
        },
        pull: async (controller) => {
          throwIfAborted(signal, at)
          while (ahead.length < width && next < end) {
            const to = Math.min(end, (Math.floor(next / each) + 1) * each)
            const piece = this.#piece(row, next, to, call)
            // Whoever takes it from the window sees its failure; one that nobody takes is none.
            piece.catch(() => undefined)
            ahead.push(piece)
            next = to
          }
          width = Math.min(2 * width, widest)
          const piece = await ahead.shift()
          if (signal?.aborted) return
          if (piece !== undefined) return controller.enqueue(piece)
          forget()
          controller.close()
        },
        // Requests on their way are of one reply each and end by themselves: no cursor stays open.
        cancel: () => {
          forget()
          ahead.length = 0
          next = end
        },
      },
      { highWaterMark: 0 },
    )
  }

  async #piece(row: KeyRow, from: number, to: number, call: ReadCall): Promise<Uint8Array> {
    return this.#slots.run(async () => {
      const piece = new Uint8Array(to - from)
      await this.#request(row, piece, from, call)
      return piece
    })
  }

  /** One request of consecutive chunks. */
  async #request(row: KeyRow, place: Uint8Array, offset: number, call: ReadCall): Promise<void> {
    if (place.byteLength === 0) return
    const { chunkSize, length } = row
    const end = offset + place.byteLength
    const first = Math.floor(offset / chunkSize)
    const count = Math.ceil(end / chunkSize) - first
    const documents = await retrying(
      () =>
        this.#collections.chunks
          .find(
            { files_id: row.file, n: { $gte: first, $lt: first + count } },
            // Some servers do not cut their replies at 16 MiB, so the request itself is of at most so much; its one reply leaves no cursor open.
            { projection: { _id: 0, n: 1, data: 1 }, limit: count, batchSize: count, singleBatch: true },
          )
          .toArray(),
      { isTransient: isPassing, withinMs: this.#timeout, at: call.at, ...(call.signal && { signal: call.signal }) },
    )
    throwIfAborted(call.signal, call.at)
    const seen = new Set<number>()
    for (const { n, data } of documents) {
      const start = n * chunkSize
      const expected = Math.min(chunkSize, length - start)
      if (!(data instanceof Uint8Array) || data.byteLength !== expected || seen.has(n))
        throw await this.#damaged(row, `chunk ${n} has ${data?.byteLength} bytes instead of ${expected}`, call)
      seen.add(n)
      const from = Math.max(start, offset)
      place.set(data.subarray(from - start, Math.min(end - start, expected)), from - offset)
    }
    for (let n = first; n < first + count; n++)
      if (!seen.has(n)) throw await this.#damaged(row, `chunk ${n} is missing`, call)
  }

  /** A file without all of its chunks: replaced or deleted since its row was read; if not, damaged. */
  async #damaged(row: KeyRow, what: string, { at, signal }: ReadCall): Promise<HubError> {
    const { keys } = this.#collections
    const now = await reading(
      () => keys.findOne({ _id: row._id, file: row.file }, { projection: { _id: 1 } }),
      signal === undefined ? {} : { signal },
    )
    if (now === null)
      return new HubError('CONFLICT', `Blob '${at.target}' was replaced or deleted while it was read.`, {
        at,
        retryable: true,
      })
    return new HubError(
      'INTEGRITY',
      `Blob '${at.target}' is damaged: ${what} in '${this.#collections.chunks.namespace}' (files_id ${row.file.toHexString()}).`,
      { at },
    )
  }
}
