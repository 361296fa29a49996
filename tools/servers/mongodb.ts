import { MongoClient } from 'mongodb'
import { SECANTUS_PYTHON } from './install/recipes.ts'
import { locate } from './locate.ts'
import { startMongod } from './mongod.ts'
import { createUser, type MongoAuth, type MongoRole } from './mongodb-user.ts'
import { notOurs, ownServer } from './own-server.ts'
import { type RunningServer, startServer } from './server.ts'
import { SOURCES, type Sources } from './sources.ts'

export interface MongoServer extends RunningServer {
  /** `mongodb://127.0.0.1:PORT` without a database and without credentials; a test appends its own. */
  readonly url: string
  /** The user of `auth`, with the database it is known in; undefined where anybody may do anything. */
  readonly auth?: MongoAuth
  /** The whole connection string of a database, with the user of `auth`. */
  urlOf(database: string): string
}

export interface MongoOptions {
  /** No replica set: no change streams, no transactions. mongo-java-server always is. */
  readonly standalone?: boolean
  /**
   * `secantus` (the default): SecantusDB, speaks MongoDB 8.2; its Python server where the Rust one can't be had, MongoDB itself in
   * a container where neither can.
   * `java`: mongo-java-server, in memory, standalone, without sessions: `kill` loses its data.
   */
  readonly kind?: 'secantus' | 'secantus-python' | 'java'
  /** A server that refuses everybody but this user, which is made in `db` (`admin`). The role is `root` when none is given. */
  readonly auth?: {
    readonly username: string
    readonly password: string
    readonly db?: string
    readonly roles?: readonly MongoRole[]
  }
}

/** TENSORHUB_TEST_MONGODB when it is set and nothing special is asked for; else a server of our own. */
export async function startMongo(o: MongoOptions = {}): Promise<MongoServer> {
  const { kind = 'secantus', auth } = o
  const own = o.kind === undefined && auth === undefined && o.standalone !== true ? ownServer('mongodb') : undefined
  if (own !== undefined) return ofUrl(own)
  if (kind === 'java') {
    if (auth !== undefined) throw new Error('mongo-java-server knows no authentication')
    const { name, from, command } = await locate(SOURCES['mongodb-java'])
    const [program, ...args] = command
    return withUrl(await startServer(name, ({ port }) => ({ program, args: [...args, String(port)] }), { from }))
  }
  let guarded = false
  const sources: Sources = kind === 'secantus' ? SOURCES.mongodb : SOURCES['mongodb-python']
  const located = await locate(sources)
  const { name } = located
  const python = name === SECANTUS_PYTHON.name
  if (python && (o.standalone || auth)) throw new Error(`${name} is not started standalone or with authentication here`)
  const { standalone = false } = o
  const server =
    located.from === 'container'
      ? await startMongod(located, { standalone, guarded: () => guarded })
      : await startServer(
          name,
          ({ port, data }) => {
            const [program, ...first] = located.command
            const args = [...first, '--host', '127.0.0.1', '--port', String(port), '--storage-path', data]
            if (!python) args.push('--cache-size', '256M', '--sync-on-commit')
            if (standalone) args.push('--standalone')
            if (guarded) args.push('--auth')
            return { program, args }
          },
          { from: located.from },
        )
  if (auth === undefined) {
    if (located.from !== 'container') await firstWrite(`mongodb://127.0.0.1:${server.port}`)
    return withUrl(server)
  }
  const { username, password, db = 'admin', roles = [{ role: 'root', db: 'admin' }] } = auth
  try {
    await createUser(`mongodb://127.0.0.1:${server.port}`, { username, password, authSource: db }, roles)
    await server.kill()
    guarded = true
    await server.start()
  } catch (error) {
    await server.stop()
    throw error
  }
  return withUrl(server, { username, password, authSource: db })
}

/**
 * SecantusDB listens before the tables that it makes at its first start are on disk: killed within those milliseconds it never
 * starts again (11 of 25 tries; "cannot be used until all column groups are created"). With one acknowledged write they are (0 of 25).
 */
async function firstWrite(url: string): Promise<void> {
  const client = new MongoClient(url, { directConnection: true, serverSelectionTimeoutMS: 30_000 })
  try {
    const database = client.db('tensorhub_started')
    await database.collection('started').insertOne({})
    await database.dropDatabase()
  } finally {
    await client.close()
  }
}

function withUrl(server: RunningServer, auth?: MongoAuth): MongoServer {
  const url = `mongodb://127.0.0.1:${server.port}`
  const user = auth && `${encodeURIComponent(auth.username)}:${encodeURIComponent(auth.password)}@`
  return Object.assign(server, {
    ...(auth === undefined ? {} : { auth }),
    url,
    urlOf: (database: string) =>
      auth === undefined
        ? `${url}/${database}`
        : `mongodb://${user}127.0.0.1:${server.port}/${database}?authSource=${encodeURIComponent(auth.authSource)}`,
  })
}

/** A user's own: `mongodb://user:password@host:port/?options`. What is after the host is put behind the test's database. */
function ofUrl(text: string): MongoServer {
  const parts = /^(mongodb(?:\+srv)?):\/\/([^/?]+)(?:\/[^?]*)?(\?.*)?$/.exec(text)
  const [, scheme, at, query = ''] = parts ?? []
  if (scheme === undefined || at === undefined) throw new Error('TENSORHUB_TEST_MONGODB is no mongodb:// URL')
  const [, host = '', port = '27017'] = /^(?:[^@]*@)?([^:,]+)(?::(\d+))?/.exec(at) ?? []
  return Object.assign(notOurs('mongodb', host, Number(port)), {
    url: `${scheme}://${at}`,
    urlOf: (database: string) => `${scheme}://${at}/${database}${query}`,
  })
}
