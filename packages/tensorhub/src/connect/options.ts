import type { BlobDriver, Call, IndexDriver, ModelCodec } from '@tensorhub/core'
import { HubError } from '@tensorhub/core'
import type { ScriptPolicy } from '../tasks/script-policy.ts'

/** Options of `TensorHub.connect` that hold for every kind of store. */
export interface CommonOptions extends Call {
  /** The experiment's name; every operation is confined to it. Default: the `name` of the nearest package.json, else the folder's name. */
  readonly projectName?: string
  /** Which task scripts may run here. Default `'any'` for an embedded hub in a folder of this user, otherwise none. */
  readonly scripts?: ScriptPolicy
  /** Model kinds beside the built-in plain values, e.g. `[tfjs()]`. */
  readonly codecs?: readonly ModelCodec[]
  /** Where task scripts are unpacked. Default: `work/` in an embedded hub's folder, else `.tensorhub-work` in the current folder. */
  readonly workDir?: string
  /** Whether an embedded hub frees unused chunks by itself, at most once a day, after a delete. Default true. */
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
}

export type ConnectOptions = CommonOptions | StoreOptions | OriginalOptions

const COMMON = ['projectName', 'scripts', 'codecs', 'workDir', 'collect', 'signal']
const KNOWN = [...COMMON, 'index', 'blobs', 'ip', 'port', 'dbname', 'username', 'password']

/** What was asked for, before anything is opened. */
export type Target =
  | { readonly kind: 'folder'; readonly folder: string }
  | { readonly kind: 'stores'; readonly index: string | IndexDriver; readonly blobs: string | BlobDriver }

const at = { scheme: 'hub', op: 'connect' }

/** @throws INVALID naming an option that does not exist. */
export function checkOptionNames(options: object): void {
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name)) {
      throw new HubError('INVALID', `connect has no option '${name}'; it knows ${KNOWN.join(', ')}.`, {
        at,
        path: name,
      })
    }
  }
  const has = (name: string) => (options as Record<string, unknown>)[name] !== undefined
  if (has('ip') && (has('index') || has('blobs'))) {
    throw new HubError('INVALID', `Give either 'ip' (a MongoDB server) or 'index' and 'blobs', not both.`, {
      at,
      path: 'ip',
    })
  }
  for (const name of ['port', 'dbname', 'username', 'password']) {
    if (has(name) && !has('ip')) {
      throw new HubError(
        'INVALID',
        `'${name}' belongs to the form { ip, port, dbname, username, password }; give 'ip' too.`,
        { at, path: name },
      )
    }
  }
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
      return { kind: 'folder', folder: url }
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
        `Unknown scheme '${scheme}:'; known are a folder's path, file:, memory:, mongodb:, mongodb+srv:, and as parts sqlite:, s3:, gs:, azblob:.`,
        { at, path: 'url' },
      )
  }
}

/** The URL of the original's `{ ip, port, dbname, username, password }`. */
export function originalUrl(o: OriginalOptions): string {
  const { ip, port = 27017, dbname = 'dbname', username, password } = o
  if (typeof ip !== 'string' || ip === '' || /[\s/@?#]/.test(ip)) {
    throw new HubError('INVALID', `'ip' must be a host name or IP address.`, { at, path: 'ip' })
  }
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new HubError('INVALID', `'port' must be an integer from 1 to 65535, not ${String(port)}.`, {
      at,
      path: 'port',
    })
  }
  if (typeof dbname !== 'string' || !/^[^/\\. "$*<>:|?#]+$/.test(dbname)) {
    throw new HubError('INVALID', `'dbname' must be a MongoDB database name.`, { at, path: 'dbname' })
  }
  const host = ip.includes(':') && !ip.startsWith('[') ? `[${ip}]` : ip
  // The original's default user name is the string 'None'; it means "no authentication".
  const user = username === undefined || username === null || username === 'None' ? undefined : username
  const login = user === undefined ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}@`
  return `mongodb://${login}${host}:${port}/${dbname}`
}
