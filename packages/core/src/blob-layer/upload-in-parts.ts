import type { BlobInfo, Precondition } from '../contracts/blob-driver.ts'
import type { Call } from '../contracts/driver.ts'
import { abortError, HubError, throwIfAborted } from '../errors/hub-error.ts'
import { PartReader } from './part-reader.ts'
import { type PartLimits, partSizes, tooLarge } from './part-sizes.ts'

/**
 * What a driver supplies for uploads in parts: five small functions, one request each (and a sixth where an upload may be narrower than asked). The precondition comes with `once`, `begin` and `finish`; it must hold at
 * the commit, so a driver that can send it in `finish` only may leave `begin`'s alone, never the other way round.
 */
export interface PartUpload<S> {
  /** Stores a body that fits in one request. */
  once(bytes: Uint8Array, o: Call & { readonly when?: Precondition }): Promise<BlobInfo>
  /** Opens an upload, and gives whatever the others need to know it by. */
  begin(o: Call & { readonly when?: Precondition }): Promise<S>
  /** Parts of this upload in flight at once, where only `begin` finds out that they must be fewer than the write's `parallel`. */
  parallel?(session: S): number
  /** Sends part `n`, from 1; gives its tag (an ETag, a block's id). Several run at once; `bytes` is the driver's for the duration of the call. */
  part(session: S, n: number, bytes: Uint8Array, o: Call): Promise<string>
  /** The commit: makes the blob visible whole, with its parts in the order of `tags`. */
  finish(session: S, tags: readonly string[], o: Call & { readonly when?: Precondition }): Promise<BlobInfo>
  /**
   * Frees an upload that failed. Called once no part is in flight any more. With `finishing`, `finish` failed, and its reply alone may have been lost: a
   * blob that was committed must stay whole.
   */
  abort(session: S, o: { readonly finishing: boolean }): Promise<void>
}

/** Limits are the driver's `can`; the rest is the write's. */
export interface PartUploadOptions extends Call, PartLimits {
  /** Bytes of the body, where known. */
  readonly size?: number
  readonly when?: Precondition
  /** Most parts in flight at once. One more is being filled meanwhile. */
  readonly parallel: number
  /**
   * Bytes that the parts in flight may hold together, one part excepted: parts grow with the body (a terabyte in 10,000 of them needs 100 MiB each), and so many of
   * them at once as of small ones would be gigabytes. Default: no such bound.
   */
  readonly memory?: number
  /** Preferred bytes of a part; default `partMin`. */
  readonly partSize?: number
}

/**
 * Writes a body of known or unknown size through a store's multi-part upload. A body that fits in one part is sent by `once`. Otherwise a sliding window of
 * `parallel` parts is in flight while the next is read. On any failure (source, part, commit, abort, a body that is not of its size) the parts in flight
 * are aborted and awaited, `abort` is called, the source is cancelled, and the *first* failure is thrown; a failing `abort` is its `suppressed`.
 *
 * @throws INVALID before any request when `size` is beyond the store's limits, and when a body of unknown size turns out to be.
 */
export async function uploadInParts<S>(
  body: ReadableStream<Uint8Array>,
  up: PartUpload<S>,
  o: PartUploadOptions,
): Promise<BlobInfo> {
  const upload = new Upload(body, up, o)
  try {
    return await upload.run()
  } catch (error) {
    throw await upload.undo(error)
  }
}

class Upload<S> {
  readonly #up: PartUpload<S>
  readonly #o: PartUploadOptions
  readonly #source: ReadableStreamDefaultReader<Uint8Array>
  readonly #inFlight = new Set<Promise<void>>()
  #bytesInFlight = 0
  /** Stops the parts in flight once one of them, or the source, failed. */
  readonly #stop = new AbortController()
  readonly #tags: string[] = []
  #session: { readonly of: S } | undefined
  #finishing = false
  #failure: { readonly error: unknown } | undefined
  /** Rejects what this upload waits for. One at a time: racing each read with one long-lived promise would keep every piece alive. */
  #interrupt: ((error: unknown) => void) | undefined

