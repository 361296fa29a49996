import type { Storage } from '@google-cloud/storage'
import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  type Precondition,
  type SignedUrl,
  type SignOptions,
  throwIfAborted,
  type WriteOptions,
  wrapErrors,
} from '@tensorhub/core'
import { Bucket } from './bucket.ts'
import { CAN } from './can.ts'
import { copy } from './copy.ts'
import { CopyConditions } from './copy-conditions.ts'
import { each } from './each.ts'
import { mapError } from './errors.ts'
import { list } from './list.ts'
import { type GcsOptions, type GcsSettings, settingsOf } from './options.ts'
import { probe } from './probe.ts'
import { read, readInto, stat } from './read.ts'
import { sign } from './sign.ts'
import { sweep } from './sweep.ts'
import { Ways } from './ways.ts'
import { write, writeBytes } from './write.ts'

/**
 * Blobs in a bucket of Google Cloud Storage. A blob's `version` is its object's generation. Nothing is sent before the first call.
 *
 * @throws INVALID naming the option that is wrong.
 */
export function gcs(options: GcsOptions): BlobDriver {
  return wrapErrors<BlobDriver>(new GcsBlobs(settingsOf(options)), mapError)
}

class GcsBlobs implements BlobDriver {
  readonly scheme = 'gcs'
  readonly can = CAN
  readonly #bucket: Bucket
  readonly #ways: Ways
  readonly #copyConditions: CopyConditions

  constructor(settings: GcsSettings) {
    this.#bucket = new Bucket(settings)
    this.#ways = new Ways(this.#bucket)
    this.#copyConditions = new CopyConditions(this.#bucket)
  }

  /** Finds the credentials, and whether preconditions hold; `can` says so where they do not. */
  async open(o: Call): Promise<Readonly<BlobCan>> {
    const { service, settings } = this.#bucket
    const canSign = await service.credentials.canSign()
    if (!settings.probe) return { ...CAN, sign: canSign }
    const { held, stays } = await probe(this.#bucket, o)
    if (stays) this.#ways.objectsStay()
    return { ...CAN, sign: canSign, ifAbsent: held, ifVersion: held }
  }

  async close(): Promise<void> {
    this.#bucket.service.close()
  }

  native(): Storage {
    return this.#bucket.settings.client
  }

  stat(key: string, o: Call): Promise<BlobInfo> {
    return stat(this.#bucket, key, o)
  }

  read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    return read(this.#bucket, key, o)
  }

  readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    return readInto(this.#bucket, key, into, o)
  }

  write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    return write(this.#bucket, this.#ways, key, body, o)
  }

  writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    return writeBytes(this.#bucket, this.#ways, key, bytes, o)
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    const bucket = this.#bucket
    await each(keys, bucket.settings.parallel, o.signal, (key, signal) => bucket.remove(bucket.nameOf(key), { signal }))
  }

  list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncGenerator<BlobInfo, void, undefined> {
    return list(this.#bucket, prefix, o)
  }

  async copy(from: string, to: string, o: Call & { when?: Precondition }): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    if (o.when !== undefined) await this.#copyConditions.check(to, o)
    return copy(this.#bucket, from, to, o)
  }

  sign(key: string, o: Call & SignOptions): Promise<SignedUrl> {
    return sign(this.#bucket, key, o)
  }

  sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    return sweep(this.#bucket, o)
  }
}
