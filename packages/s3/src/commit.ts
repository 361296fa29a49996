import { type Call, HubError, isHubError, type Precondition } from '@tensorhub/core'
import { etagOf, type Found } from './blob-info.ts'
import type { Bucket } from './bucket.ts'
import { S3Failure } from './failure.ts'
import { findOrNone } from './read.ts'
import { isGone } from './sweep.ts'

/** What a commit made. */
export interface Committed {
  readonly version: string
  readonly modified: Date
}

/** The upload's parts are gone, and its blob is not there: all of it has to be sent again. */
export class UploadLost extends Error {
  override readonly name = 'UploadLost'
}

/** The header of a condition. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
export function conditionOf(when: Precondition | undefined): { IfNoneMatch?: string; IfMatch?: string } {
  if (when === undefined) return {}
  return 'ifAbsent' in when ? { IfNoneMatch: '*' } : { IfMatch: etagOf(when.ifVersion) }
}

/**
 * The request that makes a blob visible, repeated while it fails in passing. Where a reply was lost, who wrote the blob that is there now is read back by the
 * nonce of the write, so that its own success is never taken for a lost race.
 *
 * @throws EXISTS, CONFLICT; UNKNOWN where a conditional write may have been done and the blob was replaced since, or cannot be read back; UploadLost.
 */
export async function commit(
  bucket: Bucket,
  key: string,
  o: Call & { readonly nonce: string; readonly when?: Precondition },
  send: () => Promise<Committed>,
): Promise<Committed> {
  const { nonce, when } = o
  /** Some try may have been done although its reply did not say so. */
  let doubt = false
  const work = async () => {
    try {
      return await send()
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error
      doubt ||= error.doubtful
      const refused = isRefusal(error, when)
      if (refused && !doubt) throw refusal(bucket, key, when)
      // To ask costs less than to send the body again.
      const ask = refused || isGone(error) || (when !== undefined && error.doubtful && !error.isBusy)
      if (!ask) throw error
      const there = await readBack(bucket, key, when, o, error)
      if (there?.nonce === nonce) return { version: there.info.version, modified: there.info.modified }
      throw verdict(bucket, key, when, there, error, doubt)
    }
  }
  try {
    return await bucket.requests.retrying(work, o)
  } catch (error) {
    if (when !== undefined && doubt && error instanceof S3Failure && error.transient) throw unknown(bucket, key, error)
    throw error
  }
}

function isRefusal(error: S3Failure, when: Precondition | undefined): boolean {
  if (when === undefined) return false
  // If-Match on a key that is not there.
  return error.isPrecondition || ('ifVersion' in when && error.isMissingKey)
}

async function readBack(
  bucket: Bucket,
  key: string,
  when: Precondition | undefined,
  o: Call,
  why: S3Failure,
): Promise<Found | undefined> {
  try {
    return await findOrNone(bucket, key, o.signal ? { signal: o.signal } : {})
  } catch (error) {
    if (isHubError(error)) throw error
    if (when !== undefined) throw unknown(bucket, key, why)
    // To write it again is harmless, and the first failure tells more than that the question failed too.
    throw isGone(why) ? new UploadLost() : why
  }
}

/** What a failed commit means, given the blob that is there and is not its own. */
function verdict(
  bucket: Bucket,
  key: string,
  when: Precondition | undefined,
  there: Found | undefined,
  error: S3Failure,
  doubt: boolean,
): unknown {
  const gone = isGone(error)
  if (when === undefined) return gone ? new UploadLost() : error
  if ('ifAbsent' in when) {
    if (there !== undefined) return refusal(bucket, key, when)
    return gone ? new UploadLost() : error.isPrecondition ? unknown(bucket, key, error) : error
  }
  if (there?.info.version !== when.ifVersion) return doubt ? unknown(bucket, key, error) : refusal(bucket, key, when)
  return gone ? new UploadLost() : error
}

/** The error of a condition that does not hold. */
export function refusal(bucket: Bucket, key: string, when: Precondition | undefined): HubError {
  const at = bucket.at('write', key)
  if (when !== undefined && 'ifAbsent' in when) return new HubError('EXISTS', `Blob '${key}' exists already.`, { at })
  return new HubError('CONFLICT', `Blob '${key}' does not have the version asked for.`, { at })
}

function unknown(bucket: Bucket, key: string, cause: S3Failure): HubError {
  return new HubError(
    'UNKNOWN',
    `A conditional write of '${key}' to ${bucket.requests.host} failed (${cause.code}) such that whether it was done is not known. Read the blob before you write again.`,
    { at: bucket.at('write', key), reason: 'OUTCOME_UNKNOWN', cause },
  )
}
