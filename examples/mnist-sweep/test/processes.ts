import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { TensorHub } from 'tensorhub'
import { PROJECT } from '../plan.ts'

/** One program of the example, started from another folder than its own, in a process group of its own as a terminal does. */
export class Program {
  readonly pid: number
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  output = ''

  constructor(file: string, args: readonly string[]) {
    const script = fileURLToPath(new URL(`../${file}`, import.meta.url))
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
      cwd: tmpdir(),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.pid = child.pid as number
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    this.ended = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  }

  /** The end's code; with another one the failure shows what the program said. */
  async exits(code: number): Promise<void> {
    const end = await this.ended
    if (end.code !== code) throw new Error(`ended with ${end.signal ?? end.code}, not ${code}:\n${this.output}`)
  }

  /** What Ctrl-C does: the signal goes to the whole foreground group. */
  interrupt(): void {
    process.kill(-this.pid, 'SIGINT')
  }
}

/** A new folder for a hub; its path has a space. */
export async function hubFolder(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'mnist sweep ')), 'hub')
}

/** The hub that a program works with, once the program has made it. */
export async function openHub(folder: string): Promise<TensorHub> {
  return TensorHub.connect(folder, { projectName: PROJECT })
}

/** Looks until `found` gives something else than undefined. The bound is for what never comes, not for what is slow. */
export async function until<T>(what: string, found: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + 150_000
  for (;;) {
    const value = await found()
    if (value !== undefined) return value
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await wait(50)
  }
}

/** Every process below `root`, on Linux. */
export async function descendants(root: number): Promise<number[]> {
  const parents = new Map<number, number>()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    // The name in parentheses may hold anything; the state and the parent follow it.
    const parent = /\) \S (\d+)/.exec(stat)?.[1]
    if (parent !== undefined) parents.set(Number(name), Number(parent))
  }
  const found = [root]
  for (const pid of found) for (const [child, parent] of parents) if (parent === pid) found.push(child)
  return found.slice(1)
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
