import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startMongo } from '@tensorhub/servers'
import { expect, it } from 'vitest'
import { MIB, Side } from './gridfs/bucket.ts'

it('256 MiB from a generator go in and out again, exact, within 160 MiB more than the process has at rest', async () => {
  const server = await startMongo()
  try {
    await using side = new Side(server)
    const script = join(import.meta.dirname, 'gridfs', 'processes', 'stream.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [script, side.url, '256'])
    const out = JSON.parse(stdout) as { readonly size: number; readonly same: boolean; readonly grewMiB: number }
    expect(out).toMatchObject({ size: 256 * MIB, same: true })
    // The driver keeps 17 MiB for building messages; the rest is what is on the way, and what the collector has not seen yet.
    expect(out.grewMiB).toBeLessThanOrEqual(160)
  } finally {
    await server.stop()
  }
})
