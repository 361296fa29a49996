import { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand } from '@aws-sdk/client-s3'
import { type BlobInfo, type ByteRange, type Call, continuedBody, HubError, readRanges } from '@tensorhub/core'
import { etagOf, type Found, foundOf, versionOf } from './blob-info.ts'
import { byteStream } from './body.ts'
import type { Bucket } from './bucket.ts'
import { isTransient, S3Failure } from './failure.ts'

/** Bytes of a range: AWS advises 8–16 MiB. https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html */
const RANGE = 8 * 1024 * 1024

/** Tries while the blob is replaced between two requests. */
const TRIES = 4

type ReadCall = Call & { readonly ifVersion?: string }

/** What is known of a blob. One request for one that is there, two for one that is not. */
export async function find(bucket: Bucket, key: string, o: Call): Promise<Found> {
  try {
    const { output, date } = await bucket.requests.repeat(() => new HeadObjectCommand(bucket.object(key)), o)
    if (output.ETag === undefined) throw bucket.stranger('a reply without an ETag')
    return foundOf(key, output.ContentLength ?? 0, output, date)
  } catch (error) {
    // A refused HEAD has no body, so a missing key, a missing bucket and wrong credentials look alike. The same as GET says which.
    if (!(error instanceof S3Failure && error.kind === 'answered' && (error.status ?? 0) < 500) || error.isBusy)
      throw error
    return await firstByte(bucket, key, o, error)
  }
}

/** The same; undefined where there is none. */
export async function findOrNone(bucket: Bucket, key: string, o: Call): Promise<Found | undefined> {
  try {
    return await find(bucket, key, o)
  } catch (error) {
    if (error instanceof S3Failure && error.isMissingKey) return undefined
    throw error
  }
}

async function firstByte(bucket: Bucket, key: string, o: Call, refused: S3Failure): Promise<Found> {
  try {
    const { output, date } = await get(bucket, key, { start: 0, end: 0 }, o)
    discard(output)
    return foundOf(key, totalOf(output), output, date)
  } catch (error) {
    // An empty blob has no first byte. It is there now, and was not a moment ago.
    if (error instanceof S3Failure && error.status === 416) {
      if (refused.status !== 404) throw refused
      const { output, date } = await bucket.requests.repeat(() => new HeadObjectCommand(bucket.object(key)), o)
      return foundOf(key, output.ContentLength ?? 0, output, date)
    }
    throw error
  }
}

/** A body, and what is known of its blob. */
export async function open(
  bucket: Bucket,
  key: string,
  o: ReadCall & { readonly range?: ByteRange; readonly hold?: boolean },
  tries = TRIES,
): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
  const { range, ifVersion, signal } = o
  const at = bucket.at('read', key)
  if (range?.length === 0) return empty(bucket, key, range.offset, o)
  const start = range?.offset ?? 0
  const end = range?.length === undefined ? undefined : start + range.length - 1
  const ranged = range !== undefined && (start > 0 || end !== undefined)
  const first = await firstReply(bucket, key, ranged ? { start, end } : undefined, o)
  if (first === undefined) {
    const none = await empty(bucket, key, start, o)
    if (none.info.size === 0) return none
    // Empty a moment ago, and written since: its bytes, or that it cannot be read now, but not no bytes of a blob that has some.
    if (tries > 1) return open(bucket, key, o, tries - 1)
    throw new HubError('CONFLICT', `Blob '${key}' was replaced again and again while it was read.`, {
      at,
      retryable: true,
    })
  }
  const { output, date, release } = first
  const { info } = foundOf(key, totalOf(output), output, date)
  if (ifVersion !== undefined && info.version !== ifVersion) {
    discard(output)
    release()
    throw bucket.changed(key, 'read')
  }
  if (ranged && output.ContentRange === undefined) {
    discard(output)
    release()
    throw new HubError('UNSUPPORTED', `${bucket.requests.host} ignores ranges; use another server.`, { at })
  }
  const length = output.ContentLength ?? info.size
  const body = continuedBody(byteStream(output.Body as Readable, release), {
    length,
    isTransient,
    at,
    ...(signal ? { signal } : {}),
    again: async (offset) => {
      const pinned = { ...o, ifVersion: info.version }
      const more = await firstReply(bucket, key, { start: start + offset, end: start + length - 1 }, pinned)
      if (more === undefined || versionOf(more.output.ETag ?? '') !== info.version) {
        more?.release()
        if (more) discard(more.output)
        throw bucket.changed(key, 'read')
      }
      return byteStream(more.output.Body as Readable, more.release)
    },
  })
  return { info, body }
}

