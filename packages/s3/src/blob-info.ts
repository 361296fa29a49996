import type { BlobInfo } from '@tensorhub/core'

/** Metadata that tells one write from another, so that a lost reply can be told from a lost race. Never shown. */
export const NONCE = 'tensorhub-write'

/** A version is the ETag without its quotes: of the *content*, so that writing the same bytes again keeps it. */
export function versionOf(etag: string): string {
  return etag.replace(/^"(.*)"$/, '$1')
}

export function etagOf(version: string): string {
  return version.startsWith('W/') ? version : `"${version}"`
}

interface Head {
  readonly ETag?: string | undefined
  readonly LastModified?: Date | undefined
  readonly ContentType?: string | undefined
  readonly Metadata?: Record<string, string> | undefined
}

/** What HEAD or GET say of a blob, and who wrote it. */
export interface Found {
  readonly info: BlobInfo
  readonly nonce: string | undefined
}

export function foundOf(key: string, size: number, head: Head, date: Date): Found {
  const { [NONCE]: nonce, ...meta } = head.Metadata ?? {}
  const info: BlobInfo = {
    key,
    size,
    modified: head.LastModified ?? date,
    version: versionOf(head.ETag ?? ''),
    ...(head.ContentType === undefined ? {} : { contentType: head.ContentType }),
    ...(Object.keys(meta).length > 0 ? { meta } : {}),
  }
  return { info, nonce }
}
