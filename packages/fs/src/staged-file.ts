import { randomBytes } from 'node:crypto'
import { type FileHandle, type link, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { STAGING } from './layout.ts'

/** How files come into being; replaced in tests of file systems that lack a call. */
export interface FileCalls {
  readonly link: typeof link
}

/** A file that is written aside and becomes visible whole, or not at all. */
export class StagedFile {
  readonly path: string
  readonly handle: FileHandle
  #closed = false

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.handle = handle
  }

  static async create(folder: string): Promise<StagedFile> {
    const path = join(folder, STAGING, randomBytes(12).toString('hex'))
    return new StagedFile(path, await open(path, 'wx', 0o600))
  }

  /** Makes the bytes durable and the file visible under its name; the folder entry is durable too. @throws EEXIST with `ifAbsent`. */
  async publish(target: string, folder: string, ifAbsent: boolean, calls: FileCalls): Promise<void> {
    await this.handle.sync()
    await this.#close()
    await makeFolders(dirname(target), folder)
    if (ifAbsent) {
      await calls.link(this.path, target)
      await unlink(this.path)
    } else {
      await rename(this.path, target)
    }
    await syncFolder(dirname(target))
  }

  /** Removes the file of a write that failed. */
  async discard(): Promise<void> {
    await this.#close()
    await removeIfThere(this.path)
  }

  async #close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.handle.close()
  }
}

const known = new Set<string>()

/** Makes missing folders one by one, each made durable in its parent. */
async function makeFolders(path: string, root: string): Promise<void> {
  if (path === root || known.has(path)) return
  await makeFolders(dirname(path), root)
  try {
    await mkdir(path, { mode: 0o700 })
    await syncFolder(dirname(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  known.add(path)
}

/** Makes a folder's entries durable. Windows has no such call and journals them itself. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export async function removeIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return false
    throw error
  }
}
