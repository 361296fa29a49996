import { abortError, type ErrorPlace, HubError } from '@tensorhub/core'
import type { Connection } from './connection.ts'
import { mapError } from './errors.ts'
import { withLock } from './with-lock.ts'

/** One new row, as what several of them become one statement. */
export interface NewRow {
  /** `INSERT INTO … VALUES`, without the values. */
  readonly into: string
  readonly values: readonly [id: string, body: string]
  /** What has to be done before, in the same transaction. */
  readonly prepare: () => void
}

interface Write {
  readonly run: () => unknown
  /** What `run` stores, where that is one new row. */
  readonly row: NewRow | undefined
  /** One statement, atomic by itself: needs no savepoint. */
  readonly single: boolean
  /** Where its failure is said to be. */
  readonly at: ErrorPlace
  readonly signal: AbortSignal | undefined
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
  /** Listens to the signal. */
  withdraw: (() => void) | undefined
  /** What to answer once the transaction has been committed. */
  result: unknown
  failure: { readonly error: unknown } | undefined
}

/** So many writes, or so many ms of them, share one transaction. */
const MOST_WRITES = 2000
const MOST_MS = 50
/** New rows that one statement stores: a sixth less time than one by one, with the same indexes (measured with 1,000). */
const ROWS = 40
const SEVERAL = Array.from({ length: ROWS }, () => '(?,?)').join(',')

const AT = { scheme: 'sqlite', op: 'write' }

/**
 * Group commit: writes that were asked for in one turn of the event loop share a transaction and its fsync. Each stands alone inside it (a
 * savepoint), and none is answered before COMMIT has returned.
 */
export class WriteQueue {
  readonly #connection: Connection
  readonly #lockTimeout: number
  readonly #begun: () => void
  readonly #committing: () => void
  readonly #rolledBack: () => void
  readonly #committed: () => void
  #waiting: Write[] = []
  #alone: (() => Promise<void>)[] = []
  #draining: Promise<void> | undefined

  constructor(
    connection: Connection,
    lockTimeout: number,
    on: {
      readonly begun: () => void
      /** Throws to have the transaction rolled back. */
      readonly committing: () => void
      readonly rolledBack: () => void
      readonly committed: () => void
    },
  ) {
    this.#connection = connection
    this.#lockTimeout = lockTimeout
    this.#begun = on.begun
    this.#committing = on.committing
    this.#rolledBack = on.rolledBack
    this.#committed = on.committed
  }

