import type { BlobInfo, WriteOptions } from '@tensorhub/core'
import { NotTheStore } from './errors.ts'
import type { HttpReply } from './http.ts'

/** An object of the JSON API. https://cloud.google.com/storage/docs/json_api/v1/objects#resource */
export interface ObjectResource {
  readonly name: string
  readonly size: string
  readonly generation: string
  readonly updated: string
  readonly contentType?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** What a request must ask for to get an {@link ObjectResource}. */
export const FIELDS = 'name,size,generation,updated,contentType,metadata'

/** The metadata key that marks a write, so that its outcome can be told after its reply was lost. Never shown. */
export const NONCE = 'tensorhub-write'

/** What a write without a content type is given. */
const PLAIN = 'application/octet-stream'

/** The metadata of a write. */
export function resourceOf(o: Pick<WriteOptions, 'contentType' | 'meta'>, nonce: string) {
  return { contentType: o.contentType ?? PLAIN, metadata: { ...o.meta, [NONCE]: nonce } }
}

/** @throws NotTheStore when it is none. */
export function infoOf(key: string, object: Partial<ObjectResource>, host: string): BlobInfo {
  const modified = new Date(object.updated ?? Number.NaN)
  if (!isGeneration(object.generation) || !/^\d+$/.test(String(object.size)) || Number.isNaN(modified.getTime()))
    throw new NotTheStore(host, 'with JSON that describes no object')
  return {
    key,
    size: Number(object.size),
    modified,
    version: String(object.generation),
    ...shown(object.contentType, object.metadata),
  }
}

/** The same from the headers of a download. @throws NotTheStore when they are of none. */
export function infoOfHeaders(key: string, { headers, status }: HttpReply, host: string): BlobInfo {
  const total = /\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1]
  const size = total ?? headers['x-goog-stored-content-length'] ?? headers['content-length']
  const version = headers['x-goog-generation']
  const modified = new Date(headers['last-modified'] ?? Number.NaN)
  if (!isGeneration(version) || !/^\d+$/.test(String(size)) || Number.isNaN(modified.getTime()))
    throw new NotTheStore(host, `${status} without the headers of an object`)
  const metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith('x-goog-meta-')) metadata[name.slice('x-goog-meta-'.length)] = String(value)
  return { key, size: Number(size), modified, version: String(version), ...shown(headers['content-type'], metadata) }
}

/** Generations are positive; 0 means "there is none" in preconditions, and must never come from a caller's version. */
export function isGeneration(text: unknown): boolean {
  return /^[1-9]\d{0,18}$/.test(String(text))
}

function shown(
  contentType: string | undefined,
  metadata: Readonly<Record<string, string>> = {},
): Pick<BlobInfo, 'contentType' | 'meta'> {
  const { [NONCE]: _hidden, ...meta } = metadata
  return {
    ...(contentType === undefined || contentType === PLAIN ? {} : { contentType }),
    ...(Object.keys(meta).length === 0 ? {} : { meta }),
  }
}
