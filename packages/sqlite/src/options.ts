/** Options of `sqlite()`. */
export interface SqliteOptions {
  /** The database file; made when missing. Its folder must exist, and must not be a network file system (SQLite's locks are not safe there). */
  readonly file: string
  /** How long a write may wait for other processes' locks, in ms. Default 30,000. */
  readonly lockTimeout?: number
  /** Whether a tag gets an index by itself at its third query over more than 1,000 documents. Default true. */
  readonly autoIndex?: boolean
}
