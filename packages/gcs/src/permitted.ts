import { randomUUID } from 'node:crypto'
import { type BlobInfo, retrying } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { compose } from './compose.ts'
import { isConditionFailed, isDenied, isTransient, ReplyFailure, transientWithin } from './errors.ts'
import { PROBE } from './probe.ts'
import { uploadOnce } from './upload-once.ts'
import { objectPath } from './writing.ts'

/** What composite uploads may be used for in a bucket. */
export interface Permitted {
  readonly composite: boolean
  /** Whether compose holds preconditions. */
  readonly conditions: boolean
}

const NOT = { composite: false, conditions: false } as const

/** Classes whose objects cost for a month or longer however soon they are deleted. https://cloud.google.com/storage/docs/storage-classes */
const COLD = new Set(['NEARLINE', 'COLDLINE', 'ARCHIVE'])

/**
 * Whether part objects would leave anything behind, or cost anything once they are deleted, as Google's own tools ask before they use composite uploads: no where
 * objects cannot be deleted (a retention policy, a default hold, an account without the right) and where new objects are of a cold class. Tried out with an object of
 * one byte (four requests), since the right to read a bucket's settings is in no role for objects.
 * https://cloud.google.com/storage/docs/parallel-composite-uploads
 */
export async function permitted(bucket: Bucket): Promise<Permitted> {
  const key = `${PROBE}${randomUUID()}`
  const name = bucket.nameOf(key)
  const absent = { when: { ifAbsent: true } } as const
  let made: BlobInfo
  try {
    made = await uploadOnce(bucket.service, bucket.writing(key, absent), Uint8Array.of(0), absent)
  } catch (error) {
    // Other names than those of blobs are not allowed.
    if (isDenied(error)) return NOT
    throw error
  }
  let found: Permitted | undefined
  let removed: boolean
  try {
    found = (await isCold(bucket, name)) ? NOT : await composes(bucket, name, made)
  } finally {
    // By its generation: by its name alone, a bucket with versions would keep it. Where it was composed over itself, that is another one.
    const replaced = found?.composite === true && !found.conditions
    removed = await bucket.removeIfAllowed(name, replaced ? {} : { generation: made.version })
  }
  return removed ? found : NOT
}

/** Whether new objects are of a class whose early deletion costs, or that cannot be seen: objects may not be read. */
async function isCold(bucket: Bucket, name: string): Promise<boolean> {
  const path = objectPath(bucket.name, name, { fields: 'storageClass' })
  try {
    const { storageClass } = await bucket.json<{ readonly storageClass?: string }>({ method: 'GET', path })
    return COLD.has(storageClass ?? '')
  } catch (error) {
    if (isDenied(error)) return true
    throw error
  }
}

/** Puts an object together over itself, on the condition that it is not there: again while that fails in a way that may pass, for it changes nothing. */
async function composes(bucket: Bucket, name: string, { size, version }: BlobInfo): Promise<Permitted> {
  const condition = { ifGenerationMatch: '0' }
  const sources = [{ name, generation: version, size }]
  try {
    await retrying(() => compose(bucket, name, sources, { condition, resource: {}, deleteSources: false }), {
      isTransient: transientWithin(bucket.settings.timeout),
      attempts: 6,
    })
    return { composite: true, conditions: false }
  } catch (error) {
    if (isConditionFailed(error)) return { composite: true, conditions: true }
    // A service without it, or an account that may not.
    if (error instanceof ReplyFailure && !isTransient(error)) return NOT
    throw error
  }
}
