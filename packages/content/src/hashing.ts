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
const { parentPort, workerData } = require('node:worker_threads')
let hash = createHash('sha256')
parentPort.on('message', ({ at, length, last }) => {
  hash.update(new Uint8Array(workerData, at, length))
  parentPort.postMessage(last ? hash.digest('hex') : '')
  if (last) hash = createHash('sha256')
})`

/** Bytes hashed between two turns of the event loop: well below a millisecond. */
const STEP = 1048576

/**
 * Memory shared with one thread: blocks that are filled in turn. So little stays in the processor's cache: copying through it is twice as fast as into
 * 16 MiB at a time (measured), and what the thread reads is still there.
 */
const BLOCK = 1048576
const BLOCKS = 4

/** A thread's own heap holds messages and little else; left alone, it grows to tens of MiB before it is cleaned. */
const SMALL = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 }

interface Job {
  readonly bytes: Uint8Array
  /** From so many threads on no other is begun for it. */
  readonly threads: number
  readonly resolve: (hex: string) => void
  readonly reject: (error: Error) => void
}

/** A thread, the jobs that it has not answered yet, in order, and the last of them while some of its bytes are not handed over. It answers in order. */
interface Thread {
  readonly worker: Worker
  readonly shared: Uint8Array
  readonly asked: Job[]
  feeding: { readonly job: Job; at: number } | undefined
  freeBlocks: number
  nextBlock: number
}

/**
 * Hashes on worker threads. Bytes are copied into memory shared with the thread, a block at a time: posting them would copy too, and slower (measured 5×).
 * While every thread is being handed a job, this thread hashes one of those that wait, without a copy and in steps that keep the event loop alive:
 * only copying for others would leave it idle for most of the time.
 */
export class HashPool {
  readonly #size: number
  readonly #threads: Thread[] = []
  readonly #waiting: Job[] = []
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
    const hex = await new Promise<string>((resolve, reject) => {
      this.#waiting.push({ bytes, threads, resolve, reject })
      this.#distribute()
    })
    return `sha256:${hex}`
  }

  /** Ends all threads; the next job starts new ones. For tests of threads that die. */
  async terminate(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #distribute(): void {
    for (let job = this.#waiting[0]; job !== undefined; job = this.#waiting[0]) {
      const thread = this.#threadFor(job)
      if (thread === undefined) break
      this.#waiting.shift()
      thread.asked.push(job)
      thread.feeding = { job, at: 0 }
      thread.worker.ref()
      feed(thread)
    }
    if (this.#waiting.length > 0 && !this.#hashesHere) void this.#hashHere()
  }

  /** A thread that has nothing to do, else a new one, else one that has been handed all of its jobs, so that it need not wait for the next. */
  #threadFor(job: Job): Thread | undefined {
    const idle = this.#threads.find(({ asked }) => asked.length === 0)
    if (idle !== undefined) return idle
    if (this.#threads.length < job.threads) return this.#begin()
    return this.#threads.find(({ feeding, freeBlocks }) => feeding === undefined && freeBlocks > 0)
  }

  async #hashHere(): Promise<void> {
    this.#hashesHere = true
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) {
      const hash = createHash('sha256')
      for (let at = 0; at < job.bytes.byteLength; at += STEP) {
        hash.update(job.bytes.subarray(at, at + STEP))
        await new Promise((resolve) => setImmediate(resolve))
      }
      job.resolve(hash.digest('hex'))
    }
    this.#hashesHere = false
  }

  #begin(): Thread {
    const shared = new SharedArrayBuffer(BLOCK * BLOCKS)
    const thread: Thread = {
      worker: new Worker(THREAD, { eval: true, execArgv: [], resourceLimits: SMALL, workerData: shared }),
      shared: new Uint8Array(shared),
      asked: [],
      feeding: undefined,
      freeBlocks: BLOCKS,
      nextBlock: 0,
    }
    this.#threads.push(thread)
    // A thread that failed is not asked again.
    const failed = (error: Error) => {
      const at = this.#threads.indexOf(thread)
      if (at >= 0) this.#threads.splice(at, 1)
      thread.feeding = undefined
      for (const { reject } of thread.asked.splice(0)) reject(error)
    }
    thread.worker.on('message', (hex: string) => {
      thread.freeBlocks++
      feed(thread)
      if (hex !== '') thread.asked.shift()?.resolve(hex)
      if (thread.feeding === undefined) this.#distribute()
      // Idle threads must not keep the process alive.
      if (thread.asked.length === 0) thread.worker.unref()
    })
    thread.worker.on('error', failed)
    thread.worker.on('exit', (code) => failed(new Error(`The hashing thread ended with code ${code}.`)))
    return thread
  }
}

/** Hands over as much of the thread's last job as there are free blocks for; a job without bytes takes one too. */
function feed(thread: Thread): void {
  while (thread.feeding !== undefined && thread.freeBlocks > 0) {
    const { job, at } = thread.feeding
    const block = job.bytes.subarray(at, at + BLOCK)
    const last = at + block.byteLength === job.bytes.byteLength
    const place = thread.nextBlock * BLOCK
    thread.shared.set(block, place)
    thread.worker.postMessage({ at: place, length: block.byteLength, last })
    thread.freeBlocks--
    thread.nextBlock = (thread.nextBlock + 1) % BLOCKS
    if (last) thread.feeding = undefined
    else thread.feeding.at += block.byteLength
  }
}
