import { createHash } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { createRequire, isBuiltin, registerHooks } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { format } from 'node:util'
import { Worker } from 'node:worker_threads'
import { lookUpFrom } from '../../connect/program.ts'
import type { openHubLater } from '../../open.ts'
import type { Task } from '../task.ts'
import { setCurrentTask } from './current-task.ts'
import { errorOf, resultOf } from './result.ts'
import { WATCHDOG } from './watchdog.ts'
import { decodeLine, encodeLine, type FromChild, RAN_DRY, type ToChild } from './wire.ts'

/** The child process of one attempt: takes its orders on standard input, runs the script, answers on descriptor 3. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

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
  new Worker(WATCHDOG, { eval: true, workerData: start.parent, execArgv: [], stdin: false }).unref()
  process.chdir(fileURLToPath(start.root))
  lookUpFrom(start.bases[0] as string)
  guardFiles(start)
  const task = taskOf(start)
  setCurrentTask(task)
  let code = 0
  // As if the script had been started by itself, for those that ask whether they are the main program (B15).
  process.argv[1] = fileURLToPath(start.entry)
  // From here on the script alone keeps the process alive, so that one with nothing left to wait for is seen.
  input.unref()
  try {
    const module = (await import(start.entry)) as Readonly<Record<string, unknown>>
    send(resultOf(await resultsOfModule(module, task), start.keys))
  } catch (error) {
    code = 1
    send(errorOf(error))
  }
  await flush()
  endAtOnce()
  process.exit(code)
}

/**
 * Leaves out what Node does between the script's own 'exit' listeners, which have run by then, and the process's end: taking down an engine and threads
 * whose memory the system takes anyway, a sixth of a short attempt. The answer and the output are with the runner or in its pipes.
 */
function endAtOnce(): void {
  // On Windows a pipe is written later, and would lose what those listeners print. https://nodejs.org/api/process.html#a-note-on-process-io
  if (process.platform !== 'win32') process.on('exit', () => process.kill(process.pid, 'SIGKILL'))
}

/** What the default export returns, or else the named exports. */
async function resultsOfModule(module: Readonly<Record<string, unknown>>, task: Task): Promise<unknown> {
  if (!Object.hasOwn(module, 'default')) return { ...module }
  const entry = module['default']
  if (typeof entry !== 'function')
    throw new TypeError(
      `the script's default export must be a function that is given the task, not a ${typeof entry}; results that are plain values are named exports`,
    )
  return (entry as (task: Task) => unknown)(task)
}

function taskOf(start: ToChild & { kind: 'start' }): Task {
  let hub: ReturnType<typeof openHubLater> | undefined
  return {
    id: start.task.id,
    name: start.task.name,
    attempt: start.task.attempt,
    hyperParameters: start.task.hyperParameters as Task['hyperParameters'],
    get signal() {
      // A script that knows of its cancellation may wait for nothing else.
      input.ref()
      return aborted.signal
    },
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
    progress: (value) => {
      try {
        send({ kind: 'progress', value })
      } catch (error) {
        // Hours of work must not end by what was only meant to be looked at.
        send({
          kind: 'progress',
          value: `task.progress was given a value that cannot be stored: ${errorOf(error).message}`,
        })
      }
    },
  }
}

/**
 * What the script's own files import and hold. Bare imports are looked up from the runner's folders; `tensorhub` is this copy of it. And a file
 * that was uploaded runs only as it was uploaded: its bytes are hashed once more as Node reads them, so that one exchanged after the runner
 * checked it never runs.
 */
function guardFiles(start: ToChild & { kind: 'start' }): void {
  const { root, bases, files } = start
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
      if (isBuiltin(specifier)) return next(specifier, context)
      let missing: unknown
      for (const base of bases) {
        try {
          // `require` looks up from its module whatever parent it is told.
          if (context.conditions?.includes('require') === true)
            return { url: pathToFileURL(createRequire(base).resolve(specifier)).href, shortCircuit: true }
          return next(specifier, { ...context, parentURL: base })
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException
          if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw error
          missing ??= error
        }
      }
      throw missing
    },
    load(url, context, next) {
      const loaded = next(url, context)
      if (!url.startsWith(root)) return loaded
      const path = decodeURIComponent(new URL(url).pathname.slice(new URL(root).pathname.length))
      const expected = Object.hasOwn(files, path) ? files[path] : undefined
      // A file that the script made itself, while it ran, is its own business.
      if (expected === undefined) return loaded
      const { source } = loaded
      const bytes = source === null || source === undefined ? readFileSync(fileURLToPath(url)) : (source as Uint8Array)
      if (createHash('sha256').update(bytes).digest('hex') !== expected)
        throw new Error(`the script file '${path}' was changed after its task was created`)
      return loaded
    },
  })
}

function flush(): Promise<void> {
  return new Promise((resolve) => process.stdout.write('', () => process.stderr.write('', () => resolve())))
}

// Nothing can settle what the script waits for. Without a time limit, its task would stay running for ever.
process.on('beforeExit', () => process.exit(RAN_DRY))
process.on('uncaughtException', (error) => {
  send(errorOf(error))
  process.exit(1)
})
process.on('unhandledRejection', (error) => {
  send(errorOf(error))
  process.exit(1)
})
