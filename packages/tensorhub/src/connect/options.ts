import { fileURLToPath } from 'node:url'
import { type BlobDriver, type Call, HubError, type IndexDriver, type ModelCodec, redactUrl } from '@tensorhub/core'
import { checkFlag, checkOptions } from '../namespaces/arguments.ts'
import { effectivePolicy, type ScriptPolicy } from '../tasks/script-policy.ts'

/** Options of `TensorHub.connect` that hold for every kind of store. */
export interface CommonOptions extends Call {
  /** The experiment's name; every operation is confined to it. Default, also for null: the `name` of the nearest package.json, else the folder's name. */
  readonly projectName?: string | null
  /** Which task scripts may run here. Default `'any'` for an embedded hub in a folder of this user, otherwise none. */
  readonly scripts?: ScriptPolicy
  /** Model kinds beside the built-in plain values, e.g. `[tfjs()]`. */
  readonly codecs?: readonly ModelCodec[]
  /**
   * Where task scripts are unpacked, each hub's in a folder of its own. Default: `work/` in an embedded hub's folder, else `.tensorhub-work` in the
   * current folder.
   */
  readonly workDir?: string
  /** Whether the hub frees unused chunks by itself, at most once a day, after a delete. Default true for an embedded hub, else false. */
  readonly collect?: boolean
}

/** Index and blobs named apart, each by URL or as a driver object. */
export interface StoreOptions extends CommonOptions {
  readonly index: string | IndexDriver
  readonly blobs: string | BlobDriver
}

/** The original's connection form: a MongoDB server. */
export interface OriginalOptions extends CommonOptions {
  readonly ip: string
  /** Default 27017. */
  readonly port?: number
  /** Default `'dbname'`, as in the original. */
  readonly dbname?: string
  /** null, absent or the original's default `'None'`: no authentication. */
  readonly username?: string | null
  readonly password?: string | null
  /** ms within which the server has to be reached, and to answer each request. Default 30,000. */
  readonly timeout?: number
}

export type ConnectOptions = CommonOptions | StoreOptions | OriginalOptions

/** The content of `tensorhub.config.{ts,mjs,json}`: the options of `connect`, or `url` for a whole hub. */
export type HubConfig = ConnectOptions & { readonly url?: string }

const COMMON = ['projectName', 'scripts', 'codecs', 'workDir', 'collect', 'signal']
const KNOWN = [...COMMON, 'index', 'blobs', 'ip', 'port', 'dbname', 'username', 'password', 'timeout']

/** The original's connection parameters as they hold; never the password. */
export interface OriginalServer {
  readonly ip: string
  readonly port: number
  readonly dbname: string
  /** undefined: no authentication. */
  readonly username: string | undefined
}

/** What was asked for, before anything is opened. */
export type Target =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 'stores'
      readonly index: string | IndexDriver
      readonly blobs: string | BlobDriver
      readonly server?: OriginalServer
    }

const at = { scheme: 'hub', op: 'connect' }

/** @throws INVALID naming an option that does not exist, has the wrong type, or does not go with another. */
export function checkConnectOptions(options: ConnectOptions, op = 'connect', more: readonly string[] = []): void {
  checkOptions(options, [...KNOWN, ...more], op)
  const given = options as Partial<Record<(typeof KNOWN)[number], unknown>>
  const invalid = (path: string, message: string) => new HubError('INVALID', `${op}: ${message}`, { at, path })
  if (given.scripts !== undefined) effectivePolicy(given.scripts as ScriptPolicy, false)
  checkFlag(given.collect, 'collect', op)
  if (given.workDir !== undefined && (typeof given.workDir !== 'string' || given.workDir === ''))
    throw invalid('workDir', "'workDir' must be a folder's path.")
  if (given.codecs !== undefined && !(Array.isArray(given.codecs) && given.codecs.every(isCodec)))
    throw invalid('codecs', "'codecs' must be an array of model codecs, such as [tfjs()].")
  if (
    given.index !== undefined &&
    typeof given.index !== 'string' &&
    !isDriver(given.index, ['takeOne', 'insert', 'find'])
  )
    throw invalid('index', "'index' must be a URL (sqlite:///file.db, mongodb://host/db, memory:) or an index driver.")
  if (given.blobs !== undefined && typeof given.blobs !== 'string' && !isDriver(given.blobs, ['stat', 'read', 'write']))
    throw invalid('blobs', "'blobs' must be a URL (file:///folder, s3://bucket, memory:) or a blob driver.")
  const has = (name: string) => (options as Record<string, unknown>)[name] !== undefined
  if (has('ip') && (has('index') || has('blobs'))) {
    throw new HubError('INVALID', `Give either 'ip' (a MongoDB server) or 'index' and 'blobs', not both.`, {
      at,
      path: 'ip',
    })
  }
  for (const name of ['port', 'dbname', 'username', 'password', 'timeout']) {
    if (has(name) && !has('ip')) {
      throw new HubError(
        'INVALID',
        `'${name}' belongs to the form { ip, port, dbname, username, password, timeout }; give 'ip' too${name === 'timeout' ? ', or the parameter of the same name in the URL' : ''}.`,
        { at, path: name },
      )
    }
  }
}

