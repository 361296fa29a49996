import { Storage } from '@google-cloud/storage'
import { blobConformance } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import { type GcsOptions, gcs } from '@tensorhub/gcs'
import { freePort, type GcsServer, startGcs } from '@tensorhub/servers'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { newBucket } from './bucket.ts'
import { type ComposingServer, composesAsGoogle } from './composes-as-google.ts'
import { likeGoogle } from './like-google.ts'

const MIB = 1024 * 1024
const narrow = {
  can: { copy: false },
  why: 'fake-gcs-server ignores preconditions on rewrite; test/replies.test.ts has copies with conditions',
}
/** The filesystem backend keeps an object in a file of its name, so that none can lie under another: this test must fail there, and is held to it. */
const UNDER = 'list: a prefix is a beginning of text, and siblings of a folder stay apart and in order'
const onFiles = {
  ...{ afterAll, beforeAll, describe },
  it: (title: string, body: () => Promise<void>, timeout: number) =>
    (title === UNDER ? it.fails : it)(title, body, timeout),
}

for (const [mode, backend, options] of [
  ['memory', 'memory', { partSize: MIB }],
  ['memory, small parts', 'memory', { partSize: 512 * 1024, parallel: 3, prefix: 'some/place' }],
  ['memory, composites', 'memory', { partSize: 256 * 1024, parallel: 4, upload: 'composite' }],
  ['memory, by sessions', 'memory', { partSize: 512 * 1024, upload: 'session' }],
  ['memory, a given client', 'memory', { client: true }],
  ['memory, read by the XML API', 'memory', { google: true }],
  ['filesystem', 'filesystem', { partSize: 512 * 1024 }],
] as const) {
  await serverSuite(
    'gcs',
    `fake-gcs-server, ${mode}`,
    () => {
      let server: GcsServer
      let composing: ComposingServer
      let dead: number
      const made = new Map<BlobDriver, GcsOptions>()
      const driverOn = (o: GcsOptions) => {
        const driver = gcs(o)
        made.set(driver, o)
        return driver
      }
      beforeAll(async () => {
        server = await startGcs({ backend })
        composing = await composesAsGoogle(server)
        dead = await freePort()
      })
      afterAll(async () => {
        await composing.close()
        await server.stop()
      })
      const harness = {
        make: async () => {
          const { endpoint, projectId } = server
          const bucket = await newBucket(server)
          if ('client' in options)
            return driverOn({ bucket, client: new Storage({ apiEndpoint: endpoint, projectId }), partSize: MIB })
          if ('google' in options) return driverOn({ bucket, client: likeGoogle(endpoint), partSize: MIB })
          // Where every large write is a composite one, compose must keep its condition.
          const place = 'upload' in options && options.upload === 'composite' ? composing.endpoint : endpoint
          return driverOn({ bucket, endpoint: place, projectId, ...options })
        },
        again: (driver: BlobDriver) => driverOn(made.get(driver) as GcsOptions),
        unusable: () => gcs({ bucket: 'bucket', endpoint: `http://127.0.0.1:${dead}`, timeout: 200 }),
        narrow,
      }
      const runner = backend === 'filesystem' ? onFiles : { afterAll, beforeAll, describe, it }
      blobConformance(`gcs (fake-gcs-server, ${mode})`, harness, runner)
    },
    { ours: true },
  )
}
