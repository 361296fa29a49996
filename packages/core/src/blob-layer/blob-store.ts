import type { BlobCan, BlobDriver, BlobInfo, ByteRange, Precondition, WriteOptions } from '../contracts/blob-driver.ts'
import type { Call } from '../contracts/driver.ts'
import { type ErrorPlace, HubError, isHubError } from '../errors/hub-error.ts'
import { Lifecycle } from '../lifecycle/lifecycle.ts'
import { type BlobBody, bytesOfBody, exactSize, streamOfBody } from './body.ts'
import { checkKey, checkPrefix } from './key.ts'

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
  stat(key: string, o: Call = {}): Promise<BlobInfo> {
    const at = this.#at('stat', checkKey(key))
    return this.#life.run(at, o.signal, () => this.driver.stat(key, o))
  }

  /** Whether the blob is there; every failure but NOT_FOUND throws. */
  async exists(key: string, o: Call = {}): Promise<boolean> {
    try {
      await this.stat(key, o)
      return true
    } catch (error) {
      if (isHubError(error, 'NOT_FOUND')) return false
      throw error
    }
  }

  /** Info and body together. NOT_FOUND comes before the first byte; cancelling the body frees its socket or file. */
  read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string } = {},
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    const at = this.#at('read', checkKey(key))
    checkRange(o.range, at)
    return this.#life.run(at, o.signal, () => this.driver.read(key, o))
  }

  /** The whole blob, or a range of it, in memory. */
  async bytes(key: string, o: Call & { range?: ByteRange; ifVersion?: string } = {}): Promise<Uint8Array> {
    const { info, body } = await this.read(key, o)
    const offset = o.range?.offset ?? 0
    const expected = Math.max(0, Math.min(o.range?.length ?? Number.POSITIVE_INFINITY, info.size - offset))
    const out = new Uint8Array(expected)
    await fill(out, body, this.#at('read', key), o.signal)
    return out
  }

  /** Reads `into.byteLength` bytes from `offset` into the caller's memory. @throws RANGE when the blob is shorter. */
  readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    const at = this.#at('read', checkKey(key))
    checkRange({ offset: o.offset, length: into.byteLength }, at)
    return this.#life.run(at, o.signal, async () => {
      if (this.driver.readInto !== undefined) return this.driver.readInto(key, into, o)
      const { offset, ...rest } = o
      const { info, body } = await this.driver.read(key, { ...rest, range: { offset, length: into.byteLength } })
      await fill(into, body, at, o.signal)
      return info
    })
  }

  /** All-or-nothing. A body that ends short of or beyond `size`: INVALID, and nothing is visible. */
  write(key: string, body: BlobBody, o: WriteOptions = {}): Promise<BlobInfo> {
    const at = this.#at('write', checkKey(key))
    if (o.size !== undefined && (!Number.isSafeInteger(o.size) || o.size < 0))
      throw new HubError('INVALID', 'size must be a whole number of bytes.', { at, path: 'size' })
    const bytes = bytesOfBody(body)
    if (bytes !== undefined && o.size !== undefined && o.size !== bytes.byteLength) {
      throw new HubError('INVALID', `The body has ${bytes.byteLength} bytes; the size given was ${o.size}.`, {
        at,
        path: 'size',
      })
    }
    const size = bytes?.byteLength ?? (body instanceof Blob ? body.size : o.size)
    return this.#life.run(at, o.signal, async (can) => {
      checkWriteOptions(o, can, at)
      if (size !== undefined && size > can.sizeMax)
        throw new HubError('INVALID', `A blob of ${size} bytes is larger than the ${can.sizeMax} the store takes.`, {
          at,
          path: 'size',
        })
      if (bytes !== undefined && this.driver.writeBytes !== undefined) {
        const { size: _known, ...rest } = o
        return this.driver.writeBytes(key, bytes, rest)
      }
      return this.driver.write(key, exactSize(streamOfBody(body), size, o.signal), {
        ...o,
        ...(size === undefined ? {} : { size }),
      })
    })
  }

  /** A missing key is success. */
  delete(keys: readonly string[], o: Call = {}): Promise<void> {
    for (const key of keys) checkKey(key)
    const at = this.#at('delete', keys.length === 1 ? keys[0] : `${keys.length} keys`)
    return this.#life.run(at, o.signal, async (can) => {
      for (let i = 0; i < keys.length; i += can.deleteMax) await this.driver.delete(keys.slice(i, i + can.deleteMax), o)
    })
  }

  /** Blobs by prefix in key order, over all pages; `after` is exclusive. */
  list(prefix: string, o: Call & { after?: string; limit?: number } = {}): AsyncGenerator<BlobInfo, void, undefined> {
    const at = this.#at('list', checkPrefix(prefix))
    if (o.limit !== undefined && (!Number.isInteger(o.limit) || o.limit < 0))
      throw new HubError('INVALID', 'limit must be a whole number from 0.', { at, path: 'limit' })
    return this.#life.stream(at, o.signal, () => this.driver.list(prefix, o))
  }

  copy(from: string, to: string, o: Call & { when?: Precondition } = {}): Promise<BlobInfo> {
    checkKey(from)
    const at = this.#at('copy', checkKey(to))
    return this.#life.run(at, o.signal, (can) => {
      checkWriteOptions(o, can, at)
      if (!can.copy || this.driver.copy === undefined) throw unsupported('copy', at)
      return this.driver.copy(from, to, o)
    })
  }

  /** A URL that gives access for `expiresIn` seconds. */
  sign(key: string, o: Call & { method: 'GET' | 'PUT'; expiresIn: number }): Promise<URL> {
    const at = this.#at('sign', checkKey(key))
    return this.#life.run(at, o.signal, (can) => {
      if (!can.sign || this.driver.sign === undefined) throw unsupported('signed URLs', at)
      return this.driver.sign(key, o)
    })
  }

  /** Frees leftovers of interrupted writes older than `before`. */
  sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    return this.#life.run(
      this.#at('sweep'),
      o.signal,
      async () => (await this.driver.sweep?.(o)) ?? { count: 0, bytes: 0 },
    )
  }

  #at(op: string, target?: string): ErrorPlace {
    return { scheme: this.driver.scheme, op, ...(target === undefined ? {} : { target }) }
  }
}

