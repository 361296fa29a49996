import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'
import { environmentOf, type StoreUrls } from './store-urls.ts'

/** An event of a load-process.ts; times are of the wall clock, in ms. */
export interface LoadLine {
  /** `unreadable`: a value whose save had been acknowledged was not there, damaged or another. */
  readonly kind: 'saved' | 'loaded' | 'unreadable' | 'created' | 'ran' | 'failed'
  readonly at: number
  /** When the call began. */
  readonly begun: number
  readonly id?: string
  readonly n?: number
  readonly status?: string
  readonly attempt?: number
  readonly of?: LoadLine['kind']
  readonly code?: string
  readonly message?: string
}

export interface Load {
  readonly lines: LoadLine[]
  readonly ready: Promise<void>
  readonly ended: boolean
  /** Its exit code, or the signal that ended it. */
  readonly end: Promise<number | NodeJS.Signals | null>
  /** Asks it to end after what it is doing. */
  stop(): void
}

const started: ChildProcess[] = []
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})

export function startLoad(urls: StoreUrls, worker: number, starts: string, script: string): Load {
  const program = fileURLToPath(new URL('./load-process.ts', import.meta.url))
  const child = spawn(process.execPath, [program, String(worker), starts, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environmentOf(urls) },
  })
  started.push(child)
  const lines: LoadLine[] = []
  const ready = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line === 'ready') ready.resolve()
    else lines.push(JSON.parse(line) as LoadLine)
  })
  const end = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('close', (code, signal) => {
      ready.reject(new Error(`load ${worker} ended (${signal ?? code}) before it was ready`))
      resolve(signal ?? code)
    }),
  )
  ready.promise.catch(() => undefined)
  return {
    lines,
    ready: ready.promise,
    end,
    get ended() {
      return child.exitCode !== null || child.signalCode !== null
    },
    stop: () => child.kill('SIGTERM'),
  }
}
