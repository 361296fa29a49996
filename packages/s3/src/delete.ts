import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import type { Call } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { S3Failure } from './failure.ts'
import { changing } from './requests.ts'

/** Missing keys are success: S3 says so itself. */
export async function remove(bucket: Bucket, keys: readonly string[], o: Call): Promise<void> {
  const [only] = keys
  if (only === undefined) return
  if (keys.length === 1) {
    try {
      await bucket.requests.repeat(() => new DeleteObjectCommand(bucket.object(only)), changing(o))
    } catch (error) {
      if (!(error instanceof S3Failure && error.isMissingKey)) throw error
    }
    return
  }
  let left: readonly string[] = [...new Set(keys)]
  await bucket.requests.retrying(async () => {
    const failed = await removeMany(bucket, left, o)
    if (failed === undefined) return
    left = failed.keys
    throw failed.error
  }, o)
}

/**
 * One request. Its reply is 200 also when keys failed, and lists those. https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
 *
 * @returns The keys that failed and why the first of them did, one that may pass last.
 */
async function removeMany(
  bucket: Bucket,
  keys: readonly string[],
  o: Call,
): Promise<{ readonly keys: readonly string[]; readonly error: S3Failure } | undefined> {
  const Objects = keys.map((key) => ({ Key: bucket.object(key).Key }))
  const command = new DeleteObjectsCommand({ Bucket: bucket.name, Delete: { Quiet: true, Objects } })
  const { output } = await bucket.requests.send(command, { ...changing(o), md5: true })
  const failures = (output.Errors ?? []).filter(({ Code }) => Code !== 'NoSuchKey' && Code !== 'NoSuchVersion')
  const errors = failures.map(
    ({ Code = 'Unknown', Message = '', Key = '' }) =>
      new S3Failure('answered', Code, `${failures.length} of ${keys.length} keys, '${Key}' among them: ${Message}`, {
        host: bucket.requests.host,
        status: statusOf(Code),
      }),
  )
  const error = errors.find((failure) => !failure.transient) ?? errors[0]
  if (error === undefined) return undefined
  const prefix = bucket.settings.prefix
  // Which failed is not always said.
  const named = failures.every(({ Key }) => Key !== undefined && Key.length > prefix.length)
  return { keys: named ? failures.map(({ Key = '' }) => Key.slice(prefix.length)) : keys, error }
}

/** An error of one key comes without the status that the same error has as a reply. */
function statusOf(code: string): number {
  if (code === 'AccessDenied') return 403
  if (code === 'InternalError') return 500
  return 400
}
