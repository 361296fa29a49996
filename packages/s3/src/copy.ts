import { randomUUID } from 'node:crypto'
import { CopyObjectCommand, PutObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3'
import { type BlobInfo, type Call, HubError, type Precondition } from '@tensorhub/core'
import { etagOf, NONCE, versionOf } from './blob-info.ts'
import type { Bucket } from './bucket.ts'
import { type Committed, commit, conditionOf, UploadLost } from './commit.ts'
import { S3Failure } from './failure.ts'
import { PART_MAX } from './options.ts'
import { find } from './read.ts'
import { changing } from './requests.ts'
import { abort, isGone } from './sweep.ts'
import { begin, crc32Of, finish } from './write.ts'

/** Parts copied at once. */
const PARALLEL = 8
const TRIES = 4
const NOTHING = new Uint8Array()

/**
 * Copies inside of the store. A condition goes by way of an upload of copied parts, since CopyObject honours If-None-Match and If-Match only on newer servers
 * (AWS since 2025; versitygw 1.8 overwrites), and CompleteMultipartUpload wherever conditions hold at all.
 */
export async function copy(
  bucket: Bucket,
  from: string,
  to: string,
  o: Call & { readonly when?: Precondition },
  guard: (o: Call) => Promise<void>,
): Promise<BlobInfo> {
  for (let tries = 1; ; tries++) {
    const { info } = await find(bucket, from, o.signal ? { signal: o.signal } : {})
    try {
      const done = await copyOf(bucket, info, to, o, guard)
      return { ...info, key: to, ...done }
    } catch (error) {
      if (!(error instanceof SourceChanged || error instanceof UploadLost)) throw error
      if (tries >= TRIES)
        throw new HubError(
          'CONFLICT',
          `Blob '${from}' was replaced again and again while it was copied, or its copy was ended by others.`,
          {
            at: bucket.at('copy', to),
            retryable: true,
          },
        )
    }
  }
}

class SourceChanged extends Error {}

function copyOf(
  bucket: Bucket,
  info: BlobInfo,
  to: string,
  o: Call & { readonly when?: Precondition },
  guard: (o: Call) => Promise<void>,
): Promise<Committed> {
  // S3 refuses to copy an object to itself, where nothing would change.
  if (o.when === undefined && info.size <= PART_MAX && info.key !== to) return whole(bucket, info, to, o)
  // There is no range of an empty blob to copy.
  if (info.size === 0) return nothing(bucket, info, to, o)
  return inParts(bucket, info, to, o, guard)
}

async function whole(bucket: Bucket, info: BlobInfo, to: string, o: Call): Promise<Committed> {
  const input = { ...bucket.object(to), ...sourceOf(bucket, info) }
  const { output, date } = await pinned(() => bucket.requests.repeat(() => new CopyObjectCommand(input), changing(o)))
  const { ETag, LastModified = date } = output.CopyObjectResult ?? {}
  if (ETag === undefined) throw bucket.stranger('a reply without an ETag')
  return { version: versionOf(ETag), modified: LastModified }
}

function nothing(
  bucket: Bucket,
  info: BlobInfo,
  to: string,
  o: Call & { readonly when?: Precondition },
): Promise<Committed> {
  const nonce = randomUUID()
  const input = {
    ...bucket.object(to),
    ...(info.contentType === undefined ? {} : { ContentType: info.contentType }),
    Metadata: { ...info.meta, [NONCE]: nonce },
    Body: NOTHING,
    ...(bucket.settings.checksums ? { ChecksumCRC32: crc32Of(NOTHING) } : {}),
    ...conditionOf(o.when),
  }
  return commit(bucket, to, { ...o, nonce }, async () => {
    const { output, date } = await bucket.requests.send(new PutObjectCommand(input), changing(o))
    if (output.ETag === undefined) throw bucket.stranger('a reply without an ETag')
    return { version: versionOf(output.ETag), modified: date }
  })
}

async function inParts(
  bucket: Bucket,
  info: BlobInfo,
  to: string,
  o: Call & { readonly when?: Precondition },
  guard: (o: Call) => Promise<void>,
): Promise<Committed> {
  if (o.when !== undefined) await guard(o)
  const session = await begin(bucket, to, info, { ...o, checksums: false })
  try {
    const tags: string[] = []
    const count = Math.ceil(info.size / PART_MAX)
    let next = 0
    let first: { readonly error: unknown } | undefined
    const worker = async () => {
      for (let i = next++; i < count && first === undefined; i = next++)
        tags[i] = await part(bucket, info, to, session.id, i, count, o)
    }
    const failed = (error: unknown) => {
      first ??= { error }
    }
    // Those that run have to end before the upload may be aborted: the server copies on when it is left, and a part that arrives later would stay.
    await Promise.all(Array.from({ length: Math.min(PARALLEL, count) }, () => worker().catch(failed)))
    if (first !== undefined) throw first.error
    return await finish(bucket, to, session, tags, o)
  } catch (error) {
    await abort(bucket, { key: to, id: session.id }, {}).catch((suppressed: unknown) => {
      if (error instanceof Error) Object.assign(error, { suppressed })
    })
    throw error
  }
}

async function part(
  bucket: Bucket,
  info: BlobInfo,
  to: string,
  id: string,
  i: number,
  count: number,
  o: Call,
): Promise<string> {
  const start = i * PART_MAX
  // "You can copy a range only if the source object is greater than 5 MB." https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
  const range = count === 1 ? {} : { CopySourceRange: `bytes=${start}-${Math.min(start + PART_MAX, info.size) - 1}` }
  const input = {
    ...bucket.object(to),
    ...sourceOf(bucket, info),
    UploadId: id,
    PartNumber: i + 1,
    ...range,
  }
  const { output } = await pinned(() => bucket.requests.repeat(() => new UploadPartCopyCommand(input), changing(o)))
  const etag = output.CopyPartResult?.ETag
  if (etag === undefined) throw bucket.stranger('a reply without an ETag')
  return etag
}

/** The source, in the version that was looked at: its size, type and metadata go with it. */
function sourceOf(bucket: Bucket, info: BlobInfo) {
  return { CopySource: bucket.source(info.key), CopySourceIfMatch: etagOf(info.version) }
}

async function pinned<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    if (isGone(error)) throw new UploadLost()
    throw error instanceof S3Failure && error.isPrecondition ? new SourceChanged() : error
  }
}
