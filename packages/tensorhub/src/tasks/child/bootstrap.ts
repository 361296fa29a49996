import { writeSync } from 'node:fs'
import { createRequire, registerHooks } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { format } from 'node:util'
import { Worker } from 'node:worker_threads'
import { lookUpFrom } from '../../connect/program.ts'
import type { openHubLater } from '../../open.ts'
import type { Task } from '../task.ts'
import { setCurrentTask } from './current-task.ts'
import { decodeLine, encodeLine, type FromChild, type ToChild } from './wire.ts'

/** The child process of one attempt: takes its orders on standard input, runs the script, answers on descriptor 3. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const sibling = (name: string) => new URL(name + EXTENSION, import.meta.url)

function send(message: FromChild): void {
  const bytes = Buffer.from(encodeLine(message))
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(3, bytes, at)
    } catch (error) {
      // The pipe is full; the runner is reading.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}

const aborted = new AbortController()
// Not a file stream on descriptor 0: its blocking read would hold a thread, and process.exit waits for that.
const input = process.stdin
const lines = createInterface({ input })
lines.on('line', (line) => {
  const message = decodeLine(line) as ToChild
  if (message.kind === 'abort') aborted.abort(new Error(message.reason))
  else void run(message)
})
// The runner closed our input without an abort: it is gone.
lines.on('close', () => aborted.abort(new Error('the runner is gone')))

async function run(start: ToChild & { kind: 'start' }): Promise<void> {
  new Worker(sibling('./watchdog'), { workerData: { parent: start.parent }, execArgv: [], stdin: false }).unref()
  lookUpFrom(start.base)
  resolveFrom(start.root, start.base)
  const task = taskOf(start)
  setCurrentTask(task)
  let code = 0
  // As if the script had been started by itself, for those that ask whether they are the main program (B15).
  process.argv[1] = fileURLToPath(start.entry)
  try {
    const module = (await import(start.entry)) as Record<string, unknown>
    const entry = module['default']
    const returned = typeof entry === 'function' ? await (entry as (task: Task) => unknown)(task) : { ...module }
    send(resultOf(returned, start.keys, typeof entry === 'function'))
  } catch (error) {
    code = 1
    send(errorOf(error))
  }
  await flush()
  process.exit(code)
}

/** Each value by itself, so that one that cannot be stored does not take the others with it (B12). */
function resultOf(returned: unknown, keys: readonly string[], called: boolean): FromChild {
  if (returned !== undefined && returned !== null && (typeof returned !== 'object' || Array.isArray(returned))) {
    if (keys.length === 0 && called)
      throw new TypeError(
        `the script's default export must return an object of results (or nothing), not ${Array.isArray(returned) ? 'an array' : `a ${typeof returned}`}`,
      )
  }
  const all = (returned ?? {}) as Record<string, unknown>
  const wanted = keys.length > 0 ? keys : Object.keys(all)
  const values: Record<string, unknown> = {}
  const bad: { key: string; why: string }[] = []
  const missing: string[] = []
  for (const key of wanted) {
    if (!Object.hasOwn(all, key) || all[key] === undefined) {
      if (keys.length > 0) missing.push(key)
      continue
    }
    try {
      encodeLine(all[key])
      Object.defineProperty(values, key, { value: all[key], enumerable: true })
    } catch (error) {
      bad.push({ key, why: error instanceof Error ? error.message : String(error) })
    }
  }
  return { kind: 'result', values, bad, missing }
}

function errorOf(error: unknown): FromChild {
  const e = error instanceof Error ? error : new Error(format(error))
  return { kind: 'error', name: e.name, message: e.message, stack: e.stack ?? '' }
}

function taskOf(start: ToChild & { kind: 'start' }): Task {
  let hub: ReturnType<typeof openHubLater> | undefined
  return {
    id: start.task.id,
    name: start.task.name,
    attempt: start.task.attempt,
    hyperParameters: start.task.hyperParameters as Task['hyperParameters'],
    signal: aborted.signal,
    get hub() {
      if (hub === undefined) {
        if (start.connection === null)
          throw new Error(
            'task.hub: this hub lives in the memory of its process, or was given as driver objects; a script cannot reach it. Use a folder or URLs, or handlers.',
          )
        // Loaded only when used: a script that needs no hub starts without it.
        const open = createRequire(import.meta.url)(`../../open${EXTENSION}`) as { openHubLater: typeof openHubLater }
        hub = open.openHubLater(start.connection as Parameters<typeof openHubLater>[0], {
          id: start.task.id,
          epoch: start.task.epoch,
        })
      }
      return hub
    },
    log: (...values) => {
      process.stdout.write(`${format(...values)}\n`)
    },
    progress: (value) => send({ kind: 'progress', value }),
  }
}

/** Bare imports of the script are looked up from the runner's folder; `tensorhub` is this copy of it. */
function resolveFrom(root: string, base: string): void {
  const own: Readonly<Record<string, string>> = {
    tensorhub: new URL(`../../index${EXTENSION}`, import.meta.url).href,
    'tensorhub/task': new URL(`../task-module${EXTENSION}`, import.meta.url).href,
  }
  registerHooks({
    resolve(specifier, context, next) {
      if (context.parentURL?.startsWith(root) !== true || /^(\.{0,2}\/|[a-z][a-z0-9+.-]*:)/i.test(specifier))
        return next(specifier, context)
      const known = own[specifier]
      if (known !== undefined) return { url: known, shortCircuit: true }
      return next(specifier, { ...context, parentURL: base })
    },
  })
}

function flush(): Promise<void> {
  return new Promise((resolve) => process.stdout.write('', () => process.stderr.write('', () => resolve())))
}

process.on('uncaughtException', (error) => {
  send(errorOf(error))
  process.exit(1)
})
process.on('unhandledRejection', (error) => {
  send(errorOf(error))
  process.exit(1)
})
