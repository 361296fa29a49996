import type { BigIntStats } from 'node:fs'
import { access, constants, type FileHandle, link, open, opendir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  type ErrorPlace,
  HubError,
  throwIfAborted,
  type WriteOptions,
} from '@tensorhub/core'
import { mapError } from './errors.ts'
import { makeFolders, syncFolder } from './folders.ts'
import { pathOf, STAGING } from './layout.ts'
import type { FsOptions } from './options.ts'
import { type FileCalls, isNoLink, removeIfThere, StagedFile } from './staged-file.ts'
import { walkKeys } from './walk.ts'

const CAN: BlobCan = {
  ifAbsent: true,
  // Files have no compare-and-swap that holds across processes.
  ifVersion: false,
  // A second file for metadata could not become visible together with the first.
  meta: false,
  copy: false,
  sign: false,
  partMin: 1,
  partMax: Number.MAX_SAFE_INTEGER,
  partsMax: Number.MAX_SAFE_INTEGER,
  sizeMax: Number.MAX_SAFE_INTEGER,
  deleteMax: 1000,
}

/** Why a folder that can be read may not be written. */
const READ_ONLY = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM']

/** Bytes a file call moves. */
const PIECE = 8 * 1024 * 1024
const READ_PIECE = 1024 * 1024

/** Blobs as files in a folder: written aside, made durable, then linked or renamed into place. */
export function fs(options: FsOptions): BlobDriver {
  return new FsBlobs(options, { link })
}

export class FsBlobs implements BlobDriver {
  readonly scheme = 'fs'
  readonly can = CAN
  readonly #folder: string
  readonly #calls: FileCalls

  constructor(options: FsOptions, calls: FileCalls) {
    const { folder, ...unknown } = options
    const extra = Object.keys(unknown)[0]
    if (extra !== undefined)
      throw new HubError('INVALID', `fs() has no option '${extra}'; it knows folder.`, {
        at: { scheme: 'fs', op: 'open' },
        path: extra,
      })
    if (typeof folder !== 'string' || folder === '')
      throw new HubError('INVALID', 'fs() needs the path of a folder.', {
        at: { scheme: 'fs', op: 'open' },
        path: 'folder',
      })
    this.#folder = resolve(folder)
    this.#calls = calls
  }

  native(): unknown {
    return this.#folder
  }

