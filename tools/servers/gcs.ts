import { FAKE_GCS } from './install/recipes.ts'
import { locate } from './locate.ts'
import { notOurs, OWN_SERVER, ownServer } from './own-server.ts'
import { portOf } from './s3.ts'
import { type RunningServer, startServer } from './server.ts'

export interface GcsServer extends RunningServer {
  /** What `STORAGE_EMULATOR_HOST` and `apiEndpoint` take. */
  readonly endpoint: string
  readonly projectId: string
}

export interface GcsOptions {
  /** `filesystem` keeps its objects over a kill; `memory` (the default) takes names of any form. */
  readonly backend?: 'memory' | 'filesystem'
}

/** `seenAs` is where clients reach it: resumable uploads and media links lead there. docker-compose.yml says the same. */
export function fakeGcsArguments(o: {
  readonly backend: 'memory' | 'filesystem'
  readonly host: string
  readonly port: number
  readonly seenAs: string
}): string[] {
  return [
    ...['-backend', o.backend, '-scheme', 'http', '-host', o.host, '-port', String(o.port)],
    ...['-public-host', o.seenAs, '-external-url', `http://${o.seenAs}`],
  ]
}

/** TENSORHUB_TEST_GCS (`https://storage.googleapis.com?project=…`) when it is set and no backend is asked for; else fake-gcs-server. */
export async function startGcs(o: GcsOptions = {}): Promise<GcsServer> {
  const own = o.backend === undefined ? ownServer('gcs') : undefined
  if (own !== undefined) return ofUrl(own)
  const { backend = 'memory' } = o
  const { command } = await locate(FAKE_GCS)
  const [program, ...first] = command
  const server = await startServer(`${FAKE_GCS.name} (${backend})`, ({ port, data }) => ({
    program,
    args: [
      ...[...first, ...fakeGcsArguments({ backend, host: '127.0.0.1', port, seenAs: `127.0.0.1:${port}` })],
      ...(backend === 'filesystem' ? ['-filesystem-root', data] : []),
    ],
  }))
  return Object.assign(server, { endpoint: `http://127.0.0.1:${server.port}`, projectId: 'tensorhub' })
}

function ofUrl(text: string): GcsServer {
  const url = URL.parse(text)
  const projectId = url?.searchParams.get('project')
  if (!url || !projectId) throw new Error(`${OWN_SERVER.gcs} is to be https://HOST?project=PROJECT`)
  return Object.assign(notOurs('gcs', url.hostname, portOf(url)), { endpoint: url.origin, projectId })
}
