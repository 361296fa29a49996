import { type ErrorPlace, HubError } from '@tensorhub/core'
import { CONNECTION_OPTIONS, type ConnectionOptions } from '../connection-options.ts'

/** Options of `gridfs()`. */
export interface GridFsOptions extends ConnectionOptions {
  /** Name of the bucket: its collections are `<bucket>.keys`, `<bucket>.files` and `<bucket>.chunks`. Default `tensorhub`. */
  readonly bucket?: string
  /** Prepended to every key, joined by `/`: several stores in one bucket. Default none. */
  readonly prefix?: string
  /** Bytes of one chunk document, from 1 KiB to 15 MiB. Blobs that are there keep theirs. Default 2 MiB: fewer and larger documents cost the server less, smaller ones waste less of a range. */
  readonly chunkSizeBytes?: number
  /** Requests with chunks in flight at once, of all calls together; each takes one connection of the client's pool. Default 16. */
  readonly parallel?: number
}

/** The options with their defaults, checked. */
export interface Bucket {
  readonly name: string
  /** Empty, or ends in `/`. */
  readonly prefix: string
  readonly chunkSize: number
  readonly parallel: number
}

const MIB = 1024 * 1024

/** A document holds 16 MiB, https://www.mongodb.com/docs/manual/reference/limits/; the rest of a chunk's takes less than 100 bytes. */
export const CHUNK_MAX = 15 * MIB
export const CHUNK_MIN = 1024

const NAMES = [...CONNECTION_OPTIONS, 'bucket', 'prefix', 'chunkSizeBytes', 'parallel']

/** @throws INVALID naming the option. */
export function bucketOf(o: GridFsOptions): Bucket {
  const extra = Object.keys(o).find((name) => !NAMES.includes(name))
  if (extra !== undefined) throw invalid(extra, `is not known; known are ${NAMES.join(', ')}`)
  const { bucket = 'tensorhub', prefix = '', chunkSizeBytes = 2 * MIB, parallel = 16 } = o
  // Names that MongoDB refuses, or that hide: https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
  if (typeof bucket !== 'string' || !/^[A-Za-z_][\w.-]{0,99}$/.test(bucket) || bucket.startsWith('system.'))
    throw invalid('bucket', `is a name of letters, digits, '.', '_' and '-', at most 100, not '${String(bucket)}'`)
  if (typeof prefix !== 'string' || /[^A-Za-z0-9._\-~=+@/]/.test(prefix) || prefix.length > 200)
    throw invalid('prefix', 'is the beginning of a key, at most 200 characters')
  whole('chunkSizeBytes', chunkSizeBytes, CHUNK_MIN, CHUNK_MAX)
  whole('parallel', parallel, 1, 1000)
  const joined = prefix.replace(/^\/+|\/+$/g, '')
  return { name: bucket, prefix: joined && `${joined}/`, chunkSize: chunkSizeBytes, parallel }
}

function whole(name: string, value: unknown, least: number, most: number): void {
  if (!(Number.isInteger(value) && (value as number) >= least && (value as number) <= most))
    throw invalid(name, `is a whole number from ${least} to ${most}, not ${String(value)}`)
}

function invalid(path: string, why: string): HubError {
  return new HubError('INVALID', `The option ${path} of gridfs() ${why}.`, { at: OPEN, path })
}

const OPEN: ErrorPlace = { scheme: 'gridfs', op: 'open' }
