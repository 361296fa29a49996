import type { ContainerClient } from '@azure/storage-blob'
import { checkKey, HubError } from '@tensorhub/core'

const MIB = 1024 * 1024

/** The largest block of service version 2019-12-12 and later. https://learn.microsoft.com/rest/api/storageservices/put-block#remarks */
export const BLOCK_MAX = 4000 * MIB
/** https://learn.microsoft.com/azure/storage/blobs/scalability-targets */
export const BLOCKS_MAX = 50_000

export interface AzureTransferOptions {
  /** Prepended to every key, joined by `/`. Default none. */
  readonly prefix?: string
  /** Ms to reach the server, and of silence within a request, after which it is given up. Default 30,000. */
  readonly timeout?: number
  /**
   * Bytes of a block. A body of up to two of them goes as one request (Put Blob). Default 8 MiB, so that one request takes 16 MiB (the SDK's own bound is
   * 256 MiB, all of it through one connection).
   */
  readonly partSize?: number
  /** Requests in flight for one call: ranges of a read into memory, deletes. Default 16. Blocks of an upload: as many as 40 MiB hold, at most this. */
  readonly parallel?: number
  /** Whether `open` tries out that the server holds conditions (four small requests). Default true. */
  readonly probe?: boolean
}

/** A container client of yours. It is used as it is, with its own pipeline and retries, and `close` leaves it alone. */
export interface AzureClientOptions extends AzureTransferOptions {
  readonly client: ContainerClient
  readonly container?: never
  readonly account?: never
  readonly key?: never
  readonly sasToken?: never
  readonly connectionString?: never
  readonly endpoint?: never
}

/**
 * Where the container is, and how to prove who asks: `connectionString`, or `account` with `key` or `sasToken`. What is left out is taken from
 * AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY and AZURE_STORAGE_SAS_TOKEN, as the `az` command does; an account without any
 * secret is used with DefaultAzureCredential of `@azure/identity`.
 * https://learn.microsoft.com/cli/azure/azure-cli-configuration
 */
export interface AzureConnectionOptions extends AzureTransferOptions {
  readonly client?: never
  readonly container: string
  readonly account?: string
  /** The account's key, base64. */
  readonly key?: string
  /** A shared access signature of the container or the account, with or without the leading `?`. */
  readonly sasToken?: string
  readonly connectionString?: string
  /** The account's URL. Default `https://<account>.blob.core.windows.net`. */
  readonly endpoint?: string
}

export type AzureOptions = AzureClientOptions | AzureConnectionOptions

export interface Transfer {
  readonly root: string
  readonly timeout: number
  readonly partSize: number
  readonly parallel: number
  readonly probe: boolean
}

const KNOWN = [
  'client',
  'container',
  'account',
  'key',
  'sasToken',
  'connectionString',
  'endpoint',
  'prefix',
  'timeout',
  'partSize',
  'parallel',
  'probe',
]

/** The options with their defaults. @throws INVALID for what is unknown, contradictory or out of range. */
export function transferOf(options: AzureOptions): Transfer {
  const extra = Object.keys(options).find((name) => !KNOWN.includes(name))
  if (extra !== undefined) throw invalid(`azure() has no option '${extra}'; it knows ${KNOWN.join(', ')}.`, extra)
  const { prefix = '', timeout = 30_000, partSize = 8 * MIB, parallel = 16, probe = true } = options
  if (typeof probe !== 'boolean') throw invalid('probe must be true or false.', 'probe')
  const root = prefix.replace(/\/+$/, '')
  return {
    root: root === '' ? '' : `${checkKey(root)}/`,
    timeout: whole(timeout, 'timeout', 1, 2 ** 31 - 1),
    partSize: whole(partSize, 'partSize', 1, BLOCK_MAX),
    parallel: whole(parallel, 'parallel', 1, 256),
    probe,
  }
}

export function invalid(message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'azure', op: 'open' }, path })
}

function whole(value: number, name: string, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw invalid(`${name} must be a whole number from ${least} to ${most}.`, name)
}