/** Fills memory by parallel ranges. */
export async function readInto(
  bucket: Bucket,
  key: string,
  into: Uint8Array,
  o: ReadCall & { readonly offset: number },
): Promise<BlobInfo> {
  const { offset, ifVersion, signal } = o
  if (into.byteLength === 0) return (await empty(bucket, key, offset, o)).info
  return readRanges(into, {
    offset,
    partSize: RANGE,
    parallel: bucket.settings.parallel,
    at: bucket.at('read', key),
    read: (range, call) => open(bucket, key, { ...call, range, hold: true }),
    ...(ifVersion === undefined ? {} : { ifVersion }),
    ...(signal ? { signal } : {}),
  })
}

/** GetObject; undefined where a range from 0 meets an empty blob, which S3 calls unsatisfiable. */
async function firstReply(
  bucket: Bucket,
  key: string,
  range: { readonly start: number; readonly end?: number | undefined } | undefined,
  o: ReadCall & { readonly hold?: boolean },
) {
  try {
    return await get(bucket, key, range, o)
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error
    if (error.isPrecondition) throw bucket.changed(key, 'read')
    if (error.status !== 416) throw error
    if (range?.start === 0) return undefined
    throw outside(bucket, key, range?.start ?? 0)
  }
}

async function get(
  bucket: Bucket,
  key: string,
  range: { readonly start: number; readonly end?: number | undefined } | undefined,
  o: ReadCall & { readonly hold?: boolean },
) {
  const input = {
    ...bucket.object(key),
    ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end ?? ''}` }),
    ...(o.ifVersion === undefined ? {} : { IfMatch: etagOf(o.ifVersion) }),
  }
  const { signal, hold = false } = o
  const reply = await bucket.requests.repeat(() => new GetObjectCommand(input), { hold, ...(signal ? { signal } : {}) })
  if (reply.output.ETag !== undefined) return reply
  discard(reply.output)
  reply.release()
  throw bucket.stranger('a reply without an ETag')
}

/** Nothing, of a blob that is there and not shorter than the offset. */
async function empty(bucket: Bucket, key: string, offset: number, o: ReadCall) {
  const { info } = await find(bucket, key, o)
  if (o.ifVersion !== undefined && info.version !== o.ifVersion) throw bucket.changed(key, 'read')
  if (offset > info.size || (offset === info.size && offset > 0)) throw outside(bucket, key, offset, info.size)
  return { info, body: new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }) }
}

function outside(bucket: Bucket, key: string, offset: number, size?: number): HubError {
  const of = size === undefined ? '' : ` of ${size} bytes`
  return new HubError('RANGE', `The range from ${offset} lies outside blob '${key}'${of}.`, {
    at: bucket.at('read', key),
  })
}

/** Bytes of the whole blob: `bytes 0-9/100`. */
function totalOf(output: GetObjectCommandOutput): number {
  const total = /\/(\d+)$/.exec(output.ContentRange ?? '')?.[1]
  return total === undefined ? (output.ContentLength ?? 0) : Number(total)
}

/** An unread body would keep its socket. */
function discard(output: GetObjectCommandOutput): void {
  if (output.Body instanceof Readable) output.Body.on('error', () => undefined).destroy()
}
