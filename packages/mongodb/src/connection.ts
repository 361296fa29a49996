import { type Call, type ErrorPlace, HubError, throwIfAborted } from '@tensorhub/core'
import { type ClientSession, type Db, MongoClient, type MongoClientOptions, ReadConcern, ReadPreference } from 'mongodb'
import { brokenConnections } from './broken-connections.ts'
import { type ConnectionOptions, DEFAULT_TIMEOUT } from './connection-options.ts'
import {
  type ErrorContext,
  isUnreachable,
  isWrongCredentials,
  mapMongoError,
  notMongoText,
  tellsOfLastTryOnly,
} from './errors.ts'
import { type Features, readFeatures, takesRetryableWrites } from './features.ts'
import { isOtherServer } from './other-server.ts'
import { invalid, OWN_PARAMETERS, readUrl } from './url.ts'

/** What there is while a driver is open. */
export interface Opened {
  readonly client: MongoClient
  /** The database: reads go to the primary, writes wait for a majority and its journals, int64 are bigints. */
  readonly db: Db
  readonly features: Features
}

/** Clients that drivers of one URL share within this process, by URL and timeout. The last to close closes it. */
const shared = new Map<string, { readonly opening: Promise<Omit<Opened, 'db'>>; users: number }>()

/**
 * One driver's way to its database. Index and blobs of one URL share a client (and its pool of sockets) within a process; a given client is used and never closed.
 */
export class Connection {
  readonly #url: string | undefined
  readonly #given: MongoClient | undefined
  readonly #clientOptions: MongoClientOptions | undefined
  readonly timeout: number
  readonly database: string
  #held: { opened: Opened; release: () => Promise<void> } | undefined

