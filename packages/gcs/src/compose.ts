import type { Call } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { FIELDS, type ObjectResource, type resourceOf } from './object-info.ts'
import { objectPath, withQuery } from './writing.ts'

/** An object to put together, of the one generation. */
export interface Source {
  readonly name: string
  readonly generation: string
  /** Bytes. */
  readonly size: number
}

/** Sources of one request. https://cloud.google.com/storage/docs/composite-objects */
export const SOURCES = 32

/**
 * One request that makes an object of others, in their order. It copies no bytes, and what it makes stays whole when the sources go. With `deleteSources` they go
 * with it, for good: neither soft delete nor versioning keeps them, and no early deletion is charged.
 * https://cloud.google.com/storage/docs/json_api/v1/objects/compose, https://cloud.google.com/storage/docs/composing-objects
 */
export function compose(
  bucket: Bucket,
  name: string,
  sources: readonly Source[],
  o: Call & {
    readonly condition: Readonly<Record<string, string>>
    readonly resource: Partial<ReturnType<typeof resourceOf>>
    readonly deleteSources: boolean
  },
): Promise<ObjectResource> {
  const request = {
    sourceObjects: sources.map(({ name: source, generation }) => ({ name: source, generation })),
    destination: o.resource,
    ...(o.deleteSources ? { deleteSourceObjects: true } : {}),
  }
  return bucket.service.json<ObjectResource>({
    method: 'POST',
    path: withQuery(`${objectPath(bucket.name, name)}/compose`, { fields: FIELDS, ...o.condition }),
    headers: { 'content-type': 'application/json; charset=UTF-8' },
    body: [new TextEncoder().encode(JSON.stringify(request))],
    signal: o.signal,
  })
}

/**
 * How many of the first of so many sources are put together, group by group, so that fewer are left: where one level is enough, no more groups than are needed. Empty
 * when one request takes them all.
 */
export function groupsOf(count: number): number[] {
  const excess = count - SOURCES
  if (excess <= 0) return []
  // A group of 32 becomes one: 31 less.
  const groups = Math.ceil(excess / (SOURCES - 1))
  if (groups > SOURCES) return Array<number>(Math.floor(count / SOURCES)).fill(SOURCES)
  const last = excess - (SOURCES - 1) * (groups - 1) + 1
  return [...Array<number>(groups - 1).fill(SOURCES), last]
}
