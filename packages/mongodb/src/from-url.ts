import type { IndexDriver } from '@tensorhub/core'
import { mongodb } from './driver.ts'
import { readUrl, timeoutOf } from './url.ts'

/**
 * `mongodb://user:password@host:27017/database?options` or `mongodb+srv://…`. Our own parameter is `timeout` (ms); `bucket` is accepted, since one URL may name both layers, and
 * concerns the blobs. All others are MongoDB's.
 */
export function indexFromUrl(url: string): IndexDriver {
  const read = readUrl(url)
  const timeout = timeoutOf(read.own)
  return mongodb({ url: read.url, ...(timeout === undefined ? {} : { timeout }) })
}
