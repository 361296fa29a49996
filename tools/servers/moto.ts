import { MOTO } from './install/recipes.ts'
import { locate } from './locate.ts'
import type { S3Server } from './s3.ts'
import { startServer } from './server.ts'

/** moto's S3, in memory. For keys that a file system can't hold: not for races, and not for authentication (it accepts anything). */
export async function startMoto(): Promise<S3Server> {
  const { command } = await locate(MOTO)
  const [program, ...first] = command
  const server = await startServer(MOTO.name, ({ port }) => ({
    program,
    args: [...first, '-H', '127.0.0.1', '-p', String(port)],
  }))
  const endpoint = `http://127.0.0.1:${server.port}`
  return Object.assign(server, {
    ...{ endpoint, region: 'us-east-1', accessKeyId: 'tensorhub', secretAccessKey: 'tensorhub-test-secret' },
  })
}
