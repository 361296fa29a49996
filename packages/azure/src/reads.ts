import type { Readable } from 'node:stream'
import {
  type BlobInfo,
  type ByteRange,
  type Call,
  continuedBody,
  type ErrorPlace,
  HubError,
  isHubError,
} from '@tensorhub/core'
import { webBody } from './body.ts'
import { brokenBody, notTheStore } from './errors.ts'
import { etagOf, infoOf } from './info.ts'
import { isTransient } from './requests.ts'
import { blobOf, placeOf, type Store } from './store.ts'

type Read = Call & { readonly ifVersion?: string }
type Opened = { readonly info: BlobInfo; readonly body: ReadableStream<Uint8Array> }

/** One blob, or a range of it, by one GET; a body that breaks continues by further ones, of the same version. */
export async function readBlob(store: Store, key: string, o: Read & { readonly range?: ByteRange }): Promise<Opened> {
  const at = placeOf('read', key)
  const { offset = 0, length } = o.range ?? {}
  // The service has no empty ranges.
  const first = length === 0 ? undefined : await get(store, key, offset, length, o, at)
  const { info, body } = first ?? { info: await statBlob(store, key, o, at), body: emptyBody() }
  if (offset > 0 && offset >= info.size) {
    await body.cancel()
    throw outside(key, offset, info.size, at)
  }
  if (length === 0) return { info, body }
  const bytes = Math.min(length ?? info.size, info.size - offset)
  const again = async (done: number) => {
    const rest = { ifVersion: info.version, ...(o.signal && { signal: o.signal }) }
    const more = await get(store, key, offset + done, bytes - done, rest, at)
    if (more === undefined) throw outside(key, offset + done, info.size, at)
    return more.body
  }
  return {
    info,
    body: continuedBody(body, { length: bytes, again, isTransient, at, ...(o.signal && { signal: o.signal }) }),
  }
}

export async function statBlob(store: Store, key: string, o: Read, at: ErrorPlace): Promise<BlobInfo> {
  const found = await store.requests.repeated(at, o, (abortSignal) =>
    blobOf(store, key).getProperties({ abortSignal, ...pinned(o.ifVersion) }),
  )
  return infoOf(key, found.contentLength, found, at, store.where)
}

/** Undefined for the beginning of an empty blob, which the service has no range of. */
async function get(
  store: Store,
  key: string,
  offset: number,
  length: number | undefined,
  o: Read,
  at: ErrorPlace,
): Promise<Opened | undefined> {
  const { requests, where } = store
  try {
    const found = await requests.repeated(at, o, (abortSignal) =>
      // Bodies are continued here, for all stores alike, and not by the SDK: it cannot tell a reset from an abort, and so does not continue after one.
      blobOf(store, key).download(offset, length, { abortSignal, maxRetryRequests: 0, ...pinned(o.ifVersion) }),
    )
    const stream = found.readableStreamBody as Readable | undefined
    const partial = offset > 0 || length !== undefined
    const size = partial ? totalOf(found.contentRange) : found.contentLength
    try {
      const info = infoOf(key, size, found, at, where)
      if (stream === undefined) throw notTheStore(at, where)
      return { info, body: webBody(stream, (error) => brokenBody(error, at, where)) }
    } catch (error) {
      // An unread body would keep its connection.
      stream?.on('error', () => undefined).destroy()
      throw error
    }
  } catch (error) {
    if (offset > 0 || !isHubError(error, 'RANGE')) throw error
    return undefined
  }
}

function pinned(version: string | undefined) {
  return version === undefined ? {} : { conditions: { ifMatch: etagOf(version) } }
}

/** The size of the whole blob, of `bytes 0-9/100`. */
function totalOf(contentRange: string | undefined): number | undefined {
  const total = /^bytes .*\/(\d+)$/.exec(contentRange ?? '')?.[1]
  return total === undefined ? undefined : Number(total)
}

function emptyBody(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() })
}

function outside(key: string, offset: number, size: number, at: ErrorPlace): HubError {
  return new HubError('RANGE', `The range from ${offset} lies outside blob '${key}' of ${size} bytes.`, { at })
}
