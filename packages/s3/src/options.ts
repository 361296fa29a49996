import type { S3Client } from '@aws-sdk/client-s3'
import { HubError, redactUrl } from '@tensorhub/core'

/** Keys of an account, or of a session. */
export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** Options of `s3()`. */
export interface S3Options {
  /** Must exist; nothing here creates buckets. */
  readonly bucket: string
  /** Put before every key, joined by `/`; default none. Blobs of others under it that are no keys are left alone. */
  readonly prefix?: string
  /**
   * The SDK's own client, which `close` leaves open; instead of `region`, `endpoint`, `forcePathStyle`, `credentials`, `profile` and `timeout`, which it
   * has already. Its middleware runs; its retries do not: the driver makes its own.
   */
  readonly client?: S3Client
  /** Default: the environment's or the profile's; `us-east-1` where an endpoint is given and the environment names none. */
  readonly region?: string
  /** URL of an S3-compatible server, e.g. `http://127.0.0.1:9000`; default AWS. */
  readonly endpoint?: string
  /** `https://host/bucket/key` instead of `https://bucket.host/key`; default true with an endpoint, false without. */
  readonly forcePathStyle?: boolean
  /** Default: the SDK's chain (environment, profile, container, instance). */
  readonly credentials?: S3Credentials | (() => Promise<S3Credentials>)
  /** A profile of the AWS configuration files. */
  readonly profile?: string
  /**
   * Sends a checksum of each upload and part, which the server checks and buckets with Object Lock demand: the sha256 where it is known, else the CRC32.
   * Default true on AWS, false with an endpoint or a client, since not every S3-compatible server takes them.
   */
  readonly checksums?: boolean
  /** Milliseconds to reach the server, and of silence within a request; default 30,000. */
  readonly timeout?: number
  /** Bytes of a part, 5 MiB to 5 GiB; default 8 MiB. What fits in one part (by default in 16 MiB, when in memory) is sent in one request. */
  readonly partSize?: number
  /** Parts, or ranges, in flight at once for one blob in memory; default 16. A stream holds at most 32 MiB of them. */
  readonly parallel?: number
  /** Whether `open` tries out that the server honours conditions, by four small requests; default true. */
  readonly probe?: boolean
}

const MIB = 1024 * 1024
const KNOWN: readonly (keyof S3Options)[] = [
  ...(['bucket', 'prefix', 'client', 'region', 'endpoint', 'forcePathStyle', 'credentials', 'profile'] as const),
  ...(['checksums', 'timeout', 'partSize', 'parallel', 'probe'] as const),
]
/** What a given client has settled. */
const OF_THE_CLIENT = ['region', 'endpoint', 'forcePathStyle', 'credentials', 'profile', 'timeout'] as const

/** The largest object everywhere; AWS takes 50 TB since 2025, others do not. */
export const SIZE_MAX = 5 * 1024 * 1024 * MIB

/** Smallest part but the last, largest part, most parts. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
export const PART_MIN = 5 * MIB
export const PART_MAX = 5 * 1024 * MIB
export const PARTS_MAX = 10_000

/** Options with their defaults, checked. */
export interface Settings {
  readonly bucket: string
  /** Empty, or ends in `/`. */
  readonly prefix: string
  readonly checksums: boolean
  readonly timeout: number
  readonly partSize: number
  /** Bodies in memory up to this go in one request. */
  readonly onceMax: number
  readonly parallel: number
  readonly probe: boolean
}

/** @throws INVALID naming the option. */
export function settingsOf(o: S3Options): Settings {
  for (const [name, value] of Object.entries(o)) {
    if (!(KNOWN as readonly string[]).includes(name))
      throw invalid(`s3() has no option '${name}'; it knows ${KNOWN.join(', ')}.`, name)
    if (value !== undefined && o.client !== undefined && (OF_THE_CLIENT as readonly string[]).includes(name))
      throw invalid(`With a client, '${name}' is the client's own; give one or the other.`, name)
  }
  if (typeof o.bucket !== 'string' || !/^[^\s/?#]{3,255}$/.test(o.bucket))
    throw invalid('bucket must name a bucket (3 characters or more, no slash).', 'bucket')
  if (o.endpoint !== undefined) checkEndpoint(o.endpoint)
  for (const name of ['forcePathStyle', 'checksums', 'probe'] as const)
    if (o[name] !== undefined && typeof o[name] !== 'boolean') throw invalid(`${name} must be true or false.`, name)
  const partSize = whole('partSize', o.partSize ?? 8 * MIB, PART_MIN, PART_MAX)
  return {
    bucket: o.bucket,
    prefix: prefixOf(o.prefix ?? ''),
    checksums: o.checksums ?? (o.endpoint === undefined && o.client === undefined),
    timeout: whole('timeout', o.timeout ?? 30_000, 1, 2 ** 31 - 1),
    partSize,
    onceMax: o.partSize === undefined ? 16 * MIB : partSize,
    parallel: whole('parallel', o.parallel ?? 16, 1, 64),
    probe: o.probe ?? true,
  }
}

function prefixOf(given: string): string {
  const prefix = typeof given === 'string' ? given.replace(/\/$/, '') : '/'
  if (prefix === '') return ''
  const odd = prefix.split('/').some((part) => part === '' || part === '.' || part === '..')
  // Control characters would break the XML of replies. Keys have up to 512 bytes of S3's 1,024.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (odd || /[\u0000-\u001f\u007f]/.test(prefix) || Buffer.byteLength(prefix) > 500)
    throw invalid('prefix must be segments joined by single slashes, none `.` or `..`, at most 500 bytes.', 'prefix')
  return `${prefix}/`
}

function checkEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '')
    throw invalid(`endpoint must be a URL like https://host:port, not '${redactUrl(endpoint)}'.`, 'endpoint')
}

function whole(name: string, value: number, least: number, most: number): number {
  if (!(Number.isInteger(value) && value >= least && value <= most))
    throw invalid(`${name} must be a whole number from ${least} to ${most}, not ${value}.`, name)
  return value
}

function invalid(message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 's3', op: 'open' }, path })
}
