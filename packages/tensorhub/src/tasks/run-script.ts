import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { HubError } from '@tensorhub/core'
import { encodeLine, type FromChild, messageOf, type ToChild } from './child/wire.ts'
import type { TaskScript } from './document.ts'
import { OutputCapture } from './output-capture.ts'
import { hashOfFiles, sha256 } from './script-files.ts'

/** How one attempt's child ended. */
export interface ScriptEnd {
  readonly message: FromChild | undefined
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 10_000
/** How long the pipes of a dead child may stay open: a process that left its group may hold them for ever. */
const DRAIN_MS = 1000
/** The longest line a child may send. */
const LINE_LIMIT = 64 * 1024 * 1024
/** What a script sees of the environment (tasks.md §7.5, L1); never a credential. */
const ENVIRONMENT = [
  'PATH',
  'LANG',
  'LC_ALL',
  'TZ',
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'LD_LIBRARY_PATH',
  'SystemRoot',
  'TENSORHUB_TF',
  'TENSORHUB_CACHE',
  'XDG_CACHE_HOME',
  'OMP_NUM_THREADS',
  'TF_CPP_MIN_LOG_LEVEL',
]

/**
 * Writes a script's files where no one else can (mode 0700), and makes sure that they are what the task says.
 *
 * @throws INTEGRITY when a file does not hash to what the task names.
 */
export async function unpack(
  folder: string,
  script: TaskScript,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<void> {
  const at = { scheme: 'hub', op: 'runTopTask', target: script.entry }
  if (hashOfFiles(script.files) !== script.sha256)
    throw new HubError(
      'INTEGRITY',
      "The task's list of script files does not hash to its script.sha256; it was altered.",
      { at, reason: 'SCRIPT_HASH' },
    )
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const { path, sha256: expected } of script.files) {
    if (path.split('/').some((step) => step === '' || step === '.' || step === '..') || /[\\:\0]/.test(path))
      throw new HubError('INTEGRITY', `The task's script has the file name '${path}', which leaves its folder.`, {
        at,
        reason: 'SCRIPT_HASH',
      })
    const bytes = Object.hasOwn(files, path) ? files[path] : undefined
    if (bytes === undefined || sha256(bytes) !== expected)
      throw new HubError(
        'INTEGRITY',
        `The script file '${path}' does not hash to what the task names; it was altered.`,
        { at, reason: 'SCRIPT_HASH' },
      )
    const file = join(folder, ...path.split('/'))
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx' })
    if (sha256(await readFile(file)) !== expected)
      throw new HubError('INTEGRITY', `The script file '${path}' changed while it was written.`, {
        at,
        reason: 'SCRIPT_HASH',
      })
  }
  // Node must read .js as ES modules here, whatever folder this lies in.
  if (!script.files.some((file) => file.path === 'package.json'))
    await writeFile(join(folder, 'package.json'), '{"type":"module"}\n', { mode: 0o600 })
}

/** One fresh child process, in a group of its own. */
export class ScriptProcess {
  readonly #child: ChildProcess
  readonly #output = new OutputCapture()
  readonly end: Promise<ScriptEnd>
  /** The last value the script gave to `task.progress`. */
  progress: unknown = null
  #message: FromChild | undefined
  #killing: NodeJS.Timeout | undefined

  constructor(
    folder: string,
    entry: string,
    start: Omit<ToChild & { kind: 'start' }, 'kind' | 'parent' | 'entry' | 'root' | 'base'>,
    onOutput: ((text: string) => void) | undefined,
  ) {
    const bootstrap = new URL(
      import.meta.url.endsWith('.ts') ? './child/bootstrap.ts' : './child/bootstrap.js',
      import.meta.url,
    )
    const env: NodeJS.ProcessEnv = { HOME: homedir(), TMPDIR: tmpdir() }
    for (const name of ENVIRONMENT) if (process.env[name] !== undefined) env[name] = process.env[name]
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--enable-source-maps', fileURLToPath(bootstrap)],
      {
        cwd: folder,
        env,
        detached: process.platform !== 'win32',
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
        windowsHide: true,
      },
    )
    this.#child = child
    for (const stream of [child.stdout, child.stderr] as Readable[]) {
      const decoder = new StringDecoder('utf8')
      stream.on('data', (piece: Buffer) => {
        this.#output.push(piece)
        if (onOutput === undefined) return
        const text = decoder.write(piece)
        if (text !== '') onOutput(text)
      })
    }
    this.#listen(child.stdio[3] as Readable)
    // The child may be gone before it reads; its end says so.
    child.stdin?.on('error', () => undefined)
    const root = `${pathToFileURL(folder).href}/`
    this.#send({
      kind: 'start',
      parent: process.pid,
      entry: new URL(entry.split('/').map(encodeURIComponent).join('/'), root).href,
      root,
      base: pathToFileURL(join(process.cwd(), 'tensorhub-runner.js')).href,
      ...start,
    })
    this.end = new Promise((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new HubError('UNAVAILABLE', `A child process could not be started: ${cause.message}`, {
            at: { scheme: 'hub', op: 'runTopTask' },
            cause,
            retryable: true,
          }),
        ),
      )
      let drain: NodeJS.Timeout | undefined
      child.once('exit', () => {
        // Whatever the script left behind in its group ends with it; what left the group must not hold the runner by its pipes.
        this.#signal('SIGKILL')
        drain = setTimeout(() => {
          for (const stream of child.stdio) stream?.destroy()
        }, DRAIN_MS)
      })
      child.once('close', (code, signal) => {
        clearTimeout(this.#killing)
        clearTimeout(drain)
        resolve({ message: this.#message, code, signal, output: this.#output.text() })
      })
    })
  }

  /** Asks the script to stop, then SIGTERM, then SIGKILL to its whole group. */
  stop(reason: string): void {
    if (this.#killing !== undefined) return
    this.#send({ kind: 'abort', reason })
    this.#killing = setTimeout(() => {
      this.#signal('SIGTERM')
      this.#killing = setTimeout(() => this.#signal('SIGKILL'), GRACE_MS)
    }, GRACE_MS / 2)
  }

  /** At once: this runner no longer owns the task. */
  kill(): void {
    this.#signal('SIGKILL')
  }

  #send(message: ToChild): void {
    if (this.#child.stdin?.writable === true) (this.#child.stdin as Writable).write(encodeLine(message))
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child.pid
    if (pid === undefined) return
    try {
      if (process.platform === 'win32') this.#child.kill(signal)
      else process.kill(-pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  /** Lines on descriptor 3. What is no message, or longer than a document may be, is the script's fault and never the runner's. */
  #listen(stream: Readable): void {
    let held: string[] = []
    let size = 0
    const spoil = (name: string, message: string) => {
      this.#message ??= { kind: 'error', name, message, stack: '' }
      this.kill()
    }
    stream.setEncoding('utf8')
    stream.on('data', (piece: string) => {
      const lines = piece.split('\n')
      const rest = lines.pop() as string
      for (const line of lines) {
        const whole = held.length === 0 ? line : held.join('') + line
        held = []
        size = 0
        const message = messageOf(whole)
        if (message === undefined) spoil('Error', 'The script wrote to descriptor 3, which belongs to the runner.')
        else if (message.kind === 'progress') this.progress = message.value
        // The first answer counts: what a script's left-over timers throw later changes nothing.
        else this.#message ??= message
      }
      if (rest !== '') held.push(rest)
      size += rest.length
      if (size > LINE_LIMIT) spoil('RangeError', 'The result is larger than 64 MiB; save it with task.hub instead.')
    })
  }
}
