import { type ChildProcess, spawn } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { HubError } from '@tensorhub/core'
import { encodeLine, type FromChild, messageOf, type ToChild } from './child/wire.ts'
import type { TaskScript } from './document.ts'
import { OutputCapture } from './output-capture.ts'

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
  // A file's path: without it `task.hub` trusts no store whose certificate the user's own authority signed.
  'NODE_EXTRA_CA_CERTS',
  'TENSORHUB_TF',
  'TENSORHUB_CACHE',
  'XDG_CACHE_HOME',
  'OMP_NUM_THREADS',
  'TF_CPP_MIN_LOG_LEVEL',
]

/**
 * One fresh child process, in a group of its own. It is made before the script's files are there, and starts up while they are fetched; it runs nothing
 * before {@link ScriptProcess.run}.
 */
export class ScriptProcess {
  readonly #child: ChildProcess
  readonly #output = new OutputCapture()
  readonly end: Promise<ScriptEnd>
  /** The last value the script gave to `task.progress`. */
  progress: unknown = null
  #message: FromChild | undefined
  #killing: NodeJS.Timeout | undefined
  #ended = false
  #thrown: { readonly error: unknown } | undefined

  constructor(onOutput: ((text: string) => void) | undefined) {
    const bootstrap = fileURLToPath(
      new URL(import.meta.url.endsWith('.ts') ? './child/bootstrap.ts' : './child/bootstrap.js', import.meta.url),
    )
    const env: NodeJS.ProcessEnv = { HOME: homedir(), TMPDIR: tmpdir() }
    for (const name of ENVIRONMENT) if (process.env[name] !== undefined) env[name] = process.env[name]
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--enable-source-maps', bootstrap],
      {
        // A folder that is there; it goes to the script's by itself.
        cwd: dirname(bootstrap),
        env,
        detached: process.platform !== 'win32',
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
        windowsHide: true,
      },
    )
    this.#child = child
    this.end = new Promise((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new HubError('UNAVAILABLE', `A child process could not be started: ${cause.message}`, {
            at: { scheme: 'hub', op: 'runTopTask' },
            reason: 'SPAWN',
            cause,
            retryable: true,
          }),
        ),
      )
      let drain: NodeJS.Timeout | undefined
      child.once('exit', () => {
        // Whatever the script left behind in its group ends with it; what left the group must not hold the runner by its pipes.
        this.#signal('SIGKILL')
        this.#ended = true
        clearTimeout(this.#killing)
        drain = setTimeout(() => {
          for (const stream of child.stdio) stream?.destroy()
        }, DRAIN_MS)
      })
      child.once('close', (code, signal) => {
        clearTimeout(drain)
        if (this.#thrown !== undefined) reject(this.#thrown.error)
        else resolve({ message: this.#message, code, signal, output: this.#output.text() })
      })
    })
    // Whoever waits for the end is told; before the script is run nobody may wait yet.
    this.end.catch(() => undefined)
    // Without a process there may be no pipes either (no descriptors left); `error` tells.
    if (child.pid === undefined) return
    for (const stream of [child.stdout, child.stderr] as Readable[]) {
      const decoder = new StringDecoder('utf8')
      stream.on('data', (piece: Buffer) => {
        this.#output.push(piece)
        const text = onOutput === undefined ? '' : decoder.write(piece)
        free(piece)
        if (text === '' || this.#thrown !== undefined) return
        try {
          onOutput?.(text)
        } catch (error) {
          // Thrown on from here it would end the whole runner, and with it its other tasks.
          this.#thrown = { error }
          this.kill()
        }
      })
    }
    this.#listen(child.stdio[3] as Readable)
    // The child may be gone before it reads; its end says so.
    child.stdin?.on('error', () => undefined)
  }

  /** Whether the end is an error that the caller's own callback threw. */
  get callbackFailed(): boolean {
    return this.#thrown !== undefined
  }

  /** Runs the script that lies unpacked in `folder`. */
  run(
    folder: string,
    script: TaskScript,
    start: Pick<ToChild & { kind: 'start' }, 'task' | 'connection' | 'keys'>,
  ): Promise<ScriptEnd> {
    const root = `${pathToFileURL(folder).href}/`
    this.#send({
      kind: 'start',
      parent: process.pid,
      entry: pathToFileURL(join(folder, ...script.entry.split('/'))).href,
      root,
      bases: runnerFiles().map((file) => pathToFileURL(file).href),
      files: Object.fromEntries(script.files.map((file) => [file.path, file.sha256])),
      ...start,
    })
    return this.end
  }

  /** Asks the script to stop, then SIGTERM, then SIGKILL to its whole group. */
  stop(reason: string): void {
    if (this.#ended || this.#killing !== undefined) return
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
    // Once it has ended its number may be somebody else's.
    if (pid === undefined || this.#ended) return
    try {
      if (process.platform === 'win32') this.#child.kill(signal)
      else process.kill(-pid, signal)
    } catch (error) {
      // Gone, or (EPERM) its members run as another user by now, where nothing can be done: neither may end the runner.
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ESRCH' && code !== 'EPERM') throw error
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

/**
 * Frees what was read from a pipe at once. V8 alone lets tens of MiB of it pile up before it collects (measured under a flood of 1 GiB: the runner grew
 * by 50 MiB, with this by 24).
 */
function free(piece: Buffer): void {
  const { buffer } = piece
  // Only a buffer that is this piece's own.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === piece.byteLength) buffer.transfer(0)
}

/** Files, there or not, in the folders where packages of the runner lie: the working folder, then that of its program. */
function runnerFiles(): string[] {
  const files = [join(process.cwd(), 'tensorhub-runner.js')]
  const program = process.argv[1]
  if (program !== undefined) {
    try {
      files.push(realpathSync(program))
    } catch {
      // Started without a file (`node -e`): there is no such folder.
    }
  }
  return files
}