  /** Makes the folder and tries whether hard links work; without them `ifAbsent` is not offered. */
  async open(): Promise<Readonly<BlobCan>> {
    try {
      await makeFolders(join(this.#folder, STAGING), this.#folder)
      return (await this.#canLink()) ? CAN : { ...CAN, ifAbsent: false }
    } catch (error) {
      // A full disk, or a folder this user may only read, must not keep what is there from being read; writes say what is wrong.
      if (READ_ONLY.includes((error as NodeJS.ErrnoException).code ?? '') && (await this.#isReadable())) return CAN
      throw mapError(error, this.#at('open', this.#folder))
    }
  }

  async #isReadable(): Promise<boolean> {
    return access(this.#folder, constants.R_OK | constants.X_OK).then(
      () => true,
      () => false,
    )
  }

  async #canLink(): Promise<boolean> {
    const probe = await StagedFile.create(this.#folder)
    const linked = `${probe.path}.link`
    try {
      await this.#calls.link(probe.path, linked)
      return true
    } catch (error) {
      if (isNoLink(error)) return false
      throw error
    } finally {
      await probe.discard()
      await removeIfThere(linked)
    }
  }

  async stat(key: string, o: Call): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    try {
      return infoOf(key, await stat(pathOf(this.#folder, key), { bigint: true }))
    } catch (error) {
      throw mapError(missing(error), this.#at('stat', key))
    }
  }

  async read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    throwIfAborted(o.signal)
    const at = this.#at('read', key)
    const { handle, info } = await this.#openFile(key, o.ifVersion, at)
    const offset = o.range?.offset ?? 0
    if (offset > info.size || (offset === info.size && offset > 0)) {
      await handle.close()
      throw new HubError('RANGE', `The range from ${offset} lies outside blob '${key}' of ${info.size} bytes.`, { at })
    }
    const end = Math.min(info.size, o.range?.length === undefined ? info.size : offset + o.range.length)
    let position = offset
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            throwIfAborted(o.signal, at)
            if (position >= end) {
              await handle.close()
              return controller.close()
            }
            const piece = new Uint8Array(Math.min(READ_PIECE, end - position))
            const { bytesRead } = await handle.read(piece, 0, piece.length, position)
            if (bytesRead === 0)
              throw new HubError('RANGE', `Blob '${key}' ended at ${position} of ${info.size} bytes.`, { at })
            position += bytesRead
            controller.enqueue(bytesRead === piece.length ? piece : piece.subarray(0, bytesRead))
          } catch (error) {
            await handle.close()
            throw mapError(error, at)
          }
        },
        cancel: () => handle.close(),
      },
      { highWaterMark: 0 },
    )
    return { info, body }
  }

  async readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    const at = this.#at('read', key)
    const { handle, info } = await this.#openFile(key, o.ifVersion, at)
    try {
      for (let done = 0; done < into.length; ) {
        throwIfAborted(o.signal, at)
        const { bytesRead } = await handle.read(into, done, Math.min(PIECE, into.length - done), o.offset + done)
        if (bytesRead === 0)
          throw new HubError(
            'RANGE',
            `Blob '${key}' has ${info.size} bytes; ${into.length} from ${o.offset} were asked for.`,
            { at },
          )
        done += bytesRead
      }
      return info
    } catch (error) {
      throw mapError(error, at)
    } finally {
      await handle.close()
    }
  }

  async write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    return this.#stage(key, o, async (file) => {
      const reader = body.getReader()
      try {
        // Small pieces are gathered, so that a slow source does not mean a system call for each of them.
        const buffer = new Uint8Array(READ_PIECE)
        let held = 0
        for (;;) {
          throwIfAborted(o.signal)
          const { done, value } = await reader.read()
          if (done || held + value.length > buffer.length) {
            await writeAll(file, buffer.subarray(0, held))
            held = 0
          }
          if (done) return
          if (value.length >= buffer.length) await writeAll(file, value)
          else {
            buffer.set(value, held)
            held += value.length
          }
        }
      } catch (error) {
        await reader.cancel(error)
        throw error
      }
    })
  }

  async writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    return this.#stage(key, o, (file) => writeAll(file, bytes, o.signal))
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    const folders = new Set<string>()
    for (const key of keys) {
      throwIfAborted(o.signal)
      const path = pathOf(this.#folder, key)
      try {
        if (await removeIfThere(path)) folders.add(join(path, '..'))
      } catch (error) {
        throw mapError(error, this.#at('delete', key))
      }
    }
    for (const folder of folders) await syncFolder(folder)
  }

  async *list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncGenerator<BlobInfo, void, undefined> {
    let left = o.limit ?? Number.POSITIVE_INFINITY
    if (left <= 0) return
    try {
      for await (const key of walkKeys(this.#folder, prefix, o.after)) {
        throwIfAborted(o.signal)
        let info: BlobInfo
        try {
          info = infoOf(key, await stat(pathOf(this.#folder, key), { bigint: true }))
        } catch (error) {
          // Deleted since its folder was read.
          if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
          throw error
        }
        yield info
        if (--left <= 0) return
      }
    } catch (error) {
      throw mapError(error, this.#at('list', prefix))
    }
  }

  /** Staging files older than `before`: their writers died. */
  async sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    const staging = join(this.#folder, STAGING)
    let count = 0
    let bytes = 0
    try {
      for await (const entry of await opendir(staging)) {
        throwIfAborted(o.signal)
        const path = join(staging, entry.name)
        const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return undefined
          throw error
        })
        if (info === undefined || info.mtime >= o.before) continue
        if (o.dryRun === true || (await removeIfThere(path))) {
          count++
          bytes += info.size
        }
      }
    } catch (error) {
      // A folder that cannot be written, or was removed, has no staging folder, and nothing to sweep.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw mapError(error, this.#at('sweep', staging))
    }
    return { count, bytes }
  }

  async #stage(key: string, o: WriteOptions, fill: (file: FileHandle) => Promise<void>): Promise<BlobInfo> {
    const at = this.#at('write', key)
    let staged: StagedFile | undefined
    try {
      throwIfAborted(o.signal, at)
      staged = await StagedFile.create(this.#folder)
      await fill(staged.handle)
      throwIfAborted(o.signal, at)
      const info = await staged.handle.stat({ bigint: true })
      await staged.publish(pathOf(this.#folder, key), o.when !== undefined && 'ifAbsent' in o.when, this.#calls)
      return infoOf(key, info)
    } catch (error) {
      await staged?.discard()
      throw mapError(error, at)
    }
  }

  async #openFile(
    key: string,
    version: string | undefined,
    at: ErrorPlace,
  ): Promise<{ handle: FileHandle; info: BlobInfo }> {
    let handle: FileHandle | undefined
    try {
      handle = await open(pathOf(this.#folder, key), 'r')
      const info = infoOf(key, await handle.stat({ bigint: true }))
      if (version !== undefined && version !== info.version)
        throw new HubError('CONFLICT', `Blob '${key}' has another version by now.`, { at })
      return { handle, info }
    } catch (error) {
      await handle?.close()
      throw mapError(missing(error), at)
    }
  }

  #at(op: string, target: string): ErrorPlace {
    return { scheme: 'fs', op, target }
  }
}

/** A file where a folder was expected on the way: the blob is not there. */
function missing(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code === 'ENOTDIR'
    ? Object.assign(new Error('not there', { cause: error }), { code: 'ENOENT' })
    : error
}

/** The version names one file and one writing of it. */
function infoOf(key: string, s: BigIntStats): BlobInfo {
  return {
    key,
    size: Number(s.size),
    modified: new Date(Number(s.mtimeMs)),
    version: `${s.ino.toString(36)}-${s.mtimeNs.toString(36)}-${s.size.toString(36)}`,
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    throwIfAborted(signal)
    const { bytesWritten } = await file.write(bytes, at, Math.min(PIECE, bytes.length - at))
    if (bytesWritten === 0) throw new Error(`The file system took none of ${bytes.length - at} bytes.`)
    at += bytesWritten
  }
}
