import { HubError } from '@tensorhub/core'
import type { Connection } from './connection.ts'
import { withLock } from './with-lock.ts'

interface Write {
  readonly run: () => unknown
  readonly signal: AbortSignal | undefined
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
}

/** So many writes, or so many ms of them, share one transaction. */
const MOST_WRITES = 2000
const MOST_MS = 50

/**
 * Group commit: writes that were asked for in one turn of the event loop share a transaction and its fsync. Each stands alone inside it (a
 * savepoint), and none is answered before COMMIT has returned.
 */
export class WriteQueue {
  readonly #connection: () => Connection
  readonly #lockTimeout: number
  readonly #rolledBack: () => void
  #waiting: Write[] = []
  #draining: Promise<void> | undefined

  constructor(connection: () => Connection, lockTimeout: number, rolledBack: () => void) {
    this.#connection = connection
    this.#lockTimeout = lockTimeout
    this.#rolledBack = rolledBack
  }

  /** Queues a write: a synchronous function on the write connection, inside the transaction. */
  push<T>(run: () => T, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, signal, resolve: resolve as (value: never) => void, reject })
      this.#draining ??= this.#drain()
    })
  }

  /** Resolves when nothing is queued any more. */
  async idle(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining
  }

  async #drain(): Promise<void> {
    // One turn of the event loop gathers what is asked for at the same time.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) await this.#transaction()
    this.#draining = undefined
  }

  async #transaction(): Promise<void> {
    const connection = this.#connection()
    const database = connection.database
    try {
      await withLock(() => database.exec('BEGIN IMMEDIATE'), this.#lockTimeout)
    } catch (error) {
      const failed = this.#waiting
      this.#waiting = []
      for (const write of failed) write.reject(error)
      return
    }
    const started = performance.now()
    const done: { write: Write; result: unknown }[] = []
    let taken = 0
    try {
      for (const write of this.#waiting) {
        if (taken >= MOST_WRITES || (taken > 0 && performance.now() - started > MOST_MS)) break
        taken++
        if (write.signal?.aborted) {
          write.reject(new HubError('ABORTED', 'The operation was aborted.', { at: { scheme: 'sqlite', op: 'write' }, cause: write.signal.reason }))
          continue
        }
        database.exec('SAVEPOINT w')
        try {
          const result = write.run()
          database.exec('RELEASE w')
          done.push({ write, result })
        } catch (error) {
          // A full disk or an I/O error ends the whole transaction; then every write in it has failed.
          if (!database.isTransaction) {
            write.reject(error)
            throw error
          }
          database.exec('ROLLBACK TO w; RELEASE w')
          this.#rolledBack()
          write.reject(error)
        }
      }
      database.exec('COMMIT')
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      this.#rolledBack()
      for (const { write } of done) write.reject(error)
      this.#waiting.splice(0, taken)
      return
    }
    this.#waiting.splice(0, taken)
    for (const { write, result } of done) write.resolve(result as never)
  }
}
