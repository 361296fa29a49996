import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { type Call, HubError, type SignedUrl, type SignOptions, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { base64 } from './write.ts'

/** A week. https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html */
const LONGEST = 7 * 24 * 3600
const SHA256 = 'x-amz-checksum-sha256'

/**
 * A presigned URL; no request. The hash of an upload is a signed *header*, which the upload has to carry: as a parameter of the URL, where the SDK puts it, it
 * is not checked by every server.
 */
export async function sign(bucket: Bucket, key: string, o: Call & SignOptions): Promise<SignedUrl> {
  throwIfAborted(o.signal)
  const { method, expiresIn, sha256 } = o
  if (expiresIn > LONGEST)
    throw new HubError('INVALID', `A signed URL holds for at most ${LONGEST} seconds, a week.`, {
      at: bucket.at('sign', key),
      path: 'expiresIn',
    })
  const object = bucket.object(key)
  const checksum = sha256 === undefined ? undefined : base64(sha256)
  const put = { ...object, ...(checksum === undefined ? {} : { ChecksumSHA256: checksum }) }
  // The presigner takes any command; its type wants one that the compiler knows.
  const command = (method === 'GET' ? new GetObjectCommand(object) : new PutObjectCommand(put)) as GetObjectCommand
  command.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      // What a client's defaults add of the body that this request does not have: its checksum, length and Expect.
      for (const name of Object.keys(headers))
        if (
          /^(expect|content-length|x-amz-sdk-checksum-algorithm|x-amz-checksum-(?!sha256)|x-amz-checksum-mode)/i.test(
            name,
          )
        )
          delete headers[name]
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'tensorhubSigned' },
  )
  const { client } = bucket.requests
  try {
    await bucket.requests.signIn()
    const url = new URL(await getSignedUrl(client, command, { expiresIn, unhoistableHeaders: new Set([SHA256]) }))
    return checksum === undefined ? url : Object.assign(url, { headers: { [SHA256]: checksum } })
  } catch (error) {
    throw bucket.requests.failure(error)
  }
}
