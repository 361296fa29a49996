import { type BlobInfo, type Call, compareStrings, HubError, isKey } from '@tensorhub/core'
import { infoOf } from './info.ts'
import { placeOf, type Store } from './store.ts'

/** https://learn.microsoft.com/rest/api/storageservices/list-blobs#uri-parameters */
const PAGE = 5000

/**
 * Pages of List Blobs. `startFrom` (service version 2026-02-06) begins at a name, itself included; a server that does not know it begins at the first, so
 * what is not behind `after` is left out here either way.
 */
export async function* listBlobs(
  store: Store,
  prefix: string,
  o: Call & { readonly after?: string; readonly limit?: number },
): AsyncGenerator<BlobInfo, void, undefined> {
  const { container, requests, transfer, where } = store
  const at = placeOf('list', prefix)
  const { root } = transfer
  let left = o.limit ?? Number.POSITIVE_INFINITY
  let last = o.after
  let marker: string | undefined
  let skipping = false
  if (left <= 0) return
  do {
    const settings = {
      // One more: the name it starts from.
      maxPageSize: skipping ? PAGE : Math.min(PAGE, left + 1),
      ...(marker === undefined ? {} : { continuationToken: marker }),
    }
    const { value: page } = await requests.repeated(at, o, (abortSignal) =>
      container
        .listBlobsFlat({
          abortSignal,
          prefix: root + prefix,
          includeMetadata: true,
          ...(o.after === undefined ? {} : { startFrom: root + o.after }),
        })
        .byPage(settings)
        .next(),
    )
    skipping = true
    for (const { name, properties, metadata } of page.segment.blobItems) {
      const key = name.slice(root.length)
      if (last !== undefined && compareStrings(key, last) <= 0) {
        if (last === o.after) continue
        throw new HubError(
          'UNSUPPORTED',
          `${where.host} does not list blobs in the order of their names, as an account with a hierarchical namespace; use one without.`,
          { at, reason: 'CAPABILITY' },
        )
      }
      last = key
      // What others keep there under names that are no keys, and probes of `open`, is no blob.
      if (!isKey(key)) continue
      skipping = false
      yield infoOf(key, properties.contentLength, { ...properties, metadata }, at, where)
      if (--left <= 0) return
    }
    marker = page.continuationToken
  } while (marker)
}
