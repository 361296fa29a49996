import { randomBytes } from 'node:crypto'
import { type Document, MongoClient, MongoError, MongoServerError } from 'mongodb'
import { type ContainerLaunch, startContainer } from './container/container.ts'
import type { LocatedImage } from './locate.ts'
import type { RunningServer } from './server.ts'

export interface MongodOptions {
  readonly standalone: boolean
  /** Whether it asks its clients who they are, from the next start on. */
  readonly guarded: () => boolean
}

/** A replica set of one has transactions and change streams. docker-compose.yml says the same. */
export function mongodArguments(o: { readonly port: number; readonly standalone: boolean }): string[] {
  return ['mongod', ...(o.standalone ? [] : ['--replSet', 'rs0']), '--bind_ip_all', '--port', String(o.port)]
}

/**
 * A replica set that asks its clients who they are wants a key for its members, in a file that only mongod can read:
 * https://www.mongodb.com/docs/manual/tutorial/deploy-replica-set-with-keyfile-access-control/
 */
const KEY_FILE = '/data/db/tensorhub.key'
const WITH_KEY_FILE = [
  `[ -f ${KEY_FILE} ] || (umask 377 && printf %s "$TENSORHUB_KEY" > ${KEY_FILE} && chown mongodb ${KEY_FILE})`,
  'exec docker-entrypoint.sh "$@"',
].join(' && ')

export function mongodLaunch(
  port: number,
  o: { readonly standalone: boolean; readonly guarded: boolean; readonly key: string },
): ContainerLaunch {
  const args = mongodArguments({ port, standalone: o.standalone })
  if (!o.guarded) return { args }
  if (o.standalone) return { args: [...args, '--auth'] }
  return {
    entrypoint: 'bash',
    args: ['-c', WITH_KEY_FILE, 'bash', ...args, '--keyFile', KEY_FILE],
    env: { TENSORHUB_KEY: o.key },
  }
}

/** MongoDB itself in a container; ready when it takes writes, at every start. */
export async function startMongod(located: LocatedImage, o: MongodOptions): Promise<RunningServer> {
  const key = randomBytes(96).toString('base64')
  let initiated = o.standalone
  return await startContainer(
    located,
    ({ port }) => mongodLaunch(port, { standalone: o.standalone, guarded: o.guarded(), key }),
    async (port) => {
      const client = new MongoClient(`mongodb://127.0.0.1:${port}`, {
        directConnection: true,
        serverSelectionTimeoutMS: 5000,
      })
      try {
        const is = await takesWrites((command) => client.db('admin').command(command), port, initiated)
        initiated ||= is === true
        return is
      } catch (error) {
        if (!(error instanceof MongoError) || error instanceof MongoServerError) throw error
        return `no answer of MongoDB (${error.message})`
      } finally {
        await client.close()
      }
    },
  )
}

/**
 * Whether it takes writes. A new member of a replica set is told which set it is, under the address that its clients reach it at:
 * they leave for the address that the set names. Inside of the container that address is its own as well.
 */
export async function takesWrites(
  command: (command: Document) => Promise<Document>,
  port: number,
  initiated: boolean,
): Promise<true | string> {
  const hello = await command({ hello: 1 })
  if (hello['isWritablePrimary'] === true) return true
  if (!initiated && hello['setName'] === undefined) {
    try {
      await command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${port}` }] } })
    } catch (error) {
      // AlreadyInitialized: by an earlier try whose answer was lost.
      if (!(error instanceof MongoServerError) || error.code !== 23) throw error
    }
  }
  return 'no primary'
}
