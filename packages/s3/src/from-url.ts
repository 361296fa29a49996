import { type BlobDriver, HubError, redactUrl } from '@tensorhub/core'
import { s3 } from './driver.ts'
import type { S3Options } from './options.ts'

type Parameter = (value: string, url: URL, name: string) => Partial<S3Options>

const text =
  (name: keyof S3Options): Parameter =>
  (value) => ({ [name]: value })
const yes =
  (name: keyof S3Options): Parameter =>
  (value, url, own) => {
    if (value !== 'true' && value !== 'false') throw invalid(url, `${own} is true or false`)
    return { [name]: value === 'true' }
  }
const count =
  (name: keyof S3Options): Parameter =>
  (value, url, own) => {
    if (!/^\d{1,15}$/.test(value)) throw invalid(url, `${own} is a whole number`)
    return { [name]: Number(value) }
  }

const PARAMETERS: Readonly<Record<string, Parameter>> = {
  region: text('region'),
  endpoint: text('endpoint'),
  pathStyle: yes('forcePathStyle'),
  checksums: yes('checksums'),
  profile: text('profile'),
  timeout: count('timeout'),
  partSize: count('partSize'),
  parallel: count('parallel'),
  probe: yes('probe'),
}
const KEYS = ['accessKeyId', 'secretAccessKey', 'sessionToken']

/**
 * `s3://bucket/prefix?region=…&endpoint=…&pathStyle=…&checksums=…&profile=…&timeout=…&partSize=…&parallel=…&probe=…`, and `accessKeyId`, `secretAccessKey`,
 * `sessionToken` where the SDK's chain (environment, profile) has none.
 *
 * @throws INVALID for parameters it does not know.
 */
export function blobsFromUrl(url: string): BlobDriver {
  const parsed = /^s3:\/\/[^/?#]/.test(url) && URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || parsed.hash !== '')
    throw new HubError('INVALID', `'${redactUrl(url)}' is no S3 URL: s3://bucket/prefix?region=…`, { at: AT })
  if (parsed.username !== '' || parsed.password !== '' || parsed.port !== '')
    throw invalid(
      parsed,
      'before the path stands the bucket alone; keys are the parameters accessKeyId and secretAccessKey',
    )
  let options: Partial<S3Options> = {}
  const keys: Record<string, string> = {}
  for (const [name, value] of parsed.searchParams) {
    const known = PARAMETERS[name]
    if (KEYS.includes(name)) keys[name] = value
    else if (known === undefined)
      throw invalid(
        parsed,
        `there is no parameter '${name}'; known are ${[...Object.keys(PARAMETERS), ...KEYS].join(', ')}`,
      )
    else options = { ...options, ...known(value, parsed, name) }
  }
  const { accessKeyId, secretAccessKey, sessionToken } = keys
  if (Object.keys(keys).length > 0) {
    if (!accessKeyId || !secretAccessKey) throw invalid(parsed, 'accessKeyId and secretAccessKey come together')
    options = { ...options, credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } }
  }
  const prefix = decodeURIComponent(parsed.pathname.slice(1))
  // The host of a URL would lose the case that a bucket of old may have.
  const bucket = decodeURIComponent(/^s3:\/\/([^/?#]*)/.exec(url)?.[1] ?? '')
  return s3({ bucket, ...(prefix === '' ? {} : { prefix }), ...options })
}

const AT = { scheme: 's3', op: 'open' }

function invalid(url: URL, why: string): HubError {
  return new HubError('INVALID', `The URL '${redactUrl(url.href)}' cannot be used: ${why}.`, { at: AT })
}
