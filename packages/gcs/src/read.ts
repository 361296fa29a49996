import {
  type BlobInfo,
  type ByteRange,
  type Call,
  continuedBody,
  HubError,
  readRanges,
  throwIfAborted,
} from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { isConditionFailed, isTransient, ReplyFailure } from './errors.ts'
import type { HttpReply } from './http.ts'
import { infoOf, infoOfHeaders, isGeneration } from './object-info.ts'
import { withQuery } from './writing.ts'

interface Read {
  readonly info: BlobInfo
  readonly body: ReadableStream<Uint8Array>
}

export async function stat(bucket: Bucket, key: string, o: Call): Promise<BlobInfo> {
  throwIfAborted(o.signal)
  return infoOf(key, await bucket.resource(key, o), bucket.service.host)
}

/** A blob or a range of it, of one generation: where the connection breaks, it goes on from there. */
export async function read(
  bucket: Bucket,
  key: string,
  o: Call & { range?: ByteRange; ifVersion?: string },
): Promise<Read> {
  throwIfAborted(o.signal)
  if (o.ifVersion !== undefined && !isGeneration(o.ifVersion)) throw changed(key)
  const { offset = 0, length } = o.range ?? {}
  if (length === 0) return nothing(bucket, key, offset, o)
  const first = await download(bucket, key, offset, length, o.ifVersion, o)
  if (first === undefined) return nothing(bucket, key, offset, o)
  const { info, reply } = first
  const expected = Math.min(length ?? Number.POSITIVE_INFINITY, info.size - offset)
  const body = continuedBody(reply.stream(), {
    length: expected,
    isTransient,
    again: async (given) => {
      const next = await download(bucket, key, offset + given, expected - given, info.version, o)
      if (next === undefined) throw changed(key)
      return next.reply.stream()
    },
    ...(o.signal ? { signal: o.signal } : {}),
    at: at(key),
  })
  return { info, body }
}

/** A range into memory, in pieces of `partSize` at once. */
export function readInto(
  bucket: Bucket,
  key: string,
  into: Uint8Array,
  o: Call & { offset: number; ifVersion?: string },
): Promise<BlobInfo> {
  const { offset, ifVersion, signal } = o
  const { partSize, parallel } = bucket.settings
  return readRanges(into, {
    offset,
    partSize,
    parallel,
    read: (range, call) => read(bucket, key, { range, ...call }),
    ...(ifVersion === undefined ? {} : { ifVersion }),
    ...(signal ? { signal } : {}),
    at: at(key),
  })
}

/** Bytes from `offset` on, of the version given; undefined for a blob of no bytes, of which there is no range. */
async function download(
  bucket: Bucket,
  key: string,
  offset: number,
  length: number | undefined,
  version: string | undefined,
  o: Call,
): Promise<{ readonly info: BlobInfo; readonly reply: HttpReply } | undefined> {
  const whole = offset === 0 && length === undefined
  try {
    const reply = await bucket.send({
      method: 'GET',
      path: downloadPath(bucket, key, version),
      headers: {
        // Objects that are stored gzipped come as they are stored. https://cloud.google.com/storage/docs/transcoding
        'accept-encoding': 'gzip',
        ...(whole ? {} : { range: `bytes=${offset}-${length === undefined ? '' : offset + length - 1}` }),
        ...(version === undefined ? {} : { 'x-goog-if-generation-match': version }),
      },
      signal: o.signal,
    })
    const info = await infoWith(bucket, key, reply)
    // Also of a server that does not know the condition.
    if ((version !== undefined && info.version !== version) || (!whole && reply.status !== 206)) {
      await reply.stream().cancel()
      if (version !== undefined && info.version !== version) throw changed(key)
      throw new HubError('UNSUPPORTED', `${bucket.service.host} does not give ranges of blob '${key}'.`, {
        at: at(key),
      })
    }
    return { info, reply }
  } catch (error) {
    if (!(error instanceof ReplyFailure)) throw error
    if (isConditionFailed(error) || error.status === 304) throw changed(key)
    if (error.status !== 416) throw error
    if (offset === 0) return undefined
    throw new HubError('RANGE', `Blob '${key}' has no byte ${offset}.`, { at: at(key) })
  }
}

async function infoWith(bucket: Bucket, key: string, reply: HttpReply): Promise<BlobInfo> {
  try {
    return infoOfHeaders(key, reply, bucket.service.host)
  } catch (error) {
    // An unread body would keep its connection.
    await reply.stream().cancel()
    throw error
  }
}

/** Information alone, for a range without bytes. */
async function nothing(
  bucket: Bucket,
  key: string,
  offset: number,
  o: Call & { range?: ByteRange; ifVersion?: string },
): Promise<Read> {
  const info = await stat(bucket, key, o)
  if (o.ifVersion !== undefined && o.ifVersion !== info.version) throw changed(key)
  if (offset > 0 && offset >= info.size)
    throw new HubError('RANGE', `Blob '${key}' has ${info.size} bytes, and no byte ${offset}.`, { at: at(key) })
  // It was empty when its bytes were asked for.
  if (o.range?.length !== 0 && info.size > 0) throw changed(key, true)
  return { info, body: new ReadableStream({ start: (controller) => controller.close() }) }
}

function downloadPath(bucket: Bucket, key: string, version: string | undefined): string {
  const encoded = encodeURIComponent(bucket.name)
  const name = bucket.nameOf(key)
  if (bucket.service.xml) return `/${encoded}/${name.split('/').map(encodeURIComponent).join('/')}`
  return withQuery(`/download/storage/v1/b/${encoded}/o/${encodeURIComponent(name)}`, {
    alt: 'media',
    ...(version === undefined ? {} : { ifGenerationMatch: version }),
  })
}

/** @param retryable Nobody asked for a version: the next read gets what is there now. */
function changed(key: string, retryable = false): HubError {
  return new HubError('CONFLICT', `Blob '${key}' has another version by now.`, { at: at(key), retryable })
}

function at(key: string) {
  return { scheme: 'gcs', op: 'read', target: key }
}
