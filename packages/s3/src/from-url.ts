import { type BlobDriver, HubError, readStoreUrl } from '@tensorhub/core'
import { s3 } from './driver.ts'
import type { S3Options } from './options.ts'

const PARAMETERS = {
  region: 'text',
  endpoint: 'text',
  pathStyle: 'flag',
  profile: 'text',
  accessKeyId: 'text',
  secretAccessKey: 'text',
  sessionToken: 'text',
  checksums: 'flag',
  timeout: 'number',
  partSize: 'number',
  parallel: 'number',
  probe: 'flag',
} as const

/**
 * `s3://bucket/prefix?region=…&endpoint=…&pathStyle=…&profile=…&checksums=…&timeout=…&partSize=…&parallel=…&probe=…`; and `accessKeyId`, `secretAccessKey`,
 * `sessionToken`, where the SDK's chain (environment, profile) has none.
 *
 * @throws INVALID for parameters it does not know.
 */
export function blobsFromUrl(url: string): BlobDriver {
  const { name, prefix, parameters } = readStoreUrl(url, {
    scheme: 's3',
    example: 's3://bucket/prefix?region=…',
    parameters: PARAMETERS,
  })
  const { pathStyle, accessKeyId, secretAccessKey, sessionToken, ...same } = parameters
  const options: S3Options = { bucket: name, ...same }
  return s3({
    ...options,
    ...(prefix === undefined ? {} : { prefix }),
    ...(pathStyle === undefined ? {} : { forcePathStyle: pathStyle }),
    ...credentialsOf(accessKeyId, secretAccessKey, sessionToken),
  })
}

function credentialsOf(
  accessKeyId: string | undefined,
  secretAccessKey: string | undefined,
  sessionToken: string | undefined,
): Pick<S3Options, 'credentials'> {
  if (accessKeyId !== undefined && secretAccessKey !== undefined)
    return { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }
  if ((accessKeyId ?? secretAccessKey ?? sessionToken) === undefined) return {}
  throw new HubError('INVALID', "The URL's parameters accessKeyId and secretAccessKey come together.", {
    at: { scheme: 's3', op: 'open' },
    path: accessKeyId === undefined ? 'accessKeyId' : 'secretAccessKey',
  })
}
