import { randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import {
  type BlobInfo,
  type Call,
  HubError,
  type PartUpload,
  type Precondition,
  uploadInParts,
  type WriteOptions,
} from '@tensorhub/core'
import { NONCE, versionOf } from './blob-info.ts'
import type { Bucket } from './bucket.ts'
import { type Committed, commit, conditionOf, refusal, UploadLost } from './commit.ts'
import { PART_MAX, PART_MIN, PARTS_MAX, SIZE_MAX } from './options.ts'
import { findOrNone } from './read.ts'
import { changing } from './requests.ts'
import { abort, isGone } from './sweep.ts'

const MIB = 1024 * 1024
/** Memory that the parts of a stream in flight may take. */
const STREAM_MEMORY = 30 * MIB
/** Memory for the parts of bytes in memory, which are copies of them. */
const BYTES_MEMORY = 128 * MIB
/** Bytes from which a write over a version looks at it first. */
const ASK_FIRST = 64 * 1024
/** How often bytes in memory are sent anew when the store lost their upload. */
const UPLOADS = 3

const LIMITS = { partMin: PART_MIN, partMax: PART_MAX, partsMax: PARTS_MAX, sizeMax: SIZE_MAX }

/** An upload in parts. */
export interface Session {
  readonly id: string
  readonly nonce: string
  /** Bytes so far. */
  size: number
  /** CRC32 of each part, where they are sent. */
  readonly checksums: (string | undefined)[]
}

type Described = Pick<WriteOptions, 'contentType' | 'meta' | 'sha256'>

/** A stream: in one request if it fits in one part, else by a sliding window of parts. */
export async function write(
  bucket: Bucket,
  key: string,
  body: ReadableStream<Uint8Array>,
  o: WriteOptions,
  guard: (o: Call) => Promise<void>,
): Promise<BlobInfo> {
  const { partSize, parallel, onceMax } = bucket.settings
  // Of a stream the parts in flight are memory, so by default they are small.
  const part = onceMax === partSize ? partSize : PART_MIN
  try {
    return await uploadInParts(body, new Upload(bucket, key, o, guard), {
      ...LIMITS,
      partSize: part,
      parallel,
      memory: STREAM_MEMORY,
      ...(o.size === undefined ? {} : { size: o.size }),
      ...(o.when ? { when: o.when } : {}),
      ...(o.signal ? { signal: o.signal } : {}),
    })
  } catch (error) {
    throw error instanceof UploadLost ? lost(bucket, key, error) : error
  }
}

/** Bytes in memory: in one request up to `onceMax`, else in parallel parts. */
export async function writeBytes(
  bucket: Bucket,
  key: string,
  bytes: Uint8Array,
  o: Omit<WriteOptions, 'size'>,
  guard: (o: Call) => Promise<void>,
): Promise<BlobInfo> {
  const { partSize, parallel, onceMax } = bucket.settings
  const call = { ...(o.when ? { when: o.when } : {}), ...(o.signal ? { signal: o.signal } : {}) }
  if (bytes.byteLength <= onceMax) return new Upload(bucket, key, o, guard).once(bytes, call)
  for (let upload = 1; ; upload++) {
    try {
      return await uploadInParts(piecesOf(bytes), new Upload(bucket, key, o, guard), {
        ...LIMITS,
        ...call,
        partSize,
        parallel,
        memory: BYTES_MEMORY,
        size: bytes.byteLength,
      })
    } catch (error) {
      if (!(error instanceof UploadLost)) throw error
      if (upload >= UPLOADS) throw lost(bucket, key, error)
    }
  }
}

class Upload implements PartUpload<Session> {
  readonly #bucket: Bucket
  readonly #key: string
  readonly #of: Described
  /** Makes sure that the server honours conditions of uploads in parts. */
  readonly #guard: (o: Call) => Promise<void>

  constructor(bucket: Bucket, key: string, of: Described, guard: (o: Call) => Promise<void>) {
    this.#bucket = bucket
    this.#key = key
    this.#of = of
    this.#guard = guard
  }

  async once(bytes: Uint8Array, o: Call & { readonly when?: Precondition }): Promise<BlobInfo> {
    const nonce = randomUUID()
    const { sha256 } = this.#of
    const checksum = this.#bucket.settings.checksums && sha256 !== undefined ? base64(sha256) : undefined
    const crc = sha256 === undefined ? this.#checksum(bytes) : undefined
    const input = {
      ...this.#bucket.object(this.#key),
      ...describedBy(this.#of, o.when === undefined ? undefined : nonce),
      ...conditionOf(o.when),
      ...(crc === undefined ? {} : { ChecksumCRC32: crc }),
      ...(checksum === undefined ? {} : { ChecksumSHA256: checksum }),
      Body: bytes,
    }
    const call = o.signal ? { signal: o.signal } : {}
    if (bytes.byteLength >= ASK_FIRST && o.when !== undefined && 'ifVersion' in o.when)
      await expectVersion(this.#bucket, this.#key, o.when.ifVersion, call)
    const done = await commit(this.#bucket, this.#key, { ...o, nonce }, async () => {
      const content = { bytes, ...(sha256 === undefined ? {} : { sha256 }) }
      const { output, date } = await this.#bucket.requests.send(new PutObjectCommand(input), {
        ...changing(o),
        content,
      })
      return this.#committed(output.ETag, date)
    })
    return this.#info(bytes.byteLength, done)
  }

  async begin(o: Call & { readonly when?: Precondition }): Promise<Session> {
    // The condition itself goes with `finish`: CreateMultipartUpload takes none.
    if (o.when !== undefined) await this.#guard(o)
    return begin(this.#bucket, this.#key, this.#of, { ...o, checksums: this.#bucket.settings.checksums })
  }

  async part(session: Session, n: number, bytes: Uint8Array, o: Call): Promise<string> {
    const crc = this.#checksum(bytes)
    const input = {
      ...this.#bucket.object(this.#key),
      UploadId: session.id,
      PartNumber: n,
      Body: bytes,
      ...(crc === undefined ? {} : { ChecksumCRC32: crc }),
    }
    const sending = this.#bucket.requests.repeat(() => new UploadPartCommand(input), {
      ...changing(o),
      content: { bytes },
    })
    // Somebody swept it: the key is not what is missing.
    const { output } = await sending.catch((error: unknown) => {
      throw isGone(error) ? new UploadLost() : error
    })
    if (output.ETag === undefined) throw this.#bucket.stranger('a reply without an ETag')
    session.size += bytes.byteLength
    session.checksums[n - 1] = crc
    return output.ETag
  }

  async finish(
    session: Session,
    tags: readonly string[],
    o: Call & { readonly when?: Precondition },
  ): Promise<BlobInfo> {
    const done = await finish(this.#bucket, this.#key, session, tags, o)
    return this.#info(session.size, done)
  }

  async abort(session: Session): Promise<void> {
    await abort(this.#bucket, { key: this.#key, id: session.id }, {})
  }

  #checksum(bytes: Uint8Array): string | undefined {
    return this.#bucket.settings.checksums ? crc32Of(bytes) : undefined
  }

  #committed(etag: string | undefined, modified: Date): Committed {
    if (etag === undefined) throw this.#bucket.stranger('a reply without an ETag')
    return { version: versionOf(etag), modified }
  }

  #info(size: number, { version, modified }: Committed): BlobInfo {
    const { contentType, meta } = this.#of
    return {
      key: this.#key,
      size,
      modified,
      version,
      ...(contentType === undefined ? {} : { contentType }),
      ...(meta === undefined ? {} : { meta }),
    }
  }
}