  /** Queues a write: a synchronous function on the write connection, inside the transaction. Aborting takes it out while it still waits. */
  push<T>(
    run: () => T,
    signal: AbortSignal | undefined,
    single: boolean,
    at: ErrorPlace,
    row?: NewRow | undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const write: Write = {
        run,
        row,
        single,
        at,
        signal,
        resolve,
        reject,
        withdraw: undefined,
        result: undefined,
        failure: undefined,
      }
      this.#waiting.push(write)
      if (signal !== undefined) {
        write.withdraw = () => this.#withdraw(write, signal)
        signal.addEventListener('abort', write.withdraw, { once: true })
      }
      this.#draining ??= this.#drain()
    })
  }

  /** Queues work done elsewhere that takes the write lock itself: no transaction of this queue runs meanwhile. */
  alone(work: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#alone.push(() => work().then(resolve, reject))
      this.#draining ??= this.#drain()
    })
  }

  /** Resolves when nothing is queued any more. */
  async idle(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining
  }

  #withdraw(write: Write, signal: AbortSignal): void {
    const i = this.#waiting.indexOf(write)
    if (i < 0) return
    this.#waiting.splice(i, 1)
    write.reject(abortError(signal, AT))
  }

  async #drain(): Promise<void> {
    // One turn of the event loop gathers what is asked for at the same time.
    await new Promise((resolve) => setImmediate(resolve))
    for (;;) {
      const work = this.#alone.shift()
      if (work !== undefined) await work()
      else if (this.#waiting.length > 0) await this.#transaction()
      else break
    }
    this.#draining = undefined
  }

  async #transaction(): Promise<void> {
    try {
      await withLock(() => {
        // Waiting for the lock, all may have been withdrawn.
        if (this.#waiting.length === 0) return
        this.#connection.prepare('BEGIN IMMEDIATE').run()
        this.#run()
      }, this.#lockTimeout)
    } catch (error) {
      for (const write of this.#waiting.splice(0)) answer(write, { error })
    }
  }

  /** The transaction itself, in one synchronous step: nothing of this process can come between. */
  #run(): void {
    const { database } = this.#connection
    const started = performance.now()
    const taken: Write[] = []
    let next = 0
    /** Writes that are not tried together again: one of them fails. */
    let apart = 0
    try {
      this.#begun()
      while (next < this.#waiting.length) {
        if (next >= MOST_WRITES || (next > 0 && performance.now() - started > MOST_MS)) break
        if (apart === 0) {
          const several = this.#rowsFrom(next)
          if (several !== undefined) {
            if (this.#insertTogether(several)) {
              taken.push(...several)
              next += ROWS
              continue
            }
            apart = ROWS
          }
        } else apart--
        const write = this.#waiting[next++] as Write
        taken.push(write)
        if (!write.single) this.#connection.prepare('SAVEPOINT w').run()
        try {
          write.result = write.run()
          if (!write.single) this.#connection.prepare('RELEASE w').run()
        } catch (error) {
          // A full disk or an I/O error ends the whole transaction; then every write in it has failed.
          if (!database.isTransaction) throw error
          if (!write.single) {
            database.exec('ROLLBACK TO w; RELEASE w')
            this.#rolledBack()
          }
          write.failure = { error }
        }
      }
      this.#committing()
      this.#connection.prepare('COMMIT').run()
    } catch (error) {
      this.#rolledBack()
      const failure = { error: this.#undo(error) }
      // It could not even begin: then that is the answer to all who wait, or, where another's lock was in the way, it is tried again.
      if (taken.length === 0) throw failure.error
      this.#waiting.splice(0, taken.length)
      for (const write of taken) answer(write, failure)
      return
    }
    this.#waiting.splice(0, taken.length)
    this.#committed()
    for (const write of taken) answer(write, write.failure)
  }

  /** The next writes where all of them are new rows of one table. */
  #rowsFrom(next: number): readonly Write[] | undefined {
    const into = this.#waiting[next]?.row?.into
    if (into === undefined) return undefined
    for (let i = 1; i < ROWS; i++) if (this.#waiting[next + i]?.row?.into !== into) return undefined
    return this.#waiting.slice(next, next + ROWS)
  }

  /** Stores rows by one statement, which stores all or none. @returns false when it failed: each then is tried by itself. */
  #insertTogether(writes: readonly Write[]): boolean {
    const values: string[] = []
    try {
      for (const { row } of writes) {
        row?.prepare()
        values.push(...(row?.values ?? []))
      }
      this.#connection.prepare(`${writes[0]?.row?.into}${SEVERAL}`).run(...values)
      return true
    } catch (error) {
      if (!this.#connection.database.isTransaction) throw error
      return false
    }
  }

  #undo(error: unknown): unknown {
    const { database } = this.#connection
    if (!database.isTransaction) return error
    try {
      database.exec('ROLLBACK')
      return error
    } catch (cause) {
      return new HubError(
        'UNKNOWN',
        'A transaction failed and could not be undone; whether its changes were stored is not known.',
        { at: AT, cause: new AggregateError([error, cause]) },
      )
    }
  }
}

function answer(write: Write, failure: { readonly error: unknown } | undefined): void {
  if (write.withdraw !== undefined) write.signal?.removeEventListener('abort', write.withdraw)
  if (failure === undefined) write.resolve(write.result as never)
  else write.reject(mapError(failure.error, write.at))
}
