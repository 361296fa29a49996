import type { BlobInfo, ErrorPlace } from '@tensorhub/core'
import { notTheStore, type Where } from './errors.ts'
import { decodeMeta } from './metadata.ts'

/** What the service says of a blob, by whichever request. */
export interface Answer {
  readonly etag?: string | undefined
  readonly lastModified?: Date | undefined
  readonly contentType?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** @throws UNAVAILABLE, NOT_THE_STORE when the answer lacks what every answer of the service has. */
export function infoOf(key: string, size: number | undefined, answer: Answer, at: ErrorPlace, where: Where): BlobInfo {
  const { etag, lastModified, contentType } = answer
  if (!etag || lastModified === undefined || size === undefined) throw notTheStore(at, where)
  const meta = decodeMeta(answer.metadata)
  return {
    key,
    size,
    modified: lastModified,
    version: versionOf(etag),
    ...(contentType ? { contentType } : {}),
    ...(meta === undefined ? {} : { meta }),
  }
}

/** ETags are quoted in headers and bare in lists. */
function versionOf(etag: string): string {
  return etag.replace(/^"(.*)"$/, '$1')
}

export function etagOf(version: string): string {
  return `"${version}"`
}
