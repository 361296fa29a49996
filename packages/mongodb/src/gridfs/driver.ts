import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  type ErrorPlace,
  HubError,
  isHubError,
  type Precondition,
  pause,
  StoreClock,
  throwIfAborted,
  uploadInParts,
  type WriteOptions,
  wrapErrors,
} from '@tensorhub/core'
import type { ObjectId } from 'mongodb'
import { Connection } from '../connection.ts'
import type { ConnectionOptions } from '../connection-options.ts'
import { reading } from '../reads.ts'
import { ChunkReader } from './chunk-reader.ts'
import {
  type Collections,
  collectionsOf,
  ensureIndexes,
  FIRST_KEY,
  infoOf,
  type KeyRow,
  metadataOf,
  newFileId,
  REQUEST_BYTES,
} from './collections.ts'
import { isAmbiguous, original } from './failures.ts'
import { type Bucket, bucketOf, type GridFsOptions } from './options.ts'
import { Slots } from './slots.ts'
import { sweep } from './sweep.ts'
import { type UploadCall, Uploader } from './uploader.ts'

/** The number of a chunk is an int32. */
const CHUNKS_MAX = 2 ** 31 - 1
const PAGE = 1000
/** Bytes that an upload of a stream has on the way. */
const STREAM_BYTES = 8 * 1024 * 1024
/** The store's clock is asked again when the last answer is so old, in ms, or this process slept. */
const CLOCK_AGE = 60_000
/** How often a lasting upload tells `sweep` that it lives, in ms. */
const ALIVE_MS = 60_000
/** How often bytes in memory are sent again when the server did not answer their commit and had not done it. */
const UPLOADS = 3
/** How often a listing goes on without having got a row, with waits of up to 0.05, 0.1, 0.2 … s. */
const LISTINGS = 8
const LISTING_MS = 25
/** How often a read starts anew when its blob was replaced. */
const READS = 4

/**
 * Blobs in GridFS. A blob is a GridFS file, readable by every client of GridFS under its key; which file a key means is one row in `<bucket>.keys`, so that
 * writing, replacing and deleting are one atomic change each.
 */
export function gridfs(options: GridFsOptions): BlobDriver {
  const connection = new Connection('gridfs', connectionPart(options))
  return wrapErrors(new GridFsBlobs(connection, bucketOf(options), ALIVE_MS), connection.mapError)
}

/** What there is while the driver is open. */
interface Opened {
  readonly collections: Collections
  readonly reader: ChunkReader
  readonly uploader: Uploader
  readonly clock: StoreClock
}

export class GridFsBlobs implements BlobDriver {
  readonly scheme = 'gridfs'
  readonly can: BlobCan
  readonly #connection: Connection
  readonly #bucket: Bucket
  readonly #aliveMs: number
  #opened: Opened | undefined
  #clockRead = { wall: 0, monotonic: 0 }
  #indexes: Promise<void> | undefined

  /** @param aliveMs How often a lasting upload tells `sweep` that it lives. */
  constructor(connection: Connection, bucket: Bucket, aliveMs: number) {
    const { chunkSize } = bucket
    this.can = {
      ifAbsent: true,
      ifVersion: true,
      meta: true,
      copy: false,
      sign: false,
      partMin: chunkSize,
      partMax: chunkSize,
      partsMax: CHUNKS_MAX,
      sizeMax: Math.min(CHUNKS_MAX * chunkSize, Number.MAX_SAFE_INTEGER),
      deleteMax: 1000,
    }
    this.#connection = connection
    this.#bucket = bucket
    this.#aliveMs = aliveMs
  }

