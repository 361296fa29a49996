import type { BlobDriver } from '@tensorhub/core'
import { readUrl, timeoutOf } from '../url.ts'
import { gridfs } from './driver.ts'

/** `mongodb://host/database`, with the options of MongoDB's connection strings and `bucket`, `timeout`. */
export function blobsFromUrl(url: string): BlobDriver {
  const { url: server, own } = readUrl(url)
  const timeout = timeoutOf(own)
  return gridfs({
    url: server,
    ...(own.bucket === undefined ? {} : { bucket: own.bucket }),
    ...(timeout === undefined ? {} : { timeout }),
  })
}
