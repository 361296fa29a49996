import { locate } from './locate.ts'
import type { S3Server } from './s3.ts'
import { startServer } from './server.ts'
import { SOURCES } from './sources.ts'

/** moto's S3, in memory. For keys that a file system can't hold: not for races, and not for authentication (it accepts anything). */
export async function startMoto(): Promise<S3Server> {
  const { name, from, command } = await locate(SOURCES.moto)
  const [program, ...first] = command
  const args = (port: number) => [...first, '-H', '127.0.0.1', '-p', String(port)]
  const server = await startServer(name, ({ port }) => ({ program, args: args(port) }), { from })
  const endpoint = `http://127.0.0.1:${server.port}`
  return Object.assign(server, {
    ...{ endpoint, region: 'us-east-1', accessKeyId: 'tensorhub', secretAccessKey: 'tensorhub-test-secret' },
  })
}