/** The public class over a driver. */
export function openBlobs(driver: BlobDriver): BlobStore {
  return new BlobStore(driver)
}

function checkRange(range: ByteRange | undefined, at: ErrorPlace): void {
  if (range === undefined) return
  const whole = (n: number) => Number.isSafeInteger(n) && n >= 0
  if (!whole(range.offset) || (range.length !== undefined && !whole(range.length))) {
    throw new HubError('INVALID', 'A range is { offset, length } in whole bytes.', { at, path: 'range' })
  }
}

/** An option the store would ignore is refused before any I/O. */
function checkWriteOptions(o: WriteOptions, can: Readonly<BlobCan>, at: ErrorPlace): void {
  if (o.when && 'ifAbsent' in o.when && !can.ifAbsent) throw unsupported('writing only if absent', at)
  if (o.when && 'ifVersion' in o.when && !can.ifVersion) throw unsupported('writing only over a version', at)
  if ((o.contentType !== undefined || o.meta !== undefined) && !can.meta)
    throw unsupported('content types and metadata', at)
}

function unsupported(what: string, at: ErrorPlace): HubError {
  return new HubError(
    'UNSUPPORTED',
    `The ${at.scheme} blob store does not support ${what}, or not in this place (see its README); leave it out, or use another store.`,
    { at, reason: 'CAPABILITY' },
  )
}

/** Fills memory from a stream. @throws RANGE when it ends early. */
async function fill(
  out: Uint8Array,
  body: ReadableStream<Uint8Array>,
  at: ErrorPlace,
  signal: AbortSignal | undefined,
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
        throw new HubError('RANGE', `The store gave more bytes than the ${out.byteLength} asked for.`, { at })
      out.set(value, filled)
      filled += value.byteLength
    }
  } catch (error) {
    await reader.cancel(error)
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
  if (signal?.aborted) throw new HubError('ABORTED', 'The operation was aborted.', { at, cause: signal.reason })
  if (filled < out.byteLength)
    throw new HubError('RANGE', `The blob ended after ${filled} of ${out.byteLength} bytes.`, { at })
}
