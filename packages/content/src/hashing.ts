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
parentPort.on('message', ({ shared, length }) => {
  parentPort.postMessage(createHash('sha256').update(new Uint8Array(shared, 0, length)).digest('hex'))
})`

interface Slot {
  readonly worker: Worker
  shared: SharedArrayBuffer
  busy: boolean
}

/** Hashes on worker threads. Bytes are copied into memory shared with the thread: posting them would copy too, and slower (measured 5×). */
export class HashPool {
  readonly #slots: Slot[] = []
  readonly #waiting: ((slot: Slot) => void)[] = []
  readonly #size: number

  /** @param size Threads; one more than processors, so that none of these waits while a thread is handed its bytes. */
  constructor(size = Math.min(5, availableParallelism() + 1)) {
    this.#size = size
  }

  async hash(bytes: Uint8Array): Promise<string> {
    const slot = await this.#take()
    let alive = false
    try {
      if (slot.shared.byteLength < bytes.byteLength) slot.shared = new SharedArrayBuffer(bytes.byteLength)
      new Uint8Array(slot.shared, 0, bytes.byteLength).set(bytes)
      const hex = await ask(slot.worker, { shared: slot.shared, length: bytes.byteLength })
      alive = true
      return `sha256:${hex}`
    } finally {
      if (alive) this.#give(slot)
      else await this.#replace(slot)
    }
  }

  async #take(): Promise<Slot> {
    const free = this.#slots.find((slot) => !slot.busy)
    if (free !== undefined) {
      free.busy = true
      return free
    }
    if (this.#slots.length < this.#size) {
      const worker = new Worker(THREAD, { eval: true, execArgv: [] })
      // Idle threads must not keep the process alive.
      worker.unref()
      const slot: Slot = { worker, shared: new SharedArrayBuffer(0), busy: true }
      this.#slots.push(slot)
      return slot
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** A thread that failed is not asked again; whoever waits gets a new one. */
  async #replace(slot: Slot): Promise<void> {
    this.#slots.splice(this.#slots.indexOf(slot), 1)
    await slot.worker.terminate()
    const next = this.#waiting.shift()
    if (next !== undefined) next(await this.#take())
  }

  #give(slot: Slot): void {
    const next = this.#waiting.shift()
    if (next !== undefined) next(slot)
    else slot.busy = false
  }
}

function ask(worker: Worker, job: { shared: SharedArrayBuffer; length: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      worker.off('message', onMessage)
      worker.off('error', onError)
      worker.off('exit', onExit)
      worker.unref()
    }
    const onMessage = (hex: string) => {
      settle()
      resolve(hex)
    }
    const onError = (error: Error) => {
      settle()
      reject(error)
    }
    const onExit = (code: number) => onError(new Error(`The hashing thread ended with code ${code}.`))
    worker.ref()
    worker.on('message', onMessage)
    worker.on('error', onError)
    worker.on('exit', onExit)
    worker.postMessage(job)
  })
}
