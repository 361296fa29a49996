import { blobConformance } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import { type MongoOptions, type MongoServer, startMongo } from '@tensorhub/servers'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { gridfs } from '../src/gridfs/driver.ts'

const SERVERS: readonly (readonly [name: string, options: MongoOptions])[] = [
  ['SecantusDB, replica set', {}],
  ['SecantusDB, standalone', { standalone: true }],
  ['mongo-java-server', { kind: 'java' }],
]

for (const [name, options] of SERVERS) {
  await serverSuite(options.kind === 'java' ? 'mongodb-java' : 'mongodb', name, () => {
    let server: MongoServer
    let made = 0
    const databases = new Map<BlobDriver, string>()
    beforeAll(async () => {
      server = await startMongo(options)
    })
    afterAll(() => server?.stop())

    const on = (database: string) => {
      const driver = gridfs({ url: server.urlOf(database) })
      databases.set(driver, database)
      return driver
    }
    const harness = {
      make: () => on(`blobs${++made}`),
      again: (driver: BlobDriver) => on(databases.get(driver) as string),
      // Nobody listens on port 1.
      unusable: () => gridfs({ url: 'mongodb://127.0.0.1:1/blobs', timeout: 200 }),
    }
    blobConformance(`gridfs on ${name}`, harness, { afterAll, beforeAll, describe, it })
  })
}
