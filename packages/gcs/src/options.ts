import { Storage, type StorageOptions } from '@google-cloud/storage'
import { checkPrefix, HubError } from '@tensorhub/core'

/** A service account's key, as in the JSON file that Google gives out. */
export interface GcsCredentials {
  readonly client_email: string
  /** PEM. Never shown. */
  readonly private_key: string
}

/** How large bodies are uploaded. */
export type GcsUpload = 'auto' | 'composite' | 'session'

interface Common {
  /** The bucket's name. It must exist. */
  readonly bucket: string
  /** Put before every key, joined by `/`; so that several stores share a bucket. */
  readonly prefix?: string
  /** Milliseconds: the bound for reaching the service, and for silence within a request. Default 30,000. */
  readonly timeout?: number
  /**
   * Bytes of one request of a body that is streamed in, and of one range of a large read: a multiple of 256 KiB up to 1 GiB, default 8 MiB (Google
   * advises at least that). Bodies in memory go in one request up to eight parts (64 MiB).
   * https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload
   */
  readonly partSize?: number
  /** Ranges of one read, parts of one upload, or deletes of one call, in flight at once. Default 8. A streamed upload holds so many parts and one more in memory. */
  readonly parallel?: number
  /**
   * How bodies go that are streamed and larger than a part, or in memory and larger than eight. `composite`: as part objects, `parallel` at once, that are composed
   * and deleted. `session`: by one resumable session, a part after the other, which makes no other object. `auto`, the default, takes the composite where it leaves
   * nothing and costs nothing (tried out at the first such body with four small requests), and the session elsewhere: objects that cannot be deleted because of a
   * retention policy, a hold or the account's rights, a cold storage class, a server whose compose ignores the condition that a write carries.
   * https://cloud.google.com/storage/docs/parallel-composite-uploads
   */
  readonly upload?: GcsUpload
  /**
   * Whether opening writes a probe object twice, create-only, to learn whether the server keeps preconditions (three small requests), and the first copy with a
   * condition tries that out too, unless the server is Google's own. Default true; without it they are trusted, and opening sends nothing.
   */
  readonly probe?: boolean
}

interface Configured extends Common {
  /** Of the requests; default the credentials' own. Only needed where those name none. */
  readonly projectId?: string
  /** A service account's key; default the application-default credentials. https://cloud.google.com/docs/authentication/application-default-credentials */
  readonly credentials?: GcsCredentials
  /** The path of such a JSON file instead; read when the driver opens. */
  readonly keyFile?: string
  /**
   * `https://host` of a private endpoint, or `http://host:port` of an emulator; default Google's, or that of STORAGE_EMULATOR_HOST. Requests to an endpoint that
   * is not of googleapis.com are signed in only when `credentials` or `keyFile` is given.
   */
  readonly endpoint?: string
  readonly client?: never
}

interface Given extends Common {
  /** The caller's client: its endpoint and its credentials are used; its retry options and interceptors are not. */
  readonly client: Storage
  readonly projectId?: never
  readonly credentials?: never
  readonly keyFile?: never
  readonly endpoint?: never
}

/** Options of `gcs()`: the SDK's client, or what is needed to make one. */
export type GcsOptions = Configured | Given

/** Options with their defaults. */
export interface GcsSettings {
  readonly client: Storage
  readonly keyFile: string | undefined
  readonly bucket: string
  /** Empty, or ends in `/`. */
  readonly prefix: string
  readonly timeout: number
  readonly partSize: number
  readonly parallel: number
  readonly upload: GcsUpload
  readonly probe: boolean
}

/** A resumable upload's requests must be of whole units of this size, the last one aside. https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload */
export const UNIT = 256 * 1024
/** The largest object: 5 TiB. https://cloud.google.com/storage/quotas#objects */
export const SIZE_MAX = 5 * 1024 ** 4

const KNOWN = [
  'bucket',
  'client',
  'credentials',
  'endpoint',
  'keyFile',
  'parallel',
  'partSize',
  'prefix',
  'probe',
  'projectId',
  'timeout',
  'upload',
] as const

const UPLOADS: readonly GcsUpload[] = ['auto', 'composite', 'session']

