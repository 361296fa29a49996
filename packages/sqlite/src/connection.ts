import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { HubError } from '@tensorhub/core'

/** One database connection with its prepared statements. */
export class Connection {
  readonly database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #ofArrays = new Map<string, StatementSync>()
  readonly #own: boolean

  /** @param source a file's path, or the caller's own handle, which is never closed here. */
  constructor(source: string | DatabaseSync, readOnly: boolean) {
    this.#own = typeof source === 'string'
    // No busy timeout: waiting inside SQLite would stop this process's heartbeats. Waiting is asynchronous (with-lock.ts).
    this.database = typeof source === 'string' ? new (engine().DatabaseSync)(source, { readOnly, timeout: 0 }) : source
    try {
      // The log grows while a long read keeps its snapshot; the limit gives the space back afterwards.
      // No mmap: a file that someone cuts short would end the process by SIGBUS, where a plain read gives an error.
      this.database.exec(
        'PRAGMA busy_timeout=0; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864',
      )
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The prepared statement of a text; kept, up to a number. SQLite prepares it anew by itself when the schema changes. */
  prepare(sql: string): StatementSync {
    return this.#statements.get(sql) ?? this.#keep(this.#statements, sql)
  }

  /** The same, whose rows are arrays of values in the order of the columns: they cost less than objects. */
  prepareArrays(sql: string): StatementSync {
    const known = this.#ofArrays.get(sql)
    if (known !== undefined) return known
    const statement = this.#keep(this.#ofArrays, sql)
    statement.setReturnArrays(true)
    return statement
  }

  #keep(statements: Map<string, StatementSync>, sql: string): StatementSync {
    const statement = this.database.prepare(sql)
    if (statements.size >= 200) statements.clear()
    statements.set(sql, statement)
    return statement
  }

  close(): void {
    this.#statements.clear()
    this.#ofArrays.clear()
    if (this.#own) this.database.close()
  }
}

/** Node's own SQLite, asked for only when a database is opened: a hub on servers runs without it. */
function engine(): typeof import('node:sqlite') {
  const found = process.getBuiltinModule('node:sqlite')
  if (found === undefined) {
    throw new HubError(
      'UNSUPPORTED',
      `This is Node ${process.versions.node} without node:sqlite; the embedded index needs Node 22.18 or later.`,
      { at: { scheme: 'sqlite', op: 'open' }, reason: 'NODE_VERSION' },
    )
  }
  return found
}
