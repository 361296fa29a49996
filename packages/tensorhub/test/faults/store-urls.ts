import { env } from 'node:process'
import { type BlobDriver, type IndexDriver, openBlobsUrl, openIndexUrl } from '@tensorhub/core'

/** Both layers of a hub by URL. They may hold a password: processes get them by their environment. */
export interface StoreUrls {
  readonly index: string
  readonly blobs: string
}

const load = (name: string) => import(name)

/** The stores as driver objects, to be wrapped. */
export async function driversOf(urls: StoreUrls): Promise<{ index: IndexDriver; blobs: BlobDriver }> {
  return { index: await openIndexUrl(urls.index, { load }), blobs: await openBlobsUrl(urls.blobs, { load }) }
}

export function environmentOf(urls: StoreUrls): NodeJS.ProcessEnv {
  return { TENSORHUB_INDEX: urls.index, TENSORHUB_BLOBS: urls.blobs }
}

export function urlsOfEnvironment(): StoreUrls {
  const { TENSORHUB_INDEX: index, TENSORHUB_BLOBS: blobs } = env
  if (!index || !blobs) throw new Error('TENSORHUB_INDEX and TENSORHUB_BLOBS name no stores')
  return { index, blobs }
}