function isCodec(value: unknown): value is ModelCodec {
  const codec = value as Partial<ModelCodec> | null
  return (
    typeof codec === 'object' &&
    typeof codec?.format === 'string' &&
    [codec.accepts, codec.save, codec.load].every((part) => typeof part === 'function')
  )
}

function isDriver(value: unknown, methods: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return methods.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function')
}

/**
 * Reads a URL or path that names a whole hub: a path or `file:` = an embedded hub there; `memory:` = both layers in memory;
 * `mongodb:` = index and GridFS.
 *
 * @throws INVALID for a URL that names one layer only.
 */
export function targetOf(url: string): Target {
  if (url === '')
    throw new HubError('INVALID', 'The hub URL is empty; give a folder, a URL, or nothing for ./.tensorhub.', { at })
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1]?.toLowerCase()
  switch (scheme) {
    case undefined:
      return { kind: 'folder', folder: url }
    case 'file':
      return { kind: 'folder', folder: folderOfUrl(url) }
    case 'memory':
      return { kind: 'stores', index: url, blobs: url }
    case 'mongodb':
    case 'mongodb+srv':
      return { kind: 'stores', index: url, blobs: url }
    case 's3':
    case 'gs':
    case 'azblob':
      throw new HubError(
        'INVALID',
        `${scheme}: holds blobs only; name an index too: connect({ index: 'mongodb://…', blobs: '${scheme}://…' }).`,
        { at, path: 'url' },
      )
    case 'sqlite':
      throw new HubError(
        'INVALID',
        `sqlite: is an index only; name blobs too: connect({ index: 'sqlite:///file.db', blobs: 'file:///folder' }).`,
        { at, path: 'url' },
      )
    default:
      throw new HubError(
        'INVALID',
        `A URL of '${scheme}:' names no whole hub; a folder's path, file:, memory:, mongodb: and mongodb+srv: do. What names one layer (sqlite:, s3:, gs:, azblob:, a registered scheme) goes into connect({ index: '…', blobs: '…' }).`,
        { at, path: 'url', reason: 'UNKNOWN_SCHEME' },
      )
  }
}

/** The path of `file:///folder`. Other forms (`file:folder`, a host, a query) would name another folder than they seem to. */
function folderOfUrl(url: string): string {
  try {
    if (/^file:\/\/\/[^?#]*$/i.test(url)) return fileURLToPath(url)
  } catch {
    // Not a file URL, as said below.
  }
  throw new HubError(
    'INVALID',
    `'${redactUrl(url)}' is no URL of a folder: file:///absolute/folder, or the path itself.`,
    {
      at,
      path: 'url',
    },
  )
}

/** What the original's `{ ip, port, dbname, username, password }` means: a MongoDB database, GridFS in it. */
export function originalTarget(o: OriginalOptions): Target & { kind: 'stores'; index: string; server: OriginalServer } {
  const { ip, port = 27017, dbname = 'dbname', password, timeout } = o
  const invalid = (path: string, message: string) => new HubError('INVALID', message, { at, path })
  if (typeof ip !== 'string' || ip === '' || /[\s/@?#]/.test(ip))
    throw invalid('ip', "'ip' must be a host name or IP address.")
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw invalid('port', `'port' must be an integer from 1 to 65535, not ${String(port)}.`)
  if (typeof dbname !== 'string' || !/^[^/\\. "$*<>:|?#]+$/.test(dbname))
    throw invalid('dbname', "'dbname' must be a MongoDB database name.")
  // The original's default user name is the string 'None'; it means "no authentication".
  const username = o.username === null || o.username === 'None' ? undefined : o.username
  if (username !== undefined && (typeof username !== 'string' || username === ''))
    throw invalid('username', "'username' must be a user's name, or null for no authentication.")
  if (username !== undefined && typeof password !== 'string')
    throw invalid('password', "'password' is missing: a user name is given, so the server will ask for it.")
  if (timeout !== undefined && (!Number.isInteger(timeout) || timeout < 1 || timeout >= 1e9))
    throw invalid('timeout', `'timeout' must be whole milliseconds from 1, not ${String(timeout)}.`)
  const host = ip.includes(':') && !ip.startsWith('[') ? `[${ip}]` : ip
  const login = username === undefined ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password ?? '')}@`
  const url = `mongodb://${login}${host}:${port}/${dbname}${timeout === undefined ? '' : `?timeout=${timeout}`}`
  return { kind: 'stores', index: url, blobs: url, server: { ip, port, dbname, username } }
}
