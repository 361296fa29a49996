import type {
  BlobCan,
  BlobDriver,
  BlobInfo,
  ByteRange,
  Precondition,
  SignedUrl,
  SignOptions,
  WriteOptions,
} from '../contracts/blob-driver.ts'
import type { Call } from '../contracts/driver.ts'
import { type ErrorPlace, HubError, isMissingBlob } from '../errors/hub-error.ts'
import { asHubError, withMappedErrors } from '../errors/wrap.ts'
import { Lifecycle } from '../lifecycle/lifecycle.ts'
import { type BlobBody, bytesOfBody, exactSize, streamOfBody } from './body.ts'
import {
  checkCan,
  checkCopyForm,
  checkListForm,
  checkReadForm,
  checkSignForm,
  checkSweepForm,
  checkWriteForm,
  unsupported,
} from './guard.ts'
import { checkKey, checkPrefix } from './key.ts'

/**
 * Milliseconds that an abort waits for a change under way to end, so that nothing of it comes behind whatever its caller does next. Drivers end theirs at once, or
 * know within two seconds what became of it, and clean up; one that takes longer must not hold its caller.
 */
const LINGER = 3000

/** The blob layer's public class, over any {@link BlobDriver}: lazy open, key and option checks before any I/O, sizes verified, errors with place. */
export class BlobStore implements AsyncDisposable {
  readonly driver: BlobDriver
  readonly #life: Lifecycle<BlobCan, BlobDriver>

  constructor(driver: BlobDriver) {
    this.driver = driver
    this.#life = new Lifecycle<BlobCan, BlobDriver>(driver)
  }

  get scheme(): string {
    return this.driver.scheme
  }

  async open(call: Call = {}): Promise<void> {
    await this.can(call)
  }

  /** The effective capabilities. */
  can(call: Call = {}): Promise<Readonly<BlobCan>> {
    return this.#life.ready(this.#at('open'), call.signal)
  }

