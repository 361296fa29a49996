import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  HubError,
  type Precondition,
  type SignedUrl,
  type SignOptions,
  throwIfAborted,
  type WriteOptions,
  wrapErrors,
} from '@tensorhub/core'
import { Bucket } from './bucket.ts'
import { makeClient } from './client.ts'
import { copy } from './copy.ts'
import { remove } from './delete.ts'
import { mapError } from './errors.ts'
import { list } from './list.ts'
import { PART_MAX, PART_MIN, PARTS_MAX, type S3Options, SIZE_MAX, settingsOf } from './options.ts'
import { partsHonourConditions, probe } from './probe.ts'
import { find, open, readInto } from './read.ts'
import { Requests } from './requests.ts'
import { sign } from './sign.ts'
import { sweep } from './sweep.ts'
import { write, writeBytes } from './write.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const CAN: BlobCan = {
  ifAbsent: true,
  ifVersion: true,
  meta: true,
  copy: true,
  sign: true,
  partMin: PART_MIN,
  partMax: PART_MAX,
  partsMax: PARTS_MAX,
  sizeMax: SIZE_MAX,
  deleteMax: 1000,
}

/** Blobs in a bucket of S3, or of a server that speaks its protocol. Nothing is asked of the network before the first call. @throws INVALID */
export function s3(options: S3Options): BlobDriver {
  const driver = new S3Blobs(options)
  return wrapErrors<BlobDriver>(driver, (error, at) => mapError(error, at, options.bucket))
}

class S3Blobs implements BlobDriver {
  readonly scheme = 's3'
  readonly can = CAN
  readonly #bucket: Bucket
  readonly #ownClient: boolean
  #parts: Promise<boolean> | undefined

  constructor(options: S3Options) {
    const settings = settingsOf(options)
    const client = options.client ?? makeClient(options, settings)
    const host = options.endpoint === undefined ? '' : new URL(options.endpoint).host
    this.#ownClient = options.client === undefined
    this.#bucket = new Bucket(new Requests(client, settings.timeout, host, !this.#ownClient), settings)
  }

  native(): unknown {
    return this.#bucket.requests.client
  }

  async open(o: Call): Promise<Readonly<BlobCan> | undefined> {
    throwIfAborted(o.signal)
    this.#bucket.requests.closed = false
    if (!this.#bucket.settings.probe) return undefined
    return { ...CAN, ...(await probe(this.#bucket, o)) }
  }

  async close(): Promise<void> {
    this.#bucket.requests.closed = true
    if (this.#ownClient) this.#bucket.requests.client.destroy()
  }

  async stat(key: string, o: Call): Promise<BlobInfo> {
    return (await find(this.#bucket, key, o)).info
  }

  read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    return open(this.#bucket, key, o)
  }

  readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    return readInto(this.#bucket, key, into, o)
  }

  write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    return write(this.#bucket, key, body, o, () => this.#guard(key))
  }

  writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    return writeBytes(this.#bucket, key, bytes, o, () => this.#guard(key))
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    return remove(this.#bucket, keys, o)
  }

  list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncIterable<BlobInfo> {
    return list(this.#bucket, prefix, o)
  }

  copy(from: string, to: string, o: Call & { when?: Precondition }): Promise<BlobInfo> {
    return copy(this.#bucket, from, to, o, () => this.#guard(to))
  }

  sign(key: string, o: Call & SignOptions): Promise<SignedUrl> {
    return sign(this.#bucket, key, o)
  }

  sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    return sweep(this.#bucket, o)
  }

  /** Before the first conditional upload in parts. @throws UNSUPPORTED */
  async #guard(key: string): Promise<void> {
    if (!this.#bucket.settings.probe) return
    this.#parts ??= partsHonourConditions(this.#bucket).catch((error: unknown) => {
      this.#parts = undefined
      throw error
    })
    if (await this.#parts) return
    throw new HubError(
      'UNSUPPORTED',
      `${this.#bucket.requests.host} ignores conditions of uploads in parts, so a conditional write of this size cannot be made safely; raise partSize above it, or use another server.`,
      { at: this.#bucket.at('write', key), reason: 'PRECONDITIONS_IGNORED' },
    )
  }
}
