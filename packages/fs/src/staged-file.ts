import { randomBytes } from 'node:crypto'
import { type FileHandle, type link, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HubError } from '@tensorhub/core'
import { forgetFolders, makeFolders, syncFolder } from './folders.ts'
import { STAGING } from './layout.ts'

/** How files come into being; replaced in tests of file systems that lack a call. */
export interface FileCalls {
  readonly link: typeof link
}

/** A file that is written aside and becomes visible whole, or not at all. */
export class StagedFile {
  readonly path: string
  readonly handle: FileHandle
  readonly #folder: string
  #closed = false

  private constructor(path: string, handle: FileHandle, folder: string) {
    this.path = path
    this.handle = handle
    this.#folder = folder
  }

  static async create(folder: string): Promise<StagedFile> {
    const path = join(folder, STAGING, randomBytes(12).toString('hex'))
    return new StagedFile(path, await again(folder, dirname(path), () => open(path, 'wx', 0o600)), folder)
  }

  /**
   * Makes the bytes durable and the file visible under its name; the folder's entry is durable too.
   *
   * @throws EEXIST with `ifAbsent`; UNSUPPORTED with `ifAbsent` where the file system has no hard links.
   */
  async publish(target: string, ifAbsent: boolean, calls: FileCalls): Promise<void> {
    await this.handle.sync()
    await this.#close()
    await makeFolders(dirname(target), this.#folder)
    await again(this.#folder, dirname(target), () => (ifAbsent ? this.#link(target, calls) : rename(this.path, target)))
    if (ifAbsent) await unlink(this.path)
    await syncFolder(dirname(target))
  }

  async #link(target: string, calls: FileCalls): Promise<void> {
    try {
      await calls.link(this.path, target)
    } catch (error) {
      if (!isNoLink(error)) throw error
      throw new HubError(
        'UNSUPPORTED',
        `The file system of '${this.#folder}' has no hard links, which writing only if absent needs: put the folder on a local disk, or leave the condition out.`,
        { at: { scheme: 'fs', op: 'write', target }, reason: 'CAPABILITY', cause: error },
      )
    }
  }

  /** Removes the file of a write that failed. Where even that fails, `sweep` frees it: the write's own error is the one to tell. */
  async discard(): Promise<void> {
    try {
      await this.#close()
      await removeIfThere(this.path)
    } catch {
      return
    }
  }

  async #close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.handle.close()
  }
}

/** Runs a call in a folder; where somebody removed the folder meanwhile, makes it again and runs the call once more. */
async function again<T>(root: string, folder: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    forgetFolders(root)
    await makeFolders(folder, root)
    return call()
  }
}

/** Whether an error of `link` says that the file system has no hard links. */
export function isNoLink(error: unknown): boolean {
  return ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EMLINK'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  )
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
