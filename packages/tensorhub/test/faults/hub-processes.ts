import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export interface Answer {
  readonly ok?: boolean
  readonly code?: string
  readonly message?: string
}

/** A process of hub-process.ts, ready to open hubs. */
export class HubProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.#child = child
    this.#lines = lines
  }

  /** @param preload A module that is loaded before everything else. */
  static async start(preload?: string): Promise<HubProcess> {
    const child = spawn(
      process.execPath,
      [
        ...(preload === undefined ? [] : ['--import', preload]),
        fileURLToPath(new URL('./hub-process.ts', import.meta.url)),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })[Symbol.asyncIterator]()
    const process_ = new HubProcess(child, lines)
    if ((await process_.#line()) !== 'ready') throw new Error('the process did not get ready')
    return process_
  }

  async open(request: { folder: string; uid?: number }): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    return JSON.parse(await this.#line()) as Answer
  }

  /** Asks for a hub, and kills the process so many ms later. */
  async kill(request: { folder: string }, after: number): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    await delay(after)
    this.#child.kill('SIGKILL')
    await ended
  }

  async #line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error(`the process ended: ${String(this.#child.exitCode ?? this.#child.signalCode)}`)
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.stdin?.end()
    await ended
  }
}