  /** @throws INVALID for options that contradict each other, or without a database. */
  constructor(factory: string, o: ConnectionOptions) {
    const { url, client, database, clientOptions, timeout = DEFAULT_TIMEOUT } = o
    if ((url === undefined) === (client === undefined))
      throw invalid(`${factory}() needs either a url or a client.`, 'url')
    if (url !== undefined && typeof url !== 'string') throw invalid(`${factory}(): url must be text.`, 'url')
    if (client !== undefined && (typeof client.db !== 'function' || typeof client.connect !== 'function'))
      throw invalid(`${factory}(): client must be a MongoClient of the package mongodb.`, 'client')
    if (client !== undefined && clientOptions !== undefined)
      throw invalid(`${factory}(): clientOptions go with a url; a client has its own.`, 'clientOptions')
    if (client !== undefined && o.timeout !== undefined)
      throw invalid(`${factory}(): timeout goes with a url; a client has its own options.`, 'timeout')
    if (typeof timeout !== 'number' || !(timeout >= 1))
      throw invalid(`${factory}(): timeout must be milliseconds from 1.`, 'timeout')
    const read = url === undefined ? undefined : readUrl(url)
    const own = Object.keys(read?.own ?? {})[0]
    if (own !== undefined) throw invalid(`${factory}(): '${own}' is an option beside url, not a part of it.`, 'url')
    const name = database ?? (client === undefined ? read?.database : client.db().databaseName)
    if (name === undefined || name === '')
      throw invalid(
        `${factory}(): name the database, as mongodb://host/DATABASE or by the option database.`,
        'database',
      )
    // https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
    if (!/^[^/\\. "$*<>:|?]{1,63}$/.test(name) || name.includes('\u0000'))
      throw invalid(`${factory}(): '${name}' is no name of a MongoDB database.`, 'database')
    this.#url = read?.url
    this.#given = client
    this.#clientOptions = clientOptions
    this.timeout = timeout
    this.database = name
  }

  /** The server, as errors name it: hosts and database, never credentials. */
  get place(): string {
    const hosts =
      this.#url === undefined
        ? (this.#given?.options.hosts ?? []).map(String).join(',')
        : this.#url.replace(/^[^:]*:\/\/(?:[^@/]*@)?/, '').replace(/\/.*$/, '')
    return `${hosts}/${this.database}`
  }

  /** What the driver's errors mean; for `wrapErrors`. */
  readonly mapError = (error: unknown, at: ErrorPlace) => mapMongoError(error, at, this.#context())

  get opened(): Opened {
    if (this.#held === undefined)
      throw new HubError('CLOSED', `The connection to MongoDB at ${this.place} is not open.`, {
        at: { scheme: 'mongodb', op: 'open' },
      })
    return this.#held.opened
  }

  get client(): MongoClient | undefined {
    return this.#held?.opened.client
  }

  /** Reaches the server, or joins who has reached it already; a repeated call is harmless. */
  async open(call: Call): Promise<Opened> {
    throwIfAborted(call.signal)
    if (this.#held !== undefined) return this.#held.opened
    const { client, features, release } = await this.#acquire()
    const opened: Opened = { client, features, db: databaseOf(client, this.database) }
    this.#held = { opened, release }
    return opened
  }

  async close(): Promise<void> {
    const held = this.#held
    this.#held = undefined
    await held?.release()
  }

  async #acquire(): Promise<Omit<Opened, 'db'> & { release: () => Promise<void> }> {
    if (this.#given !== undefined) {
      const client = await this.#given.connect()
      const { features, retryable } = await this.#ask(client)
      if (!retryable) throw this.#retriesRefused()
      return { client, features, release: async () => undefined }
    }
    if (this.#clientOptions !== undefined) {
      const made = await this.#connect()
      return { ...made, release: () => made.client.close() }
    }
    const key = `${this.timeout} ${this.#url}`
    let entry = shared.get(key)
    if (entry === undefined) {
      entry = { opening: this.#connect(), users: 0 }
      shared.set(key, entry)
    }
    const mine = entry
    mine.users++
    const leave = () => {
      mine.users--
      if (mine.users > 0) return false
      if (shared.get(key) === mine) shared.delete(key)
      return true
    }
    try {
      const made = await mine.opening
      return {
        ...made,
        release: async () => {
          if (leave()) await made.client.close()
        },
      }
    } catch (error) {
      leave()
      if (shared.get(key) === mine) shared.delete(key)
      throw error
    }
  }

  /**
   * A client that has been reached and let in. Users are often made in `admin` although they work in another database, while a URL with a database in its path means that
   * one; where the URL does not say which (`authSource`), both are tried.
   */
  async #connect(): Promise<Omit<Opened, 'db'>> {
    const url = this.#url as string
    try {
      return await this.#reach({})
    } catch (error) {
      const login = /^mongodb:\/\/[^@/]+@/.test(url)
      const says = /[?&]auth(Source|Mechanism)=/i.test(url) || this.#clientOptions?.authSource !== undefined
      if (!isWrongCredentials(error) || !login || says || /\/(admin)?(\?|$)/.test(url.slice('mongodb://'.length)))
        throw error
      try {
        return await this.#reach({ authSource: 'admin' })
      } catch (second) {
        throw isWrongCredentials(second) ? error : second
      }
    }
  }

  async #reach(more: MongoClientOptions): Promise<Omit<Opened, 'db'>> {
    const url = this.#url as string
    // What the URL says itself goes before our bounds.
    const bounds = ['serverSelectionTimeoutMS', 'connectTimeoutMS', 'socketTimeoutMS']
    const said = (name: string) => new RegExp(`[?&]${name}=`, 'i').test(url)
    const options: MongoClientOptions = {
      appName: 'tensorhub',
      ...Object.fromEntries(bounds.filter((name) => !said(name)).map((name) => [name, this.timeout])),
      ...this.#clientOptions,
      ...more,
      // Connecting looks for a server to read from, and where there are no secondaries would find none.
      readPreference: ReadPreference.primary,
    }
    if (said('appName') && this.#clientOptions?.appName === undefined) delete options.appName
    let client: MongoClient
    try {
      client = new MongoClient(url, options)
    } catch (error) {
      // The reader of connection strings may repeat them whole, so neither its error nor its text is handed on, but for an option's name.
      const option = /options? ([A-Za-z0-9, ]+?) (is|are) not supported/.exec(String((error as Error).message))?.[1]
      throw invalid(
        option === undefined
          ? `The MongoDB driver cannot use the URL or options for ${this.place} (${reasonOf(error)}).`
          : `The URL's parameter '${option}' is not known; known are ${OWN_PARAMETERS.join(', ')}, and the options of MongoDB's connection strings.`,
        option ?? 'url',
      )
    }
    try {
      await client.connect()
      const { features, retryable } = await this.#ask(client)
      if (retryable) return { client, features }
      if (said('retryWrites') || options.retryWrites !== undefined) throw this.#retriesRefused()
    } catch (error) {
      // What failed first is what the caller needs to know.
      await client.close().catch(() => undefined)
      if (isUnreachable(error) && (await isOtherServer(client))) throw notTheStore(this.place, error)
      throw error
    }
    // Another client takes its place; how this one ends is of no consequence.
    await client.close().catch(() => undefined)
    return this.#reach({ ...more, retryWrites: false })
  }

  async #ask(client: MongoClient): Promise<{ features: Features; retryable: boolean }> {
    const db = databaseOf(client, this.database)
    // Both at once: to a far server one after the other is what costs.
    const [features, retryable] = await Promise.all([
      readFeatures(db),
      client.options.retryWrites === false || takesRetryableWrites(db),
    ])
    return { features, retryable }
  }

  #retriesRefused(): HubError {
    return new HubError(
      'UNSUPPORTED',
      `MongoDB at ${this.place} does not take retryable writes, which the client sends. Set retryWrites=false.`,
      { at: { scheme: 'mongodb', op: 'open' }, reason: 'CAPABILITY' },
    )
  }

  /** Whether the MongoDB driver itself repeats a write whose reply was lost. */
  get retriesWrites(): boolean {
    const retryWrites = this.#held?.opened.client.options.retryWrites ?? true
    const features = this.#held?.opened.features
    return retryWrites && features?.replicated === true && features.sessions
  }

  /**
   * Where the MongoDB driver repeats a write whose reply was lost, only the last try's error is told. @returns whether an error leaves open that an earlier try, since this was called,
   * did the write.
   */
  doubt(): (error: unknown) => boolean {
    const { client } = this.opened
    const broken = brokenConnections(client)
    return (error) => this.retriesWrites && brokenConnections(client) !== broken && tellsOfLastTryOnly(error)
  }

  #context(): ErrorContext {
    return { place: this.place, timeout: this.timeout }
  }
}

/** The driver's message, when it is one of its plain complaints that name nothing of the URL. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : ''
  return /^[A-Za-z0-9 ,'"._-]{1,120}$/.test(message) && !message.includes('Invalid connection string')
    ? message
    : 'its form is wrong'
}

function notTheStore(place: string, cause: unknown): HubError {
  const at = { scheme: 'mongodb', op: 'open' }
  return new HubError('UNAVAILABLE', notMongoText(place), { at, reason: 'NOT_THE_STORE', cause })
}

/** Whatever the client's own options say: TensorHub's promises need these. */
const PROMISED = {
  readPreference: ReadPreference.primary,
  readConcern: new ReadConcern('local'),
  writeConcern: { w: 'majority', journal: true },
} as const

/** For transactions, which take their options from the client and not from the database. */
export function startSession(client: MongoClient): ClientSession {
  return client.startSession({ defaultTransactionOptions: PROMISED })
}

function databaseOf(client: MongoClient, name: string): Db {
  return client.db(name, {
    ...PROMISED,
    promoteValues: true,
    promoteLongs: true,
    promoteBuffers: false,
    useBigInt64: true,
    ignoreUndefined: false,
    serializeFunctions: false,
    raw: false,
  })
}
