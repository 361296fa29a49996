import type { MongoClient, MongoClientOptions } from 'mongodb'

/** How a server is reached: a `url`, or a `client` of the MongoDB driver. */
export interface ConnectionOptions {
  /** `mongodb://user:password@host:27017/database?options` or `mongodb+srv://…`, with every option of MongoDB's connection strings. */
  readonly url?: string
  /** Instead of `url`: a client of the `mongodb` package, connected or not. `close` leaves it open. */
  readonly client?: MongoClient
  /** The database. Default: the one that the URL, or the client's own URL, names. */
  readonly database?: string
  /** Beside `url`: further options of the client, e.g. `{ tlsCAFile }`. A connection with such options is not shared with other drivers. */
  readonly clientOptions?: MongoClientOptions
  /** The bound for reaching the server, and for its silence within a request, in ms. Default 30,000. Of a `client` its own options hold. */
  readonly timeout?: number
}

export const CONNECTION_OPTIONS = ['url', 'client', 'database', 'clientOptions', 'timeout'] as const
export const DEFAULT_TIMEOUT = 30_000
