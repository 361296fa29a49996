import { mkdir, open } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import { HubError } from '@tensorhub/core'

/** Folders this process knows to be durable: made, and entered in their parents on the disk. */
const durable = new Set<string>()

/** Parents that other processes removed as often as this, between their making and the next call, are not coming and going: something is wrong. */
const TRIES = 100

/**
 * Makes a folder at or below `root` with all that is missing above it, each made durable in its parent. One that another process made is made durable
 * too: that process may have died before it could.
 *
 * @throws UNAVAILABLE where a folder is missing in one that is there: a link that leads nowhere (a disk that is not mounted), or a file system without folders of ours.
 */
export async function makeFolders(path: string, root: string, tries = TRIES): Promise<void> {
  if (durable.has(path)) return
  const parent = dirname(path)
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' && parent !== path) {
      durable.delete(parent)
      if (tries === 0) throw leadsNowhere(parent, error)
      await makeFolders(parent, root)
      return makeFolders(path, root, tries - 1)
    }
    if (code !== 'EEXIST') throw error
    // What was there above the root is not ours to look after.
    if (!isWithin(path, root)) return
  }
  if (isWithin(parent, root)) await syncFolder(parent)
  else await syncIfReadable(parent)
  if (isWithin(path, root)) durable.add(path)
}

function leadsNowhere(folder: string, cause: unknown): HubError {
  return new HubError(
    'UNAVAILABLE',
    `No folder can be made in '${folder}'. If it is a link, what it leads to is not there: mount that disk, or make that folder.`,
    { at: { scheme: 'fs', op: 'open', target: folder }, cause },
  )
}

/** Forgets what was known of a folder that somebody removed. */
export function forgetFolders(root: string): void {
  for (const path of durable) if (isWithin(path, root)) durable.delete(path)
}

function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)
}

/** File systems that have no such call (some on networks) say so with these; they order folder entries themselves, or can't. */
const NO_FOLDER_SYNC = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF']

/** Makes a folder's entries durable. Windows has no such call and journals them itself. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (!NO_FOLDER_SYNC.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    await handle.close()
  }
}

/** A folder above the root may be one in which this user may make entries but not read them. */
async function syncIfReadable(path: string): Promise<void> {
  try {
    await syncFolder(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EACCES' && code !== 'EPERM') throw error
  }
}
