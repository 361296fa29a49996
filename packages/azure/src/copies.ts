import type { BlobRequestConditions } from '@azure/storage-blob'
import { type BlobInfo, type Call, type ErrorPlace, HubError, isHubError, type Precondition } from '@tensorhub/core'
import { etagOf, infoOf } from './info.ts'
import { withNonce } from './metadata.ts'
import { sourceOf } from './sign.ts'
import { blobOf, placeOf, type Store } from './store.ts'
import { Write } from './writes.ts'

const MIB = 1024 * 1024

/** Copy Blob From URL takes no larger source. https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url */
const AT_ONCE = 256 * MIB

/** Ms after which the proof that the service may read the source is made anew. */
const FRESH = 20 * 60_000

/** Tries while the source is replaced under the copy. */
const ATTEMPTS = 4

/** Copies inside the account, without the bytes passing through here: in one request, or above 256 MiB block by block, which commits as an upload does. */
export async function copyBlob(
  store: Store,
  from: string,
  to: string,
  o: Call & { readonly when?: Precondition },
): Promise<BlobInfo> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await copyOnce(store, from, to, o)
    } catch (error) {
      if (!isHubError(error) || error.reason !== 'SOURCE_CHANGED' || attempt >= ATTEMPTS) throw error
    }
  }
}

async function copyOnce(
  store: Store,
  from: string,
  to: string,
  o: Call & { readonly when?: Precondition },
): Promise<BlobInfo> {
  const { requests, transfer, where } = store
  const at = placeOf('copy', to)
  const reading = placeOf('copy', from)
  const properties = await requests.repeated(reading, o, (abortSignal) =>
    blobOf(store, from).getProperties({ abortSignal }),
  )
  const info = infoOf(from, properties.contentLength, properties, reading, where)
  let proof = sourceOf(store, from, reading, o)
  let proved = performance.now()
  const { url, ...authorization } = await proof
  const blob = blobOf(store, to)
  const write = new Write(store, to, at, {})
  const metadata = withNonce(properties.metadata, write.nonce)
  const sourceConditions = { ifMatch: etagOf(info.version) }
  const as = (made: BlobInfo): BlobInfo => ({ ...info, key: to, version: made.version, modified: made.modified })

  if (info.size <= AT_ONCE) {
    const send = (conditions: BlobRequestConditions, abortSignal: AbortSignal) =>
      blob.syncCopyFromURL(url, { ...authorization, conditions, sourceConditions, metadata, abortSignal })
    return as(await write.commit(info.size, { ...o, bytes: info.size }, send))
  }
  const count = Math.ceil(info.size / AT_ONCE)
  const tags: string[] = Array.from({ length: count }, (_, n) =>
    Buffer.from(write.nonce + String(n + 1).padStart(12, '0')).toString('base64'),
  )
  let next = 0
  let first: { readonly error: unknown } | undefined
  const worker = async () => {
    for (let n = next++; n < count && first === undefined; n = next++) {
      const offset = n * AT_ONCE
      const length = Math.min(AT_ONCE, info.size - offset)
      // What lets the service read the source ends after an hour, and a large copy may take longer.
      if (performance.now() - proved > FRESH) [proof, proved] = [sourceOf(store, from, reading, o), performance.now()]
      const { url, ...authorization } = await proof
      await requests.repeated(at, { ...o, bytes: length, changes: true }, (abortSignal) =>
        blob.stageBlockFromURL(tags[n] as string, url, offset, length, { ...authorization, abortSignal }),
      )
    }
  }
  const failed = (error: unknown) => {
    first ??= { error }
  }
  await Promise.all(Array.from({ length: Math.min(transfer.parallel, count) }, () => worker().catch(failed)))
  if (first !== undefined) throw first.error
  // Blocks take no condition on their source; an ETag that is still the same says that all came from one version.
  const after = await requests.repeated(reading, o, (abortSignal) => blobOf(store, from).getProperties({ abortSignal }))
  if (infoOf(from, after.contentLength, after, reading, where).version !== info.version) throw sourceChanged(at)
  const headers = info.contentType === undefined ? {} : { blobHTTPHeaders: { blobContentType: info.contentType } }
  try {
    const send = (conditions: BlobRequestConditions, abortSignal: AbortSignal) =>
      blob.commitBlockList(tags, { ...headers, metadata, conditions, abortSignal })
    return as(await write.commit(info.size, { ...o, bytes: count * 100 }, send))
  } catch (error) {
    if (!isHubError(error) || error.reason !== 'BLOCKS_GONE') throw error
    throw new HubError('UNAVAILABLE', `${error.message} Copy it again.`, { at, retryable: true, reason: 'BLOCKS_GONE' })
  }
}

function sourceChanged(at: ErrorPlace): HubError {
  return new HubError('CONFLICT', `The source of '${at.target}' was replaced while it was copied.`, {
    at,
    reason: 'SOURCE_CHANGED',
  })
}