  constructor(body: ReadableStream<Uint8Array>, up: PartUpload<S>, o: PartUploadOptions) {
    this.#up = up
    this.#o = o
    this.#source = body.getReader()
  }

  async run(): Promise<BlobInfo> {
    const { signal, size, parallel } = this.#o
    throwIfAborted(signal, AT)
    if (!(Number.isInteger(parallel) && parallel >= 1))
      throw new HubError('INVALID', `parallel must be a whole number from 1, not ${parallel}.`, { at: AT })
    const sizes = partSizes(size, this.#o, this.#o.partSize)
    const onAbort = () => this.#failed(abortError(signal as AbortSignal, AT))
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const reader = new PartReader(() => this.#interruptible(this.#source.read()), size)
      let sent = 0
      for (let n = 1; ; n++) {
        const { bytes, last } = await reader.part(sizes.of(n, sent))
        if (reader.bytes > sizes.most) throw tooLarge(sizes.most)
        this.#throwIfFailed()
        if (last && n === 1) return await this.#up.once(bytes, this.#commit)
        // Growing parts always reach `most`, unless the store's own limits leave too few of them.
        if (n > this.#o.partsMax || (n === this.#o.partsMax && !last)) throw tooLarge(sent + bytes.byteLength)
        this.#session ??= { of: await this.#up.begin(this.#commit) }
        await this.#room(this.#session.of, bytes.byteLength)
        this.#send(this.#session.of, n, bytes)
        sent += bytes.byteLength
        if (last) break
      }
      while (this.#inFlight.size > 0) await this.#interruptible(Promise.race(this.#inFlight))
      this.#throwIfFailed()
      this.#finishing = true
      return await this.#up.finish((this.#session as { of: S }).of, this.#tags, this.#commit)
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Cleans up after a failure, and gives the error to throw. */
  async undo(error: unknown): Promise<unknown> {
    this.#stop.abort(error)
    // Not awaited: a source that never ends its cancel must not keep the upload from being freed. That it fails too is nothing new: the write has failed.
    this.#source.cancel(error).catch(() => undefined)
    // A part that is still on its way could be stored after the upload was aborted, and stay for ever (S3 says so of AbortMultipartUpload).
    while (this.#inFlight.size > 0) await Promise.race(this.#inFlight)
    if (this.#session !== undefined) {
      try {
        await this.#up.abort(this.#session.of, { finishing: this.#finishing })
      } catch (failure) {
        if (error instanceof Error) Object.assign(error, { suppressed: failure })
      }
    }
    return error
  }

  /** Options of the requests that commit or lead to it. */
  get #commit(): Call & { readonly when?: Precondition } {
    const { signal, when } = this.#o
    return { ...(signal ? { signal } : {}), ...(when ? { when } : {}) }
  }

  /** Waits until one more part, of so many bytes, may be sent. */
  async #room(session: S, bytes: number): Promise<void> {
    const { parallel, memory = Number.POSITIVE_INFINITY } = this.#o
    const most = Math.min(parallel, this.#up.parallel?.(session) ?? parallel)
    const isFull = () => this.#inFlight.size >= most || this.#bytesInFlight + bytes > memory
    while (this.#inFlight.size > 0 && isFull()) await this.#interruptible(Promise.race(this.#inFlight))
    this.#throwIfFailed()
  }

  #send(session: S, n: number, bytes: Uint8Array): void {
    const { signal } = this.#o
    const either = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
    const sending = this.#up.part(session, n, bytes, { signal: either }).then(
      (tag) => {
        this.#tags[n - 1] = tag
      },
      (error: unknown) => this.#failed(error),
    )
    const settled = sending.finally(() => {
      this.#bytesInFlight -= bytes.byteLength
      this.#inFlight.delete(settled)
    })
    this.#bytesInFlight += bytes.byteLength
    this.#inFlight.add(settled)
  }

  #failed(error: unknown): void {
    this.#failure ??= { error }
    this.#interrupt?.(this.#failure.error)
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #interruptible<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure.error)
      this.#interrupt = reject
      promise.then(resolve, reject).finally(() => {
        if (this.#interrupt === reject) this.#interrupt = undefined
      })
    })
  }
}

const AT = { scheme: 'core', op: 'write' }
