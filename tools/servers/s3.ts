import { answersHttp, startContainer } from './container/container.ts'
import { locate } from './locate.ts'
import { notOurs, OWN_SERVER, ownServer } from './own-server.ts'
import { type RunningServer, startServer } from './server.ts'
import { SOURCES } from './sources.ts'

export interface S3Server extends RunningServer {
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Over a folder; the region stays us-east-1. docker-compose.yml says the same. */
export function versitygwArguments(o: { readonly listen: string; readonly data: string }): string[] {
  return ['--port', o.listen, '--quiet', '--keep-alive', 'posix', o.data]
}

/** TENSORHUB_TEST_S3 (`https://key:secret@host?region=…`) when it is set; else versitygw over a folder. */
export async function startS3(): Promise<S3Server> {
  const own = ownServer('s3')
  if (own !== undefined) return ofUrl(own)
  const accessKeyId = 'tensorhub'
  const secretAccessKey = 'tensorhub-test-secret'
  const server = await startVersitygw({ ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey })
  const endpoint = `http://127.0.0.1:${server.port}`
  return Object.assign(server, { endpoint, region: 'us-east-1', accessKeyId, secretAccessKey })
}

async function startVersitygw(env: Readonly<Record<string, string>>): Promise<RunningServer> {
  const located = await locate(SOURCES.s3)
  if (located.from === 'container') {
    const args = (port: number, data: string) => versitygwArguments({ listen: `:${port}`, data })
    return await startContainer(located, ({ port, data }) => ({ args: args(port, data), env }), answersHttp)
  }
  const { name, from, command } = located
  const [program, ...first] = command
  const args = (port: number, data: string) => versitygwArguments({ listen: `127.0.0.1:${port}`, data })
  return await startServer(name, ({ port, data }) => ({ program, args: [...first, ...args(port, data)], env }), {
    from,
  })
}

function ofUrl(text: string): S3Server {
  const url = URL.parse(text)
  const accessKeyId = decodeURIComponent(url?.username || '') || process.env['AWS_ACCESS_KEY_ID']
  const secretAccessKey = decodeURIComponent(url?.password || '') || process.env['AWS_SECRET_ACCESS_KEY']
  if (url === null || !accessKeyId || !secretAccessKey) {
    throw new Error(
      `${OWN_SERVER.s3} is to be https://KEY:SECRET@HOST?region=REGION, or without KEY:SECRET@ beside AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
    )
  }
  return Object.assign(notOurs('s3', url.hostname, portOf(url)), {
    endpoint: url.origin,
    region: url.searchParams.get('region') ?? 'us-east-1',
    accessKeyId,
    secretAccessKey,
  })
}

export function portOf(url: URL): number {
  return Number(url.port || (url.protocol === 'https:' ? 443 : 80))
}
