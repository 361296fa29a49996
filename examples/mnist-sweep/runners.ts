import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { environmentOf } from './connect.ts'
import type { HubPlace } from './options.ts'

/** How long a runner may take to end after SIGTERM before it is killed, in ms. */
const PATIENCE = 20_000

/** Every runner has ended by itself. */
export class RunnersLost extends Error {}

/** The runner processes of this example. Whatever happens to this process, they end: they notice when its channel closes. */
export class Runners implements AsyncDisposable {
  readonly #children: ChildProcess[]
  readonly #onLoss: (reason: string) => void
  readonly #lost = new AbortController()
  #stopping = false

  /** @param onLoss Told when a runner ends by itself. */
  constructor(count: number, hub: HubPlace, onLoss: (reason: string) => void) {
    this.#onLoss = onLoss
    const script = fileURLToPath(new URL('./runner.ts', import.meta.url))
    const env = { ...process.env, ...environmentOf(hub) }
    this.#children = Array.from({ length: count }, () =>
      fork(script, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env }),
    )
    for (const child of this.#children) void this.#watch(child)
    process.on('exit', () => {
      for (const child of this.#children) child.kill('SIGKILL')
    })
  }

  get pids(): readonly (number | undefined)[] {
    return this.#children.map((child) => child.pid)
  }

  /** Aborts with a {@link RunnersLost} when none is left. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  async #watch(child: ChildProcess): Promise<void> {
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000)
    })
    const how = await once(child, 'exit').then(
      ([code, signal]) => `ended with ${signal ?? `code ${code}`}.`,
      (error: Error) => `could not be started: ${error.message}.`,
    )
    if (this.#stopping) return
    const reason = `Runner ${child.pid ?? ''} ${how}${said === '' ? '' : `\n${said.trim()}\n`}`
    this.#onLoss(reason)
    if (this.#children.every(hasEnded)) this.#lost.abort(new RunnersLost(`No runner is left. ${reason}`))
  }

  /** Ends all runners and waits for them; what they were at is pending again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true
    await Promise.all(
      this.#children.map(async (child) => {
        if (hasEnded(child)) return
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
        await ended
        clearTimeout(late)
      }),
    )
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}
