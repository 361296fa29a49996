import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** From this many bytes of one save or load on, hashing moves to worker threads. */
export const THREADS_FROM = 64 * 1024 * 1024

/** Threads for a file, whose chunks come one after another: one hashes them faster than they are cut, or read. */
export const FILE_THREADS = 1

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

/** Bytes hashed between two turns of the event loop: well below a millisecond. */
const STEP = 1024 * 1024

/** A thread's own heap holds messages and little else; left alone, it grows to tens of MiB before it is cleaned. */
const SMALL = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 }

/** A thread, and what it was asked and has not answered yet, in order: it answers in order. */
interface Thread {
  readonly worker: Worker
  readonly asked: { readonly resolve: (hex: string) => void; readonly reject: (error: Error) => void }[]
}

/**
 * Hashes on worker threads. Bytes are copied into memory shared with the thread: posting them would copy too, and slower (measured 5×). One piece of
 * memory more than threads is in use, so that the next bytes are there when a thread has finished. While all of it is, this thread hashes one of those
 * that wait, without a copy and in steps that keep the event loop alive: copying all for others costs a sixth of the hashing itself (measured).
 */
export class HashPool {
  readonly #size: number
  readonly #threads: Thread[] = []
  readonly #free: SharedArrayBuffer[] = []
  #used = 0
  readonly #waiting: ((memory: SharedArrayBuffer | undefined) => void)[] = []
  #hashesHere = false

  /** @param size Threads at most. They are begun when there is work for them. */
  constructor(size = Math.max(1, Math.min(4, availableParallelism() - 1))) {
    this.#size = size
  }

  /**
   * `sha256:` and hex. A thread that dies takes its jobs with it, and is not asked again.
   *
   * @param threads From so many on no other is begun for this. Each costs about 20 MiB.
   */
  async hash(bytes: Uint8Array, threads = this.#size): Promise<string> {
    let memory = this.#free.pop() ?? this.#more() ?? (await this.#turn())
    if (memory === undefined) return this.#hashHere(bytes)
    try {
      if (memory.byteLength < bytes.byteLength) memory = new SharedArrayBuffer(bytes.byteLength)
      new Uint8Array(memory, 0, bytes.byteLength).set(bytes)
      return `sha256:${await this.#ask({ shared: memory, length: bytes.byteLength }, threads)}`
    } finally {
      this.#give(memory)
    }
  }

  /** Memory when some is given back, or undefined when this thread is free to hash. */
  #turn(): Promise<SharedArrayBuffer | undefined> | undefined {
    if (this.#hashesHere) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#hashesHere = true
    return undefined
  }

  async #hashHere(bytes: Uint8Array): Promise<string> {
    try {
      const hash = createHash('sha256')
      for (let at = 0; at < bytes.byteLength; at += STEP) {
        hash.update(bytes.subarray(at, at + STEP))
        await new Promise((resolve) => setImmediate(resolve))
      }
      return `sha256:${hash.digest('hex')}`
    } finally {
      const next = this.#waiting.shift()
      this.#hashesHere = next !== undefined
      next?.(undefined)
    }
  }

  #more(): SharedArrayBuffer | undefined {
    if (this.#used > this.#size) return undefined
    this.#used++
    return new SharedArrayBuffer(0)
  }

  /** Ends all threads; the next job starts new ones. For tests of threads that die. */
  async terminate(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #give(memory: SharedArrayBuffer): void {
    const next = this.#waiting.shift()
    if (next !== undefined) next(memory)
    else this.#free.push(memory)
  }

  #ask(job: { readonly shared: SharedArrayBuffer; readonly length: number }, threads: number): Promise<string> {
    const thread = this.#leastBusy(threads)
    return new Promise((resolve, reject) => {
      thread.asked.push({ resolve, reject })
      thread.worker.ref()
      thread.worker.postMessage(job)
    })
  }

  #leastBusy(threads: number): Thread {
    let least: Thread | undefined
    for (const thread of this.#threads)
      if (least === undefined || thread.asked.length < least.asked.length) least = thread
    if (least !== undefined && (least.asked.length === 0 || this.#threads.length >= threads)) return least
    const begun = this.#begin()
    this.#threads.push(begun)
    return begun
  }

  #begin(): Thread {
    const thread: Thread = {
      worker: new Worker(THREAD, { eval: true, execArgv: [], resourceLimits: SMALL }),
      asked: [],
    }
    // A thread that failed is not asked again.
    const failed = (error: Error) => {
      const at = this.#threads.indexOf(thread)
      if (at >= 0) this.#threads.splice(at, 1)
      for (const { reject } of thread.asked.splice(0)) reject(error)
    }
    thread.worker.on('message', (hex: string) => {
      thread.asked.shift()?.resolve(hex)
      // Idle threads must not keep the process alive.
      if (thread.asked.length === 0) thread.worker.unref()
    })
    thread.worker.on('error', failed)
    thread.worker.on('exit', (code) => failed(new Error(`The hashing thread ended with code ${code}.`)))
    return thread
  }
}
