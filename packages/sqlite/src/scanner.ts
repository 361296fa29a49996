import { Worker } from 'node:worker_threads'
import { abortError, HubError, throwIfAborted } from '@tensorhub/core'
import type { SqlValue } from './filter.ts'

export type Request =
  | { readonly id: number; readonly kind: 'rows' | 'count'; readonly sql: string; readonly params: readonly SqlValue[] }
  | { readonly id: number; readonly kind: 'stop' }
  | { readonly id: number; readonly kind: 'write'; readonly sql: string }

export type Reply = { readonly id: number } & (
  | { readonly bodies: readonly string[] | undefined }
  | { readonly count: number }
  | { readonly error: { readonly message: string; readonly code: number | undefined } }
)

interface Waiting {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}

/**
 * A worker thread with connections of its own, for statements that visit many rows before they give one (no index serves them): the event loop
 * stays free. Started at the first such statement; it does not keep the process alive.
 */
export class Scanner {
  readonly #file: string
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #last = 0

  constructor(file: string) {
    this.#file = file
  }

  /** The bodies of a query in batches; each sees the snapshot of the first. */
  async *batches(
    sql: string,
    params: readonly SqlValue[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly string[], void, undefined> {
    const id = ++this.#last
    let ended = false
    try {
      for (;;) {
        const reply = await this.#ask({ id, kind: 'rows', sql, params }, signal)
        const bodies = 'bodies' in reply ? reply.bodies : undefined
        if (bodies === undefined) {
          ended = true
          return
        }
        yield bodies
      }
    } finally {
      if (!ended) this.#worker?.postMessage({ id, kind: 'stop' } satisfies Request)
    }
  }

  /** The `n` of a query's only row. */
  async count(sql: string, params: readonly SqlValue[], signal: AbortSignal | undefined): Promise<number> {
    const reply = await this.#ask({ id: ++this.#last, kind: 'count', sql, params }, signal)
    return 'count' in reply ? reply.count : 0
  }

  /** Runs statements in a transaction of their own. A held lock is SQLite's busy error at once. */
  async write(sql: string): Promise<void> {
    await this.#ask({ id: ++this.#last, kind: 'write', sql }, undefined)
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
    this.#fail(
      new HubError('CLOSED', 'The index was closed while a query ran.', { at: { scheme: 'sqlite', op: 'read' } }),
    )
  }

  #ask(request: Request, signal: AbortSignal | undefined): Promise<Reply> {
    throwIfAborted(signal)
    return new Promise((resolve, reject) => {
      const abort = () => {
        settle()
        if (signal) reject(abortError(signal))
      }
      const settle = () => {
        this.#waiting.delete(request.id)
        signal?.removeEventListener('abort', abort)
        if (this.#waiting.size === 0) this.#worker?.unref()
      }
      this.#waiting.set(request.id, {
        resolve: (reply) => {
          settle()
          resolve(reply)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      })
      signal?.addEventListener('abort', abort, { once: true })
      const worker = this.#started()
      worker.ref()
      worker.postMessage(request)
    })
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(
      new URL(import.meta.url.endsWith('.ts') ? './scan-worker.ts' : './scan-worker.js', import.meta.url),
      { workerData: this.#file },
    )
    const ended = (cause: unknown) => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#fail(cause)
    }
    worker.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id)
      if ('error' in reply) waiting?.reject(asSqliteError(reply.error))
      else waiting?.resolve(reply)
    })
    worker.on('error', (cause) => ended(cause))
    worker.on('exit', (code) =>
      ended(
        new HubError('UNKNOWN', `SQLite's worker thread ended with code ${code}.`, {
          at: { scheme: 'sqlite', op: 'read' },
          retryable: true,
        }),
      ),
    )
    this.#worker = worker
    return worker
  }

  #fail(error: unknown): void {
    for (const waiting of [...this.#waiting.values()]) waiting.reject(error)
  }
}

/** Errors lose their extra fields on the way between threads; `mapError` needs SQLite's code. */
function asSqliteError({ message, code }: { readonly message: string; readonly code: number | undefined }): Error {
  const error = new Error(message)
  return code === undefined ? error : Object.assign(error, { code: 'ERR_SQLITE_ERROR', errcode: code })
}
