import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How long a runner may take to end after SIGTERM before it is killed, in ms. */
const PATIENCE = 10_000

/** The runner processes of this example. Whatever happens to this process, they end. */
export class Runners {
  readonly #children: ChildProcess[]
  readonly #onLoss: (reason: string) => void
  #stopping = false
  /** Rejects when no runner is left before {@link stop}; never resolves. Wait for it from the start. */
  readonly failed: Promise<never>

  /** @param onLoss Told when a runner ends by itself; the others take its task over once its lease has passed. */
  constructor(count: number, url: string | undefined, onLoss: (reason: string) => void) {
    this.#onLoss = onLoss
    this.#children = Array.from({ length: count }, () =>
      fork(fileURLToPath(new URL('./runner.ts', import.meta.url)), url === undefined ? [] : ['--url', url], {
        cwd: fileURLToPath(new URL('.', import.meta.url)),
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      }),
    )
    this.failed = Promise.all(this.#children.map((child) => this.#watch(child))).then((reasons) => {
      throw new Error(`No runner is left. ${reasons[0]}`)
    })
    process.on('exit', () => {
      for (const child of this.#children) child.kill('SIGKILL')
    })
  }

  get pids(): readonly (number | undefined)[] {
    return this.#children.map((child) => child.pid)
  }

  async #watch(child: ChildProcess): Promise<string> {
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000)
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    if (this.#stopping) return new Promise<never>(() => {})
    const reason = `Runner ${child.pid} ended with ${signal ?? `code ${code}`}.${said === '' ? '' : `\n${said.trim()}`}`
    this.#onLoss(reason)
    return reason
  }

  /** Ends all runners and waits for them. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
        await ended
        clearTimeout(late)
      }),
    )
  }
}