/** CreateMultipartUpload. One whose reply was lost stays behind, without parts, until it is swept. */
export async function begin(
  bucket: Bucket,
  key: string,
  of: Described,
  o: Call & { readonly checksums: boolean },
): Promise<Session> {
  const nonce = randomUUID()
  const input = {
    ...bucket.object(key),
    ...describedBy(of, nonce),
    // Has to be said at the beginning where the parts say theirs. https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    ...(o.checksums ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
  }
  // Not cut by an abort: nobody would know of the upload, to free it.
  const { output } = await bucket.requests.retrying(
    () => bucket.requests.send(new CreateMultipartUploadCommand(input), {}),
    o,
  )
  if (output.UploadId === undefined) throw bucket.stranger('a reply without an UploadId')
  return { id: output.UploadId, nonce, size: 0, checksums: [] }
}

/** CompleteMultipartUpload. */
export function finish(
  bucket: Bucket,
  key: string,
  session: Session,
  tags: readonly string[],
  o: Call & { readonly when?: Precondition },
): Promise<Committed> {
  const Parts = tags.map((ETag, i) => {
    const crc = session.checksums[i]
    return { ETag, PartNumber: i + 1, ...(crc === undefined ? {} : { ChecksumCRC32: crc }) }
  })
  const input = { ...bucket.object(key), UploadId: session.id, MultipartUpload: { Parts }, ...conditionOf(o.when) }
  return commit(bucket, key, { ...o, nonce: session.nonce }, async () => {
    const command = new CompleteMultipartUploadCommand(input)
    const { output, date } = await bucket.requests.send(command, changing(o))
    if (output.ETag === undefined) throw bucket.stranger('a reply without an ETag')
    return { version: versionOf(output.ETag), modified: date }
  })
}

/**
 * A server that refuses while a large body is still on its way may close the connection, and its 412 is lost with it; whether the write was done would then not be known.
 * So what is refused anyway is not sent.
 */
async function expectVersion(bucket: Bucket, key: string, version: string, o: Call): Promise<void> {
  const there = await findOrNone(bucket, key, o)
  if (there?.info.version !== version) throw refusal(bucket, key, { ifVersion: version })
}

export const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64')

/** The CRC32 as S3 has it in headers. */
export function crc32Of(bytes: Uint8Array): string {
  const four = Buffer.alloc(4)
  four.writeUInt32BE(crc32(bytes))
  return four.toString('base64')
}

function describedBy(of: Described, nonce: string | undefined) {
  const metadata = { ...of.meta, ...(nonce === undefined ? {} : { [NONCE]: nonce }) }
  return {
    ...(of.contentType === undefined ? {} : { ContentType: of.contentType }),
    ...(Object.keys(metadata).length > 0 ? { Metadata: metadata } : {}),
  }
}

/** Bytes as a stream of views: `uploadInParts` copies what it sends. */
function piecesOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= bytes.byteLength) return controller.close()
        controller.enqueue(bytes.subarray(at, at + MIB))
        at += MIB
      },
    },
    { highWaterMark: 0 },
  )
}

function lost(bucket: Bucket, key: string, cause: Error): HubError {
  return new HubError(
    'UNAVAILABLE',
    `The upload of '${key}' to ${bucket.requests.host} was ended by another request on it, or by a sweep; nothing was stored. Write it again.`,
    { at: bucket.at('write', key), retryable: true, cause },
  )
}