  /** Reaches the server; no more. Indexes are made before the first write: who may only read can use the store. */
  async open(o: Call): Promise<Readonly<BlobCan>> {
    const { db, features } = await this.#connection.open(o)
    const { timeout } = this.#connection
    const collections = collectionsOf(db, this.#bucket.name)
    const slots = new Slots(this.#bucket.parallel)
    const clock = new StoreClock({
      now: async () => new Date(Number((await db.command({ [features.hello]: 1 }))['localTime'])),
    })
    const uploader = new Uploader(collections, slots, { timeout, aliveMs: this.#aliveMs, now: () => clock.now() })
    this.#opened = { collections, clock, uploader, reader: new ChunkReader(collections, slots, timeout) }
    return this.can
  }

  async close(): Promise<void> {
    this.#opened = undefined
    await this.#connection.close()
  }

  native(): unknown {
    return this.#connection.client
  }

  get #it(): Opened {
    if (this.#opened === undefined)
      throw new HubError('CLOSED', `The bucket '${this.#bucket.name}' is not open.`, {
        at: { scheme: this.scheme, op: 'open' },
      })
    return this.#opened
  }

  async stat(key: string, o: Call): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    return this.#info(await this.#row(key, undefined, 'stat'))
  }

  async read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    throwIfAborted(o.signal)
    const at = this.#at('read', key)
    const row = await this.#row(key, o.ifVersion, 'read')
    const { offset = 0, length = row.length } = o.range ?? {}
    if (offset > row.length || (offset === row.length && offset > 0))
      throw new HubError('RANGE', `The range from ${offset} lies outside blob '${key}' of ${row.length} bytes.`, { at })
    const body = this.#it.reader.stream(row, offset, Math.min(row.length, offset + length), { at, signal: o.signal })
    return { info: this.#info(row), body }
  }

  async readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    const at = this.#at('read', key)
    for (let attempt = 1; ; attempt++) {
      const row = await this.#row(key, o.ifVersion, 'read')
      if (o.offset + into.byteLength > row.length || (o.offset === row.length && o.offset > 0))
        throw new HubError(
          'RANGE',
          `Blob '${key}' has ${row.length} bytes; ${into.byteLength} from ${o.offset} were asked for.`,
          { at },
        )
      try {
        await this.#it.reader.fill(row, into, o.offset, this.#bucket.parallel, { at, signal: o.signal })
        return this.#info(row)
      } catch (error) {
        // Replaced meanwhile: where no version was asked for, the new one will do.
        if (o.ifVersion !== undefined || !isHubError(error, 'CONFLICT') || attempt >= READS) throw error
      }
    }
  }

  async write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    const at = this.#at('write', key)
    const { chunkSize } = this.#bucket
    const uploader = this.#it.uploader
    this.#checkWhen(o.when, at)
    const parallel = Math.max(2, Math.min(this.#bucket.parallel, Math.floor(STREAM_BYTES / chunkSize)))
    return uploadInParts<Upload>(
      body,
      {
        once: (bytes, { signal }) => this.#writeBytes(key, bytes, { ...o, ...(signal && { signal }) }),
        begin: async ({ signal }) => {
          await this.#beforeWrite({ at, signal })
          await this.#throwIfRefused(key, o.when, { at, signal })
          const file = newFileId(this.#it.clock.now())
          return { file, length: 0, ended: uploader.keepAlive(file), mayBeCommitted: false }
        },
        part: async (upload, n, bytes, { signal }) => {
          upload.length += bytes.byteLength
          try {
            await uploader.chunks(upload.file, n - 1, chunkSize, bytes, { at, signal })
          } catch (error) {
            throw this.#uncommitted(error, at)
          }
          return ''
        },
        finish: async (upload, _tags, { signal }) => {
          const row = this.#newRow(key, upload.file, upload.length, o)
          try {
            await uploader.commit(row, o.when, { at, signal })
          } catch (error) {
            upload.mayBeCommitted = isHubError(error, 'UNKNOWN')
            throw this.#uncommitted(error, at)
          }
          upload.ended()
          return this.#info(row)
        },
        abort: async ({ file, ended, mayBeCommitted }) => {
          ended()
          if (!mayBeCommitted) await uploader.free([file])
        },
      },
      {
        ...this.can,
        parallel,
        ...(o.size === undefined ? {} : { size: o.size }),
        ...(o.when && { when: o.when }),
        ...(o.signal && { signal: o.signal }),
      },
    )
  }

  async writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    this.#checkWhen(o.when, this.#at('write', key))
    return this.#writeBytes(key, bytes, o)
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    const ids = keys.map((key) => this.#bucket.prefix + key)
    const { collections, uploader } = this.#it
    const rows = await uploader.again(() =>
      collections.keys.find({ _id: { $in: ids } }, { projection: { file: 1 } }).toArray(),
    )
    if (rows.length === 0) return
    const files = rows.map(({ file }) => file)
    // A blob that was replaced since its row was read stays: the delete came first. Its old file is free all the same.
    await uploader.again(() =>
      collections.keys.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) }, file: { $in: files } }),
    )
    await uploader.free(files)
  }

