import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** From this many bytes of one save or load on, hashing moves to worker threads. */
export const THREADS_FROM = 64 * 1024 * 1024

/** A chunk's id: `sha256:` and the hex of its raw bytes. */
export function hashHere(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/**
 * What a thread runs. It is text rather than a file: a thread that loads a TypeScript file, as in development, loads Node's type stripper with it, about
 * 20 MiB each; and a bundler has nothing to find.
 */
const THREAD = `
const { createHash } = require('node:crypto')
const { parentPort } = require('node:worker_threads')
parentPort.on('message', ({ number, shared, length }) => {
  parentPort.postMessage({ number, hex: createHash('sha256').update(new Uint8Array(shared, 0, length)).digest('hex') })
})`

/** Jobs a thread has at once: while it hashes one, the bytes of the next are copied, so that it never waits for them. */
const LANES = 2

interface Reply {
  readonly number: number
  readonly hex: string
}

/** One thread, with memory it shares for each of its jobs. */
class HashThread {
  readonly #worker = new Worker(THREAD, { eval: true, execArgv: [] })
  readonly #pending = new Map<number, { resolve(hex: string): void; reject(error: Error): void }>()
  readonly #free: SharedArrayBuffer[] = Array.from({ length: LANES }, () => new SharedArrayBuffer(0))
  readonly #onEnd: (thread: HashThread) => void
  #numbers = 0
  busy = 0

  constructor(onEnd: (thread: HashThread) => void) {
    this.#onEnd = onEnd
    // Idle threads must not keep the process alive.
    this.#worker.unref()
    this.#worker.on('message', ({ number, hex }: Reply) => this.#pending.get(number)?.resolve(hex))
    this.#worker.on('error', (error: Error) => this.#end(error))
    this.#worker.on('exit', (code) => this.#end(new Error(`A hashing thread ended with code ${code}.`)))
  }

  async hash(bytes: Uint8Array): Promise<string> {
    let shared = this.#free.pop() ?? new SharedArrayBuffer(0)
    if (shared.byteLength < bytes.byteLength) shared = new SharedArrayBuffer(bytes.byteLength)
    new Uint8Array(shared, 0, bytes.byteLength).set(bytes)
    const number = this.#numbers++
    this.#worker.ref()
    try {
      return await new Promise<string>((resolve, reject) => {
        this.#pending.set(number, { resolve, reject })
        this.#worker.postMessage({ number, shared, length: bytes.byteLength })
      })
    } finally {
      this.#pending.delete(number)
      this.#free.push(shared)
      if (this.#pending.size === 0) this.#worker.unref()
    }
  }

  /** For tests. */
  terminate(): Promise<number> {
    return this.#worker.terminate()
  }

  #end(error: Error): void {
    this.#onEnd(this)
    for (const { reject } of this.#pending.values()) reject(error)
  }
}

/** Hashes on worker threads. Bytes are copied into memory shared with the thread: posting them would copy too, and slower (measured 5×). */
export class HashPool {
  readonly #threads: HashThread[] = []
  readonly #waiting: (() => void)[] = []
  readonly #size: number

  /** @param size Threads; one more than processors, so that none of these waits while a thread is handed its bytes. */
  constructor(size = Math.min(5, availableParallelism() + 1)) {
    this.#size = size
  }

  /** `sha256:` and hex. A thread that dies takes its jobs with it, and is not asked again. */
  async hash(bytes: Uint8Array): Promise<string> {
    const thread = await this.#take()
    try {
      return `sha256:${await thread.hash(bytes)}`
    } finally {
      thread.busy--
      this.#waiting.shift()?.()
    }
  }

  /** Ends all threads; the next job starts new ones. For tests of threads that die. */
  async terminate(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()))
  }

  async #take(): Promise<HashThread> {
    for (;;) {
      const free = this.#free()
      if (free !== undefined) return free
      await new Promise<void>((go) => this.#waiting.push(go))
    }
  }

  /** A thread with room for a job, which is counted; undefined when all are busy. */
  #free(): HashThread | undefined {
    let least = this.#threads.toSorted((a, b) => a.busy - b.busy)[0]
    if ((least === undefined || least.busy > 0) && this.#threads.length < this.#size) {
      least = new HashThread((ended) => {
        const at = this.#threads.indexOf(ended)
        if (at >= 0) this.#threads.splice(at, 1)
      })
      this.#threads.push(least)
    }
    if (least === undefined || least.busy >= LANES) return undefined
    least.busy++
    return least
  }
}
