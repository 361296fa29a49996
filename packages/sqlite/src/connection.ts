import { DatabaseSync, type StatementSync } from 'node:sqlite'

/** One database connection with its prepared statements. */
export class Connection {
  readonly database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(file: string, readOnly: boolean) {
    // No busy timeout: waiting inside SQLite would stop this process's heartbeats. Waiting is asynchronous (with-lock.ts).
    this.database = new DatabaseSync(file, { readOnly, timeout: 0 })
    this.database.exec('PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY')
  }

  /** The prepared statement of a text; kept, up to a number. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.database.prepare(sql)
      if (this.#statements.size >= 200) this.#statements.clear()
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** Forgets prepared statements, e.g. because a new index gives better plans. */
  forget(): void {
    this.#statements.clear()
  }

  close(): void {
    this.#statements.clear()
    this.database.close()
  }
}