  async *list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncGenerator<BlobInfo, void, undefined> {
    const whole = this.#bucket.prefix + prefix
    let after = o.after === undefined ? undefined : this.#bucket.prefix + o.after
    let left = o.limit ?? Number.POSITIVE_INFINITY
    let since = performance.now()
    for (let failures = 0; left > 0; ) {
      throwIfAborted(o.signal)
      const cursor = this.#it.collections.keys.find(
        {
          _id: {
            ...(whole === '' ? { $gte: FIRST_KEY } : { $gte: whole, $lt: behind(whole) }),
            ...(after === undefined ? {} : { $gt: after }),
          },
        },
        { sort: { _id: 1 }, batchSize: Math.min(PAGE, left), ...(Number.isFinite(left) ? { limit: left } : {}) },
      )
      try {
        for await (const row of cursor) {
          throwIfAborted(o.signal)
          yield this.#info(row as KeyRow)
          after = row._id
          failures = 0
          left--
          // Not how long the consumer took.
          since = performance.now()
        }
        return
      } catch (error) {
        // A cursor that the server dropped, because its consumer was slow (code 43) or the server went away, is made anew from where it was.
        const passing = isAmbiguous(error) || (error as { readonly code?: number }).code === CURSOR_NOT_FOUND
        if (!passing || ++failures >= LISTINGS || performance.now() - since > this.#connection.timeout) throw error
        await pause(Math.random() * LISTING_MS * 2 ** failures, o.signal)
      } finally {
        await cursor.close()
      }
    }
  }

  async sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    throwIfAborted(o.signal)
    if (o.dryRun !== true) await this.#beforeWrite({ at: { scheme: this.scheme, op: 'sweep' }, signal: o.signal })
    return sweep(this.#it.collections, this.#it.uploader, o)
  }

