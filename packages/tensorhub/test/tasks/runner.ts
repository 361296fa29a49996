import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'

const started: ChildProcess[] = []

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})

export interface RunnerLine {
  readonly id: string
  readonly status: string
  readonly attempt: number
  /** Bytes: the most it ever had. */
  readonly rss: number
}

export interface Runner {
  readonly process: ChildProcess
  readonly lines: RunnerLine[]
  readonly ready: Promise<void>
  /** Its exit code, or the signal that ended it. */
  readonly end: Promise<number | NodeJS.Signals | null>
}

/**
 * Starts a runner in a process of its own; killed after the test.
 *
 * @param hub A folder or URL; it travels in the environment, as what may hold a password does.
 * @param workDir Where its scripts lie; needed unless the hub is a folder.
 */
export function startRunner(
  hub: string,
  stop: 'idle' | 'never',
  kind: 'scripts' | 'any' | 'handlers' = 'scripts',
  workDir?: string,
): Runner {
  const child = spawn(
    process.execPath,
    [
      ...[fileURLToPath(new URL('./runner-process.ts', import.meta.url)), stop, kind],
      ...(workDir === undefined ? [] : [workDir]),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TENSORHUB_URL: hub } },
  )
  started.push(child)
  const lines: RunnerLine[] = []
  const ready = Promise.withResolvers<void>()
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    if (line === 'ready') ready.resolve()
    else lines.push(JSON.parse(line) as RunnerLine)
  })
  const end = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('close', (code, signal) => resolve(signal ?? code)),
  )
  return { process: child, lines, ready: ready.promise, end }
}

/** Whether a process runs; a zombie does not (`kill(pid, 0)` counts those as alive). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (process.platform !== 'linux') return true
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z'
  } catch {
    return false
  }
}