/** @throws INVALID naming the option. Nothing is sent. */
export function settingsOf(o: GcsOptions): GcsSettings {
  for (const name of Object.keys(o))
    if (!(KNOWN as readonly string[]).includes(name))
      throw invalid(name, `gcs() has no option '${name}'; it knows ${KNOWN.join(', ')}.`)
  const { bucket, timeout = 30_000, partSize = 8 * 1024 * 1024, parallel = 8, upload = 'auto', probe = true } = o
  // https://cloud.google.com/storage/docs/buckets#naming
  if (typeof bucket !== 'string' || !/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(bucket))
    throw invalid('bucket', 'bucket must be the name of a bucket: 3 to 222 of a-z, 0-9, dash, dot and underscore.')
  whole('timeout', timeout, 1, 2 ** 31 - 1)
  whole('partSize', partSize, UNIT, 1024 ** 3)
  if (partSize % UNIT !== 0) throw invalid('partSize', `partSize must be a multiple of ${UNIT} bytes (256 KiB).`)
  whole('parallel', parallel, 1, 64)
  if (!UPLOADS.includes(upload)) throw invalid('upload', `upload must be one of ${UPLOADS.join(', ')}.`)
  if (typeof probe !== 'boolean') throw invalid('probe', 'probe must be true or false.')
  return {
    client: clientOf(o),
    keyFile: o.keyFile,
    bucket,
    prefix: prefixOf(o.prefix),
    timeout,
    partSize,
    parallel,
    upload,
    probe,
  }
}

function prefixOf(prefix: string | undefined): string {
  if (prefix === undefined) return ''
  try {
    checkPrefix(prefix)
  } catch (error) {
    throw invalid('prefix', `prefix must be made as keys are: ${(error as Error).message}`)
  }
  const bare = prefix.replace(/\/+$/, '')
  if (/(^|\/)\.?$/.test(bare) && bare !== '') throw invalid('prefix', 'prefix must not end in an empty segment or `.`.')
  return bare === '' ? '' : `${bare}/`
}

function clientOf(o: GcsOptions): Storage {
  const given = (['credentials', 'keyFile', 'endpoint', 'projectId'] as const).filter((name) => o[name] !== undefined)
  if (o.client !== undefined) {
    if (given[0] !== undefined)
      throw invalid(given[0], `A client was given: it brings its own ${given.join(', ')}; leave one of the two out.`)
    return o.client
  }
  if (o.credentials !== undefined && o.keyFile !== undefined)
    throw invalid('keyFile', 'Give credentials or keyFile, not both.')
  const { credentials } = o
  if (credentials !== undefined)
    for (const name of ['client_email', 'private_key'] as const)
      if (typeof credentials[name] !== 'string' || credentials[name] === '')
        throw invalid(
          `credentials.${name}`,
          `credentials.${name} must be there: it is in the service account's key file.`,
        )
  const url = endpointOf(o.endpoint)
  const own = credentials !== undefined || o.keyFile !== undefined
  const signedIn = url !== undefined && (own || isGoogle(url.hostname))
  if (url?.protocol === 'http:' && signedIn && !isLoopback(url.hostname))
    throw invalid('endpoint', `Credentials would travel to ${url.host} in the clear; use https.`)
  const options: StorageOptions = {
    // This driver sends its requests itself, and repeats them itself.
    retryOptions: { autoRetry: false },
    ...(o.projectId === undefined ? {} : { projectId: o.projectId }),
    ...(url === undefined ? {} : { apiEndpoint: url.origin, useAuthWithCustomEndpoint: signedIn }),
  }
  const client = new Storage(options)
  // Set rather than given: the SDK writes a warning to the console for each of those that are.
  if (credentials !== undefined) client.authClient.jsonContent = { ...credentials }
  return client
}

/** Whether requests go to Google itself, also by a private endpoint's name. */
export function isGoogle(hostname: string): boolean {
  return /(^|\.)googleapis\.com$/i.test(hostname)
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
}

function endpointOf(endpoint: string | undefined): URL | undefined {
  if (endpoint === undefined) return undefined
  const url = URL.parse(endpoint)
  if (url === null || !/^https?:$/.test(url.protocol) || !/^\/?$/.test(url.pathname) || url.search || url.username)
    throw invalid('endpoint', 'endpoint must be https://host or http://host:port, with nothing behind.')
  return url
}

function whole(name: string, value: number, least: number, most: number): void {
  if (!(Number.isInteger(value) && value >= least && value <= most))
    throw invalid(name, `${name} must be a whole number from ${least} to ${most}.`)
}

function invalid(path: string, message: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'gcs', op: 'open' }, path })
}