  close(): Promise<void> {
    return this.#life.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @throws NOT_FOUND */
  async stat(key: string, o: Call = {}): Promise<BlobInfo> {
    const at = this.#at('stat', checkKey(key))
    return this.#life.run(at, o.signal, () => this.driver.stat(key, o))
  }

  /** Whether the blob is there; every failure but its own NOT_FOUND throws, a missing bucket included. */
  async exists(key: string, o: Call = {}): Promise<boolean> {
    try {
      await this.stat(key, o)
      return true
    } catch (error) {
      if (isMissingBlob(error)) return false
      throw error
    }
  }

  /** Info and body together. NOT_FOUND comes before the first byte; cancelling the body frees its socket or file. */
  async read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string } = {},
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    const at = this.#at('read', checkKey(key))
    checkReadForm(o, at)
    const { info, body } = await this.#life.run(at, o.signal, async () => {
      const found = await this.driver.read(key, o)
      // The caller has been told by now, and will never see this body: its file or socket would stay open.
      if (o.signal?.aborted) await found.body.cancel(o.signal.reason)
      return found
    })
    return { info, body: withMappedErrors(body, (error) => asHubError(error, at)) }
  }

  /** The whole blob, or a range of it, in memory. */
  async bytes(key: string, o: Call & { range?: ByteRange; ifVersion?: string } = {}): Promise<Uint8Array> {
    const { info, body } = await this.read(key, o)
    const offset = o.range?.offset ?? 0
    const expected = Math.max(0, Math.min(o.range?.length ?? Number.POSITIVE_INFINITY, info.size - offset))
    const out = new Uint8Array(expected)
    await fill(out, body, this.#at('read', key), o.signal, false)
    return out
  }

  /** Reads `into.byteLength` bytes from `offset` into the caller's memory. @throws RANGE when the blob is shorter. */
  async readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    const at = this.#at('read', checkKey(key))
    const { offset, ...rest } = o
    const range = { offset, length: into.byteLength }
    checkReadForm({ ...rest, range }, at)
    return this.#life.run(at, o.signal, async () => {
      if (this.driver.readInto !== undefined) return this.driver.readInto(key, into, o)
      const { info, body } = await this.driver.read(key, { ...rest, range })
      await fill(into, body, at, o.signal, info.size < offset + into.byteLength)
      return info
    })
  }

  /** All-or-nothing. A body that ends short of or beyond `size`: INVALID, and nothing is visible. */
  async write(key: string, body: BlobBody, o: WriteOptions = {}): Promise<BlobInfo> {
    const at = this.#at('write', checkKey(key))
    checkWriteForm(o, at)
    const bytes = bytesOfBody(body)
    const real = bytes?.byteLength ?? (body instanceof Blob ? body.size : undefined)
    if (real !== undefined && o.size !== undefined && o.size !== real) {
      throw new HubError('INVALID', `The body has ${real} bytes; the size given was ${o.size}.`, { at, path: 'size' })
    }
    const size = real ?? o.size
    return this.#change(at, o.signal, async (can) => {
      checkCan(o, size, can, at)
      if (bytes !== undefined && this.driver.writeBytes !== undefined) {
        const { size: _known, ...rest } = o
        return this.driver.writeBytes(key, bytes, rest)
      }
      const stream = exactSize(streamOfBody(body), size, o.signal, can.sizeMax)
      try {
        return await this.driver.write(key, stream, { ...o, ...(size === undefined ? {} : { size }) })
      } catch (error) {
        // A driver that failed before it looked at the body leaves its source open. One that has ended, or is being read, says so, and is well.
        if (!stream.locked) await stream.cancel(error).catch(() => undefined)
        throw error
      }
    })
  }

  /** A missing key is success. */
  async delete(keys: readonly string[], o: Call = {}): Promise<void> {
    for (const key of keys) checkKey(key)
    const at = this.#at('delete', keys.length === 1 ? keys[0] : `${keys.length} keys`)
    return this.#change(at, o.signal, async (can) => {
      for (let i = 0; i < keys.length; i += can.deleteMax) await this.driver.delete(keys.slice(i, i + can.deleteMax), o)
    })
  }

  /** Blobs by prefix in key order, over all pages; `after` is exclusive. */
  list(prefix: string, o: Call & { after?: string; limit?: number } = {}): AsyncGenerator<BlobInfo, void, undefined> {
    const at = this.#at('list', checkPrefix(prefix))
    checkListForm(o, at)
    if (o.after !== undefined) checkPrefix(o.after)
    return this.#life.stream(at, o.signal, () => this.driver.list(prefix, o))
  }

  async copy(from: string, to: string, o: Call & { when?: Precondition } = {}): Promise<BlobInfo> {
    checkKey(from)
    const at = this.#at('copy', checkKey(to))
    checkCopyForm(o, at)
    return this.#change(at, o.signal, async (can) => {
      if (!can.copy || this.driver.copy === undefined) throw unsupported('copy', undefined, at)
      checkCan(o, undefined, can, at)
      return this.driver.copy(from, to, o)
    })
  }

  /**
   * A URL that gives access for `expiresIn` seconds, with the headers that its request must carry. With PUT and `sha256` no other body is taken.
   *
   * @throws UNSUPPORTED where the store cannot bind an upload to its hash.
   */
  async sign(key: string, o: Call & SignOptions): Promise<SignedUrl> {
    const at = this.#at('sign', checkKey(key))
    checkSignForm(o, at)
    return this.#life.run(at, o.signal, async (can) => {
      if (!can.sign || this.driver.sign === undefined) throw unsupported('signed URLs', undefined, at)
      return this.driver.sign(key, o)
    })
  }

  /** Frees leftovers of interrupted writes older than `before`. */
  async sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    const at = this.#at('sweep')
    checkSweepForm(o, at)
    return this.#change(at, o.signal, async () => (await this.driver.sweep?.(o)) ?? { count: 0, bytes: 0 })
  }

  #change<T>(
    at: ErrorPlace,
    signal: AbortSignal | undefined,
    call: (can: Readonly<BlobCan>) => Promise<T>,
  ): Promise<T> {
    return this.#life.run(at, signal, call, LINGER)
  }

  #at(op: string, target?: string): ErrorPlace {
    return { scheme: this.driver.scheme, op, ...(target === undefined ? {} : { target }) }
  }
}

/** The public class over a driver. */
export function openBlobs(driver: BlobDriver): BlobStore {
  return new BlobStore(driver)
}

/** Fills memory from a stream. @param isShort The blob itself is known to end before. @throws RANGE then, INTEGRITY when the store gives less or more than it should. */
async function fill(
  out: Uint8Array,
  body: ReadableStream<Uint8Array>,
  at: ErrorPlace,
  signal: AbortSignal | undefined,
  isShort: boolean,
): Promise<void> {
  const reader = body.getReader()
  const onAbort = () => void reader.cancel(signal?.reason).then(undefined, () => undefined)
  signal?.addEventListener('abort', onAbort, { once: true })
  let filled = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (filled + value.byteLength > out.byteLength)
        throw new HubError('INTEGRITY', `The store gave more bytes than the ${out.byteLength} asked for.`, { at })
      out.set(value, filled)
      filled += value.byteLength
    }
  } catch (error) {
    // The body has failed already; that cancelling it fails too is nothing new.
    await reader.cancel(error).catch(() => undefined)
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
  if (signal?.aborted) throw new HubError('ABORTED', 'The operation was aborted.', { at, cause: signal.reason })
  if (filled === out.byteLength) return
  if (isShort)
    throw new HubError('RANGE', `The blob ends ${filled} bytes behind the offset; ${out.byteLength} were asked for.`, {
      at,
    })
  throw new HubError('INTEGRITY', `The store gave ${filled} of the ${out.byteLength} bytes it has; try again.`, {
    at,
    retryable: true,
  })
}
