import { randomBytes } from 'node:crypto'
import { link, lstat, mkdir, open, readdir, readFile, realpath, rename, stat, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { HubError, isHubError, throwIfAborted } from '@tensorhub/core'
import { checkFormat, FORMAT } from './format-record.ts'

/** The layout of an embedded hub (design §7). */
export interface EmbeddedFolder {
  readonly folder: string
  readonly index: string
  readonly blobs: string
  readonly work: string
}

/** Where everything lies in an embedded hub's folder. */
export function layoutOf(folder: string): EmbeddedFolder {
  return { folder, index: join(folder, 'index.db'), blobs: join(folder, 'blobs'), work: join(folder, 'work') }
}

const OURS = /^(hub\.json(\..+\.tmp)?|index\.db(-wal|-shm|-journal)?|blobs|work)$/

/**
 * Opens or makes the folder of an embedded hub: `hub.json { format: 1 }`, `index.db`, `blobs/`, `work/`, readable by its owner only.
 * Several processes may do so at once: `hub.json` appears whole, by link.
 *
 * @throws UNSUPPORTED for a newer format, before anything is touched; INVALID for a folder that holds something else; DENIED when unreadable.
 */
export async function openEmbeddedFolder(path: string, signal?: AbortSignal): Promise<EmbeddedFolder> {
  const wanted = resolve(path)
  const at = { scheme: 'hub', op: 'connect', target: wanted }
  throwIfAborted(signal, at)
  try {
    await mkdir(wanted, { recursive: true, mode: 0o700 })
    const folder = await realpath(wanted)
    const file = join(folder, 'hub.json')
    let text = await readIfThere(file)
    if (text === undefined) {
      const foreign = (await readdir(folder)).find((name) => !OURS.test(name))
      // Another process may have made it a hub meanwhile.
      if (foreign !== undefined) text = await readIfThere(file)
      if (foreign !== undefined && text === undefined) {
        throw new HubError(
          'INVALID',
          `${folder} is not a hub and not empty (it holds '${foreign}'); name an empty or new folder.`,
          { at },
        )
      }
    }
    if (text === undefined) {
      await putIfAbsent(folder, file)
      text = await readFile(file, 'utf8')
    }
    checkFormat(parseRecord(text, file), at)
    const hub = layoutOf(folder)
    await mkdir(hub.blobs, { recursive: true, mode: 0o700 })
    await mkdir(hub.work, { recursive: true, mode: 0o700 })
    return hub
  } catch (error) {
    throw (await leadsNowhere(error, at)) ?? folderError(error, at)
  }
}

/**
 * Whether only the user this process runs as can write the hub (and the superuser, who can do anything), so that scripts found in it are that
 * user's own.
 */
export async function isOwnFolder(hub: EmbeddedFolder): Promise<boolean> {
  const uid = process.getuid?.()
  if (uid === undefined) return true // Windows: no uid; the folder was opened with this user's rights.
  const folder = await stat(hub.folder)
  if (folder.uid !== uid || (folder.mode & WRITABLE_BY_OTHERS) !== 0) return false
  // Nobody else gets in: what the files' own rights are does not matter.
  if ((folder.mode & 0o077) === 0) return true
  for (const path of [hub.index, `${hub.index}-wal`, hub.blobs]) {
    try {
      const info = await stat(path)
      if (info.uid !== uid || (info.mode & WRITABLE_BY_OTHERS) !== 0) return false
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return true
}

const WRITABLE_BY_OTHERS = 0o022

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Writes the format record so that it is whole or absent, and the first of several processes wins. */
async function putIfAbsent(folder: string, file: string): Promise<void> {
  const temp = join(folder, `hub.json.${randomBytes(8).toString('hex')}.tmp`)
  const handle = await open(temp, 'wx', 0o600)
  try {
    await handle.writeFile(`${JSON.stringify({ format: FORMAT })}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(temp, file)
    await unlink(temp)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EEXIST') return void (await unlink(temp))
    // File systems without hard links: every racer renames the same bytes over the name, so any order gives the same file.
    if (
      code === 'EPERM' ||
      code === 'ENOTSUP' ||
      code === 'EOPNOTSUPP' ||
      code === 'ENOSYS' ||
      code === 'EXDEV' ||
      code === 'EMLINK'
    ) {
      return rename(temp, file)
    }
    throw error
  }
  if (process.platform !== 'win32') {
    const directory = await open(folder, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}

function parseRecord(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new HubError(
      'INTEGRITY',
      `${file} is damaged: it is not JSON. If the folder is a hub of this version, its content is { "format": ${FORMAT} }.`,
      {
        at: { scheme: 'hub', op: 'connect', target: file },
        cause,
      },
    )
  }
}

/** The error of a link, in the folder's path or its place, that leads to nothing: a disk that is not mounted. Node names it ENOENT or ENOTDIR. */
async function leadsNowhere(error: unknown, at: { scheme: string; op: string; target: string }) {
  const { code, path } = error as NodeJS.ErrnoException
  if ((code !== 'ENOENT' && code !== 'ENOTDIR') || path === undefined) return undefined
  const isLink = await lstat(path).then(
    (info) => info.isSymbolicLink(),
    () => false,
  )
  const isThere = await stat(path).then(
    () => true,
    () => false,
  )
  if (!isLink || isThere) return undefined
  return new HubError(
    'UNAVAILABLE',
    `The hub folder ${at.target} cannot be made: '${path}' is a link to something that is not there. Mount that disk, or make that folder.`,
    { at, cause: error },
  )
}

function folderError(error: unknown, at: { scheme: string; op: string; target: string }): unknown {
  if (isHubError(error)) return error
  const code = (error as NodeJS.ErrnoException).code
  switch (code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new HubError(
        'DENIED',
        `The hub folder ${at.target} cannot be read and written by this user (${code}); change its owner or rights, or name another folder.`,
        { at, cause: error },
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return new HubError('INVALID', `${at.target} is not a folder.`, { at, cause: error })
    case 'ENOSPC':
    case 'EDQUOT':
      return new HubError('STORAGE_FULL', `No space left for the hub folder ${at.target}.`, { at, cause: error })
    case 'ENAMETOOLONG':
    case 'ELOOP':
    case 'ERR_INVALID_ARG_VALUE':
      return new HubError('INVALID', `The hub folder cannot have this path (${code}).`, { at, cause: error })
    default:
      return code === undefined
        ? error
        : new HubError('UNKNOWN', `The hub folder ${at.target} cannot be opened (${code}).`, { at, cause: error })
  }
}
