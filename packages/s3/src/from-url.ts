import { type BlobDriver, HubError, readStoreUrl, withUrlParameters } from '@tensorhub/core'
import { makeClient } from './client.ts'
import { s3 } from './driver.ts'
import { mapError } from './errors.ts'
import { type S3Options, settingsOf } from './options.ts'
import { failureOf } from './requests.ts'

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
  return s3(optionsOf(url))
}

/**
 * The URL with region, endpoint and credentials as this process finds them (environment, profile, machine). Credentials of a session are handed over as they are now, and
 * end when they end.
 */
export async function urlToHandOver(url: string): Promise<string> {
  const options = optionsOf(url)
  const settings = settingsOf(options)
  const client = makeClient(options, settings)
  try {
    const { accessKeyId, secretAccessKey, sessionToken } = await client.config.credentials()
    // As the SDK finds it: in the environment, or in a profile, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is set.
    const { serviceConfiguredEndpoint } = client.config as {
      serviceConfiguredEndpoint?: () => Promise<string | undefined>
    }
    const endpoint = options.endpoint ?? (await serviceConfiguredEndpoint?.())
    return withUrlParameters(url, {
      ...{ accessKeyId, secretAccessKey, region: await client.config.region() },
      ...(sessionToken === undefined ? {} : { sessionToken }),
      ...(endpoint ? { endpoint } : {}),
      // Their defaults follow from whether an endpoint is given.
      pathStyle: String(client.config.forcePathStyle),
      checksums: String(settings.checksums),
      // This process has tried it out already.
      probe: 'false',
    })
  } catch (error) {
    const at = { scheme: 's3', op: 'open' }
    const failure = failureOf(error, options.endpoint === undefined ? '' : new URL(options.endpoint).host)
    const known = mapError(failure, at, settings.bucket)
    throw known === undefined ? error : new HubError(known.code, known.message ?? '', { ...known, at, cause: failure })
  } finally {
    client.destroy()
  }
}

function optionsOf(url: string): S3Options {
  const { name, prefix, parameters } = readStoreUrl(url, {
    scheme: 's3',
    example: 's3://bucket/prefix?region=…',
    parameters: PARAMETERS,
  })
  const { pathStyle, accessKeyId, secretAccessKey, sessionToken, ...same } = parameters
  return {
    bucket: name,
    ...same,
    ...(prefix === undefined ? {} : { prefix }),
    ...(pathStyle === undefined ? {} : { forcePathStyle: pathStyle }),
    ...credentialsOf(accessKeyId, secretAccessKey, sessionToken),
  }
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