  async #writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    const at = this.#at('write', key)
    for (let attempt = 1; ; attempt++) {
      await this.#beforeWrite({ at, signal: o.signal })
      const file = newFileId(this.#it.clock.now())
      const ended = this.#it.uploader.keepAlive(file)
      try {
        await this.#sendChunks(file, bytes, { at, signal: o.signal })
        const row = this.#newRow(key, file, bytes.byteLength, o)
        await this.#it.uploader.commit(row, o.when, { at, signal: o.signal })
        return this.#info(row)
      } catch (error) {
        // One that may have been committed after all is left to `sweep`, which knows.
        if (!isHubError(error, 'UNKNOWN'))
          await this.#it.uploader.free([file]).catch((failure: unknown) => {
            if (error instanceof Error) Object.assign(error, { suppressed: failure })
          })
        if (!(isHubError(error) && error.reason === 'COMMIT_LOST' && attempt < UPLOADS))
          throw this.#uncommitted(error, at)
      } finally {
        ended()
      }
    }
  }

  /** As many requests as there are slots, none larger than servers take. */
  async #sendChunks(
    file: ObjectId,
    bytes: Uint8Array,
    call: { readonly at: ErrorPlace; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const { chunkSize, parallel } = this.#bucket
    const most = Math.max(1, Math.floor(REQUEST_BYTES / chunkSize))
    const each = Math.max(1, Math.min(most, Math.ceil(bytes.byteLength / chunkSize / parallel)))
    const stop = new AbortController()
    const signal = call.signal ? AbortSignal.any([call.signal, stop.signal]) : stop.signal
    const requests: Promise<void>[] = []
    for (let n = 0; n * chunkSize < bytes.byteLength; n += each) {
      const some = bytes.subarray(n * chunkSize, (n + each) * chunkSize)
      requests.push(
        this.#it.uploader.chunks(file, n, chunkSize, some, { at: call.at, signal }).catch((error: unknown) => {
          // The others end because of the first.
          if (!stop.signal.aborted) stop.abort(error)
          throw error
        }),
      )
    }
    // All of them are over before the upload is freed; one that came later would stay.
    const outcomes = await Promise.allSettled(requests)
    throwIfAborted(call.signal, call.at)
    if (stop.signal.aborted) throw stop.signal.reason
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** Failures of MongoDB's before the commit, whose own are HubErrors: whatever the server did, nothing of the write is visible. */
  #uncommitted(error: unknown, at: ErrorPlace): unknown {
    if (isHubError(error)) return error
    const mapped = this.#connection.mapError(original(error), { ...at, op: 'upload' })
    if (mapped === undefined) return error
    const { code, message = String(error), ...init } = mapped
    return new HubError(code, message, { ...init, at, cause: error })
  }

  #newRow(key: string, file: ObjectId, length: number, o: Pick<WriteOptions, 'contentType' | 'meta'>): KeyRow {
    return {
      _id: this.#bucket.prefix + key,
      file,
      length,
      chunkSize: this.#bucket.chunkSize,
      uploadDate: this.#it.clock.now(),
      ...metadataOf(o),
    }
  }

  async #row(key: string, version: string | undefined, op: string): Promise<KeyRow> {
    const { keys } = this.#it.collections
    const row = (await reading(() => keys.findOne({ _id: this.#bucket.prefix + key }), {})) as KeyRow | null
    const at = this.#at(op, key)
    if (row === null)
      throw new HubError('NOT_FOUND', `There is no blob '${key}' in bucket '${this.#bucket.name}'.`, { at })
    if (!(row.chunkSize >= 1 && row.length >= 0))
      throw new HubError(
        'INTEGRITY',
        `The row of blob '${key}' in '${keys.namespace}' is damaged: chunks of ${row.chunkSize} bytes, ${row.length} in all.`,
        { at },
      )
    if (version !== undefined && row.file.toHexString() !== version)
      throw new HubError('CONFLICT', `Blob '${key}' has another version by now.`, { at })
    return row
  }

  /** A large upload whose condition does not hold any more need not be sent. That it holds decides the commit. */
  async #throwIfRefused(key: string, when: Precondition | undefined, { at, signal }: UploadCall): Promise<void> {
    if (when === undefined) return
    const { keys } = this.#it.collections
    const row = await reading(
      () => keys.findOne({ _id: this.#bucket.prefix + key }, { projection: { file: 1 } }),
      signal === undefined ? {} : { signal },
    ).catch((error: unknown) => {
      throw this.#uncommitted(error, at)
    })
    if ('ifAbsent' in when && row !== null) throw new HubError('EXISTS', `Blob '${key}' exists already.`, { at })
    if ('ifVersion' in when && row?.file.toHexString() !== when.ifVersion)
      throw new HubError('CONFLICT', `Blob '${key}' has another version by now, or was deleted.`, { at })
  }

  /** A version of some other store is none that a blob here has. */
  #checkWhen(when: Precondition | undefined, at: ErrorPlace): void {
    if (when !== undefined && 'ifVersion' in when && !/^[0-9a-f]{24}$/.test(when.ifVersion))
      throw new HubError('CONFLICT', `Blob '${at.target}' has another version, or is not there.`, { at })
  }

  async #beforeWrite(call: UploadCall): Promise<void> {
    const { clock, collections, uploader } = this.#it
    const { wall, monotonic } = this.#clockRead
    // Clocks that disagree about how long it is: the process slept, or somebody set the wall clock.
    const slept = Math.abs(Date.now() - wall - (performance.now() - monotonic)) > 1000
    // Neither is repeated by the MongoDB driver. Every waiting write is served, so no single one's signal ends it.
    this.#indexes ??= uploader
      .again(() => ensureIndexes(collections))
      .catch((error: unknown) => {
        this.#indexes = undefined
        throw error
      })
    try {
      const clockRead = slept || clock.age > CLOCK_AGE ? uploader.again(() => this.#readClock(), call) : undefined
      await Promise.all([this.#indexes, clockRead])
    } catch (error) {
      throw this.#uncommitted(error, call.at)
    }
  }

  async #readClock(): Promise<void> {
    await this.#it.clock.sync()
    this.#clockRead = { wall: Date.now(), monotonic: performance.now() }
  }

  #info(row: KeyRow): BlobInfo {
    return infoOf(row, this.#bucket.prefix)
  }

  #at(op: string, target: string): ErrorPlace {
    return { scheme: 'gridfs', op, target }
  }
}

interface Upload {
  readonly file: ObjectId
  length: number
  /** Ends the telling that it lives. */
  readonly ended: () => void
  mayBeCommitted: boolean
}

const CURSOR_NOT_FOUND = 43

/** The least text behind all that begin with the prefix, which is ASCII. */
function behind(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}

function connectionPart(o: GridFsOptions): ConnectionOptions {
  const { bucket: _bucket, prefix: _prefix, chunkSizeBytes: _chunk, parallel: _parallel, ...connection } = o
  return connection
}
