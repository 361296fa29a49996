import { statSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { abortError, type ErrorPlace, HubError } from '@tensorhub/core'
import { Connection } from './connection.ts'
import { Readers } from './readers.ts'
import { Scanner } from './scanner.ts'
import { openSchema } from './schema.ts'
import { Shapes } from './shapes.ts'
import { sqlName } from './sql-name.ts'
import { Commits } from './watch.ts'
import { withLock } from './with-lock.ts'
import { type NewRow, WriteQueue } from './write-queue.ts'

/** One open database file: its connections, its queue of writes, and what is known about its tables. */
export class OpenFile {
  readonly path: string
  readonly lockTimeout: number
  readonly writer: Connection
  readonly readers: Readers
  readonly scanner: Scanner
  readonly shapes = new Shapes()
  readonly commits = new Commits()
  readonly queue: WriteQueue
  /** Collections whose tables were seen committed. Tables are never dropped. */
  readonly #tables = new Set<string>()
  readonly #identity: string | undefined

  private constructor(path: string, lockTimeout: number, writer: Connection, readers: Readers) {
    this.path = path
    this.lockTimeout = lockTimeout
    this.writer = writer
    this.readers = readers
    this.#identity = identityOf(path)
    this.scanner = new Scanner(path)
    this.shapes.refresh(writer)
    this.queue = new WriteQueue(writer, lockTimeout, {
      begun: () => this.shapes.refresh(writer),
      committing: () => this.#assertInPlace(),
      rolledBack: () => this.shapes.rolledBack(),
      committed: () => this.commits.committed(),
    })
  }

  /** @param given The caller's own handle, used for writing. @throws What SQLite gives; see errors.ts. */
  static async open(path: string, given: DatabaseSync | undefined, lockTimeout: number): Promise<OpenFile> {
    const writer = await withLock(() => new Connection(given ?? path, false), lockTimeout)
    try {
      await openSchema(writer, lockTimeout, { scheme: 'sqlite', op: 'open', target: path })
      const readers = await withLock(() => new Readers(path), lockTimeout)
      return new OpenFile(path, lockTimeout, writer, readers)
    } catch (error) {
      writer.close()
      throw error
    }
  }

  /** After the writes that were asked for. */
  async close(): Promise<void> {
    await this.queue.idle()
    await this.scanner.close()
    this.readers.close()
    this.writer.close()
  }

  /**
   * Queues a write.
   *
   * @param run One synchronous step inside the transaction.
   * @param single It is one statement, atomic by itself.
   * @param row What it stores, where that is one new row: several in a row become one statement.
   */
  write<T>(
    op: string,
    coll: string,
    signal: AbortSignal | undefined,
    run: (writer: Connection) => T,
    single = false,
    row?: NewRow,
  ): Promise<T> {
    const at = this.at(op, coll)
    if (signal?.aborted) return Promise.reject(abortError(signal, at))
    return this.queue.push(() => run(this.writer), signal, single, at, row)
  }

  /** An unlinked file takes writes without complaint, and gives its bytes back to the disk at the last close: what was acknowledged would be lost. */
  #assertInPlace(): void {
    if (identityOf(this.path) === this.#identity) return
    throw new HubError(
      'UNAVAILABLE',
      `${this.path} was deleted, moved or replaced while it was open, so nothing was written. Close this hub and connect again.`,
      { at: { scheme: 'sqlite', op: 'write', target: this.path }, reason: 'FILE_GONE' },
    )
  }

  /** Whether a collection has a table, as far as is known without asking. */
  isKnown(coll: string): boolean {
    return this.#tables.has(coll)
  }

  /** The collection's table was seen committed. */
  nowKnown(coll: string): void {
    this.#tables.add(coll)
  }

  /** Whether a reader finds the collection's table. */
  async isReadable(coll: string): Promise<boolean> {
    if (this.#tables.has(coll)) return true
    const rows = await this.readers.all(TABLE, [`c_${sqlName(coll)}`], undefined)
    if (rows.length > 0) this.#tables.add(coll)
    return rows.length > 0
  }

  /** Inside a write transaction: whether the collection has a table. */
  hasTable(coll: string): boolean {
    return this.#tables.has(coll) || this.writer.prepare(TABLE).get(`c_${sqlName(coll)}`) !== undefined
  }

  /** Inside a write transaction: makes the collection's table. */
  makeTable(coll: string): void {
    if (this.hasTable(coll)) return
    this.writer.database.exec(
      `CREATE TABLE IF NOT EXISTS "c_${sqlName(coll)}"(_id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL)`,
    )
  }

  at(op: string, coll: string): ErrorPlace {
    return { scheme: 'sqlite', op, target: `${this.path} ${coll}` }
  }
}

/** What tells a file from another one under the same name; undefined where there is none. */
function identityOf(path: string): string | undefined {
  const info = statSync(path, { bigint: true, throwIfNoEntry: false })
  return info && `${info.dev}:${info.ino}`
}

const TABLE = "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?"
