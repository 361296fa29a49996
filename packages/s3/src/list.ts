import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { type BlobInfo, type Call, compareStrings, HubError, isKey, throwIfAborted } from '@tensorhub/core'
import { versionOf } from './blob-info.ts'
import type { Bucket } from './bucket.ts'

/** Most keys of one reply. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
const PAGE = 1000

/** Blobs in the order of their keys' bytes, page by page. What others put there under names that are no keys is passed over. */
export async function* list(
  bucket: Bucket,
  prefix: string,
  o: Call & { readonly after?: string; readonly limit?: number },
): AsyncGenerator<BlobInfo, void, undefined> {
  let left = o.limit ?? Number.POSITIVE_INFINITY
  if (left <= 0) return
  for await (const object of objects(bucket, prefix, Math.min(PAGE, left), o)) {
    // Some servers' StartAfter includes the key itself.
    if (!isKey(object.key) || (o.after !== undefined && compareStrings(object.key, o.after) <= 0)) continue
    yield object
    throwIfAborted(o.signal)
    if (--left <= 0) return
  }
}

/** Everything whose name begins so. */
export async function* objects(
  bucket: Bucket,
  prefix: string,
  page: number,
  o: Call & { readonly after?: string },
): AsyncGenerator<BlobInfo, void, undefined> {
  const own = bucket.settings.prefix
  let token: string | undefined
  let last = ''
  for (;;) {
    throwIfAborted(o.signal)
    const input = {
      Bucket: bucket.name,
      Prefix: own + prefix,
      // Keys of others may hold characters that XML 1.0 cannot.
      EncodingType: 'url' as const,
      // Small only at first: most of what is there may be no keys.
      MaxKeys: token === undefined ? page : PAGE,
      ...(token !== undefined
        ? { ContinuationToken: token }
        : o.after !== undefined
          ? { StartAfter: own + o.after }
          : {}),
    }
    const { output, date } = await bucket.requests.repeat(() => new ListObjectsV2Command(input), o)
    if (output.Contents === undefined && output.KeyCount === undefined && output.IsTruncated === undefined)
      throw bucket.stranger('a reply that is no list')
    const encoded = output.EncodingType === 'url'
    for (const { Key = '', Size = 0, ETag = '', LastModified = date } of output.Contents ?? []) {
      const full = encoded ? decoded(Key) : Key
      // Directory buckets, and some servers, list in an order of their own; a page's worth of blobs would be missed in silence.
      if (compareStrings(full, last) <= 0 && last !== '')
        throw new HubError(
          'UNSUPPORTED',
          `Bucket '${bucket.name}' does not list its keys in the order of their bytes (directory buckets do not); use a general purpose bucket.`,
          { at: bucket.at('list', prefix), reason: 'LIST_ORDER' },
        )
      last = full
      yield { key: full.slice(own.length), size: Size, modified: LastModified, version: versionOf(ETag) }
    }
    if (!output.IsTruncated) return
    token = output.NextContinuationToken
    // Servers that know only the first version of the call answer so; the rest would be missed in silence.
    if (token === undefined) throw bucket.stranger('a cut list that does not say how it goes on')
  }
}

/** As URLs of forms are: a space is `+`. */
function decoded(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '))
}
