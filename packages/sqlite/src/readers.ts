import { throwIfAborted } from '@tensorhub/core'
import { Connection } from './connection.ts'
import { isBusy } from './errors.ts'
import type { SqlValue } from './filter.ts'
import { SHAPES_VERSION } from './shapes.ts'
import { sqlName } from './sql-name.ts'
import { withLock } from './with-lock.ts'

type Row = Record<string, unknown>

/** Rows a batch has at most, and ms it takes at most, before the event loop gets its turn. */
export const BATCH_ROWS = 256
const BATCH_MS = 8
const LOCK_TIMEOUT = 30_000

/**
 * Read-only connections. A read that spans several batches keeps one for itself, so that it sees one snapshot while writes go on; short reads
 * share the first.
 */
export class Readers {
  readonly #file: string
  readonly #short: Connection
  #free: Connection[] = []
  #closed = false

  constructor(file: string) {
    this.#file = file
    this.#short = new Connection(file, true)
  }

  /** All rows of a short read. */
  async all(sql: string, params: readonly SqlValue[], signal: AbortSignal | undefined): Promise<Row[]> {
    throwIfAborted(signal)
    return withLock(() => this.#short.prepare(sql).all(...params) as Row[], LOCK_TIMEOUT, signal)
  }

  /** The rows of a short read at once, their columns by number (`row[0]`); undefined when a lock is in the way. */
  now(sql: string, params: readonly SqlValue[]): Readonly<Record<number, unknown>>[] | undefined {
    try {
      return this.#short.prepareArrays(sql).all(...params)
    } catch (error) {
      if (isBusy(error)) return undefined
      throw error
    }
  }

  /** The highest row of the shapes, as of now. */
  shapesVersion(): number {
    return (this.#short.prepare(`SELECT (${SHAPES_VERSION}) AS v`).get() as Row)['v'] as number
  }

  /** About how many rows a table has; never less by much, since rows are numbered upwards. */
  rowsAbout(coll: string): number {
    return (this.#short.prepare(`SELECT coalesce(max(rowid),0) AS n FROM "c_${sqlName(coll)}"`).get() as Row)[
      'n'
    ] as number
  }

  /** The bodies of a query in batches. With a small `limit` it is read at once. */
  async *batches(
    sql: string,
    params: readonly SqlValue[],
    limit: number | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly string[], void, undefined> {
    if (limit !== undefined && limit <= BATCH_ROWS) {
      yield (await this.all(sql, params, signal)).map((row) => row['body'] as string)
      return
    }
    throwIfAborted(signal)
    const connection = this.#free.pop() ?? new Connection(this.#file, true)
    let held = true
    const release = () => {
      if (!held) return
      held = false
      rows?.return?.()
      if (this.#closed || this.#free.length >= 4) connection.close()
      else this.#free.push(connection)
    }
    let rows: Iterator<Row> | undefined
    try {
      const statement = connection.database.prepare(sql)
      const read = () => {
        rows ??= statement.iterate(...params) as Iterator<Row>
        const bodies: string[] = []
        const until = performance.now() + BATCH_MS
        for (;;) {
          const { done, value } = rows.next()
          if (done === true) {
            // In the same step as it was taken, where few rows match: a thousand such reads at once need one connection, not a thousand.
            release()
            return { bodies, done: true }
          }
          bodies.push(value['body'] as string)
          if (bodies.length >= BATCH_ROWS || performance.now() > until) return { bodies, done: false }
        }
      }
      for (;;) {
        throwIfAborted(signal)
        // Only the first step can meet a lock (recovery of the log); then nothing has been read yet.
        const batch = await withLock(read, LOCK_TIMEOUT, signal)
        yield batch.bodies
        if (batch.done) return
        await new Promise((resolve) => setImmediate(resolve))
      }
    } finally {
      release()
    }
  }

  /** Changes whenever anybody else commits: our own write connection, or another process. */
  dataVersion(): number {
    return (this.#short.prepare('PRAGMA data_version').get() as Row)['data_version'] as number
  }

  /** How SQLite would run a statement, in its own words. */
  async explain(sql: string, params: readonly SqlValue[]): Promise<string[]> {
    // EXPLAIN begins no transaction, and so does not see that others made an index; a read does, and then SQLite loads the schema anew.
    await this.all('SELECT count(*) FROM sqlite_schema', [], undefined)
    const rows = this.#short.database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...params) as Row[]
    return rows.map((row) => row['detail'] as string)
  }

  close(): void {
    this.#closed = true
    for (const connection of [this.#short, ...this.#free]) connection.close()
    this.#free = []
  }
}
