import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type RunningServer, startServer } from './server.ts'

export { freePort, type RunningServer } from './server.ts'

/** Where servers are kept between runs. */
const CACHE = join(process.env['TENSORHUB_CACHE'] || join(homedir(), '.cache', 'tensorhub'), 'servers')

export interface MongoServer extends RunningServer {
  /** `mongodb://127.0.0.1:PORT` without a database; a test appends its own. */
  readonly url: string
}
export interface S3Server extends RunningServer {
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}
export interface GcsServer extends RunningServer {
  /** What `STORAGE_EMULATOR_HOST` and `apiEndpoint` take. */
  readonly endpoint: string
  readonly projectId: string
}
export interface AzureServer extends RunningServer {
  /** The account's URL: `http://127.0.0.1:PORT/devstoreaccount1`. */
  readonly endpoint: string
  readonly account: string
  readonly key: string
  readonly connectionString: string
}

/** SecantusDB: speaks MongoDB 8.2; a replica set of one node unless `standalone`. */
export async function startMongo(o: { readonly standalone?: boolean } = {}): Promise<MongoServer> {
  const server = await startServer('SecantusDB 0.5.3-beta.196', ({ port, data }) => ({
    program: join(CACHE, 'secantus-mdb-0.5.3-beta.196', 'bin', 'secantusd-rs'),
    args: [
      ...['--host', '127.0.0.1', '--port', String(port), '--storage-path', data],
      ...['--cache-size', '256M', '--sync-on-commit', ...(o.standalone ? ['--standalone'] : [])],
    ],
  }))
  return Object.assign(server, { url: `mongodb://127.0.0.1:${server.port}` })
}

export async function startS3(): Promise<S3Server> {
  const accessKeyId = 'tensorhub'
  const secretAccessKey = 'tensorhub-test-secret'
  const server = await startServer('versitygw 1.8.0', ({ port, data }) => ({
    program: join(CACHE, 'versitygw-1.8.0', 'versitygw'),
    args: ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', 'posix', data],
    env: { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
  }))
  const endpoint = `http://127.0.0.1:${server.port}`
  return Object.assign(server, { endpoint, region: 'us-east-1', accessKeyId, secretAccessKey })
}

/** fake-gcs-server. `filesystem` keeps its objects over a kill; `memory` takes names of any form. */
export async function startGcs(o: { readonly backend?: 'memory' | 'filesystem' } = {}): Promise<GcsServer> {
  const { backend = 'memory' } = o
  const server = await startServer(`fake-gcs-server 1.56.1 (${backend})`, ({ port, data }) => ({
    program: join(CACHE, 'fake-gcs-server-1.56.1', 'fake-gcs-server'),
    args: [
      ...['-backend', backend, '-scheme', 'http', '-host', '127.0.0.1', '-port', String(port)],
      ...['-public-host', `127.0.0.1:${port}`, '-external-url', `http://127.0.0.1:${port}`],
      ...(backend === 'filesystem' ? ['-filesystem-root', data] : []),
    ],
  }))
  return Object.assign(server, { endpoint: `http://127.0.0.1:${server.port}`, projectId: 'tensorhub' })
}

/** Azurite's one account, as published in its documentation. */
const ACCOUNT = 'devstoreaccount1'
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

export async function startAzure(): Promise<AzureServer> {
  const main = createRequire(import.meta.url).resolve('azurite/package.json')
  const program = join(main, '..', 'dist', 'src', 'blob', 'main.js')
  if (!existsSync(program)) throw new Error(`azurite's program is not at ${program}`)
  const server = await startServer('Azurite 3.36.0', ({ port, data }) => ({
    program: process.execPath,
    args: [
      ...[program, '--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', data],
      ...['--disableTelemetry', '--skipApiVersionCheck', '--silent'],
    ],
  }))
  const endpoint = `http://127.0.0.1:${server.port}/${ACCOUNT}`
  const connectionString = `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${KEY};BlobEndpoint=${endpoint};`
  return Object.assign(server, { endpoint, account: ACCOUNT, key: KEY, connectionString })
}
