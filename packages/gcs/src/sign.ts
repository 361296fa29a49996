import { type Call, HubError, type SignedUrl, type SignOptions, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'

/** https://cloud.google.com/storage/docs/access-control/signed-urls: seven days. */
const LONGEST = 7 * 24 * 3600

export async function sign(bucket: Bucket, key: string, o: Call & SignOptions): Promise<SignedUrl> {
  throwIfAborted(o.signal)
  const at = { scheme: 'gcs', op: 'sign', target: key }
  if (o.sha256 !== undefined)
    throw new HubError(
      'UNSUPPORTED',
      'A signed URL of Google Cloud Storage cannot be bound to the sha256 of a body; leave it out.',
      { at, path: 'sha256', reason: 'CAPABILITY' },
    )
  if (o.expiresIn > LONGEST)
    throw new HubError('INVALID', `A signed URL holds for ${LONGEST} seconds (seven days) at most.`, {
      at,
      path: 'expiresIn',
    })
  return bucket.service.credentials.sign(bucket.name, bucket.nameOf(key), o)
}
