import { type BlobInfo, type Call, isKey, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { ReplyFailure } from './errors.ts'
import { FIELDS, infoOf, type ObjectResource } from './object-info.ts'
import { withQuery } from './writing.ts'

/** Objects of one page; the service's own bound. https://cloud.google.com/storage/docs/json_api/v1/objects/list */
const PAGE = 1000

interface Page {
  readonly items?: readonly ObjectResource[]
  readonly nextPageToken?: string
}

/** Blobs, in the order of their keys. */
export async function* list(
  bucket: Bucket,
  prefix: string,
  o: Call & { after?: string; limit?: number },
): AsyncGenerator<BlobInfo, void, undefined> {
  let left = o.limit ?? Number.POSITIVE_INFINITY
  if (left <= 0) return
  for await (const object of objects(bucket, prefix, o, left + 1)) {
    const key = object.name.slice(bucket.settings.prefix.length)
    // `startOffset` is inclusive; and what others keep in the bucket under names that are no keys is no blob, nor are the parts of uploads under way.
    if (key === o.after || !isKey(key)) continue
    yield infoOf(key, object, bucket.service.host)
    if (--left <= 0) return
  }
}

/** Objects whose names begin so behind the bucket's prefix, by name, over all pages. */
export async function* objects(
  bucket: Bucket,
  prefix: string,
  o: Call & { after?: string },
  first = PAGE,
): AsyncGenerator<ObjectResource, void, undefined> {
  let pageToken: string | undefined
  // Only the first page is asked for what is wanted alone: it may be full of what is no blob.
  for (let most = Math.min(PAGE, first); ; most = PAGE) {
    throwIfAborted(o.signal)
    const page = await pageOf(bucket, prefix, pageToken, most, o)
    yield* page.items ?? []
    pageToken = page.nextPageToken
    if (pageToken === undefined) return
  }
}

async function pageOf(
  bucket: Bucket,
  prefix: string,
  pageToken: string | undefined,
  maxResults: number,
  o: Call & { after?: string },
): Promise<Page> {
  const path = withQuery(`/storage/v1/b/${encodeURIComponent(bucket.name)}/o`, {
    prefix: bucket.nameOf(prefix),
    maxResults: String(maxResults),
    fields: `items(${FIELDS}),nextPageToken`,
    ...(o.after === undefined ? {} : { startOffset: bucket.nameOf(o.after) }),
    ...(pageToken === undefined ? {} : { pageToken }),
  })
  try {
    return await bucket.json<Page>({ method: 'GET', path, signal: o.signal })
  } catch (error) {
    // 404 to a listing can only mean the bucket.
    if (error instanceof ReplyFailure && error.status === 404)
      throw new ReplyFailure(404, 'NoSuchBucket', error.message, error.host, error.bucket)
    throw error
  }
}
