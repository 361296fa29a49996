import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Engine } from './engine.ts'

const SCRIPT = fileURLToPath(new URL('reap.sh', import.meta.url))

export interface Reaper {
  /** A folder that goes with the container. */
  folder(path: string): void
  /** Nothing is left to remove. */
  done(): void
}

/** A process of its own session that removes everything with this label as soon as ours has ended, by SIGKILL too. See reap.sh. */
export async function startReaper({ program }: Engine, label: string): Promise<Reaper> {
  const reaper = spawn('/bin/sh', [SCRIPT, program, label], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  await once(reaper, 'spawn')
  // What is written to a reaper that somebody killed: the container is then removed by `stop` alone.
  reaper.stdin.on('error', () => undefined)
  reaper.unref()
  ;(reaper.stdin as unknown as { unref?(): void }).unref?.()
  return {
    folder: (path) => void reaper.stdin.write(`folder ${path}\n`),
    done: () => void reaper.stdin.end('done\n'),
  }
}
