import type { DatabaseSync } from 'node:sqlite'

/** Options of `sqlite()`: `file` or `database`, and how it behaves. */
export interface SqliteOptions {
  /** The database file; made when missing. Its folder must exist, and must not be a network file system (SQLite's locks are not safe there). */
  readonly file?: string
  /** Instead of `file`: an open database of a file, used for writing and left open by `close`. No transaction may be open on it while the hub writes. */
  readonly database?: DatabaseSync
  /** How long a write may wait for other processes' locks, in ms. Default 30,000. */
  readonly lockTimeout?: number
  /** Whether a tag gets an index by itself at its third query over more than 1,000 documents. Default true. */
  readonly autoIndex?: boolean
}
