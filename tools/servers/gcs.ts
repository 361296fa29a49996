import { answersHttp, startContainer } from './container/container.ts'
import { locate } from './locate.ts'
import { notOurs, OWN_SERVER, ownServer } from './own-server.ts'
import { portOf } from './s3.ts'
import { type RunningServer, startServer } from './server.ts'
import { SOURCES } from './sources.ts'

export interface GcsServer extends RunningServer {
  /** What `STORAGE_EMULATOR_HOST` and `apiEndpoint` take. */
  readonly endpoint: string
  readonly projectId: string
}

export interface GcsOptions {
  /** `filesystem` keeps its objects over a kill; `memory` (the default) takes names of any form. */
  readonly backend?: 'memory' | 'filesystem'
}

/** Clients reach it at 127.0.0.1: resumable uploads and media links lead there. docker-compose.yml says the same. */
export function fakeGcsArguments(o: {
  readonly backend: 'memory' | 'filesystem'
  readonly host: string
  readonly port: number
  readonly data: string
}): string[] {
  const seenAs = `127.0.0.1:${o.port}`
  return [
    ...['-backend', o.backend, '-scheme', 'http', '-host', o.host, '-port', String(o.port)],
    ...['-public-host', seenAs, '-external-url', `http://${seenAs}`],
    ...(o.backend === 'filesystem' ? ['-filesystem-root', o.data] : []),
  ]
}

/** TENSORHUB_TEST_GCS (`https://storage.googleapis.com?project=…`) when it is set and no backend is asked for; else fake-gcs-server. */
export async function startGcs(o: GcsOptions = {}): Promise<GcsServer> {
  const own = o.backend === undefined ? ownServer('gcs') : undefined
  if (own !== undefined) return ofUrl(own)
  const { backend = 'memory' } = o
  const server = await startFakeGcs(backend)
  return Object.assign(server, { endpoint: `http://127.0.0.1:${server.port}`, projectId: 'tensorhub' })
}

async function startFakeGcs(backend: 'memory' | 'filesystem'): Promise<RunningServer> {
  const located = await locate(SOURCES.gcs)
  const argumentsOn = (host: string) => (at: { readonly port: number; readonly data: string }) =>
    fakeGcsArguments({ backend, host, ...at })
  if (located.from === 'container') {
    const args = argumentsOn('0.0.0.0')
    return await startContainer(located, ({ port, data }) => ({ args: args({ port, data }) }), answersHttp)
  }
  const { name, from, command } = located
  const [program, ...first] = command
  const args = argumentsOn('127.0.0.1')
  return await startServer(
    `${name} (${backend})`,
    ({ port, data }) => ({ program, args: [...first, ...args({ port, data })] }),
    { from },
  )
}

function ofUrl(text: string): GcsServer {
  const url = URL.parse(text)
  const projectId = url?.searchParams.get('project')
  if (!url || !projectId) throw new Error(`${OWN_SERVER.gcs} is to be https://HOST?project=PROJECT`)
  return Object.assign(notOurs('gcs', url.hostname, portOf(url)), { endpoint: url.origin, projectId })
}
