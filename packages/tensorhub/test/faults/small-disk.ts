import { execFile } from 'node:child_process'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A real file system of so many bytes, in memory. Mounting needs root; without it `reason` says so. */
export async function smallDisk(
  bytes: number,
): Promise<{ folder: string; [Symbol.asyncDispose](): Promise<void> } | { reason: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-disk-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder])
  } catch (error) {
    await rmdir(folder)
    return { reason: `this user cannot mount a tmpfs: ${(error as Error).message.split('\n').at(-2) ?? String(error)}` }
  }
  return {
    folder,
    async [Symbol.asyncDispose]() {
      await run('umount', [folder])
      await rmdir(folder)
    },
  }
}
