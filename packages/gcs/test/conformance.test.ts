import { Storage } from '@google-cloud/storage'
import { blobConformance } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import { type GcsOptions, gcs } from '@tensorhub/gcs'
import { freePort, type GcsServer, startGcs } from '@tensorhub/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { newBucket } from './bucket.ts'

const narrow = {
  can: { copy: false },
  why: 'fake-gcs-server ignores preconditions on rewrite; test/replies.test.ts has copies with conditions',
}

for (const [mode, options] of [
  ['fake-gcs-server, memory', {}],
  ['fake-gcs-server, memory, small parts', { partSize: 512 * 1024, parallel: 3, prefix: 'some/place' }],
  ['fake-gcs-server, memory, a given client', { client: true }],
] as const) {
  let server: GcsServer
  let dead: number
  const made = new Map<BlobDriver, GcsOptions>()
  const driverOn = (o: GcsOptions) => {
    const driver = gcs(o)
    made.set(driver, o)
    return driver
  }
  describe(mode, () => {
    beforeAll(async () => {
      server = await startGcs({ backend: 'memory' })
      dead = await freePort()
    })
    afterAll(() => server.stop())
    const harness = {
      make: async () => {
        const { endpoint, projectId } = server
        const bucket = await newBucket(server)
        if ('client' in options) return driverOn({ bucket, client: new Storage({ apiEndpoint: endpoint, projectId }) })
        return driverOn({ bucket, endpoint, projectId, ...options })
      },
      again: (driver: BlobDriver) => driverOn(made.get(driver) as GcsOptions),
      unusable: () => gcs({ bucket: 'bucket', endpoint: `http://127.0.0.1:${dead}`, timeout: 2000 }),
      narrow,
    }
    blobConformance(`gcs (${mode})`, harness, { afterAll, beforeAll, describe, it })
  })
}
