import { S3Client } from '@aws-sdk/client-s3'
import { blobConformance } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import { type S3Options, s3 } from '@tensorhub/s3'
import { startMoto } from '@tensorhub/servers'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { TestServer } from './server.ts'

const MIB = 1024 * 1024
const runner = { afterAll, beforeAll, describe, it }
const made = new WeakMap<BlobDriver, S3Options>()

function harness(servers: TestServer, options: () => Partial<S3Options>) {
  const remember = (all: S3Options) => {
    const driver = s3(all)
    made.set(driver, all)
    return driver
  }
  const optionsOf = (driver: BlobDriver) => made.get(driver) as S3Options
  return {
    make: async () => remember({ bucket: await servers.bucket(), ...options() }),
    again: (driver: BlobDriver) => remember(optionsOf(driver)),
    unusable: () => s3({ ...servers.access, bucket: 'there-is-none' }),
    leftovers: (driver: BlobDriver) => servers.unfinished(optionsOf(driver).bucket),
  }
}

await serverSuite('s3', 'versitygw', () => {
  const servers = new TestServer()
  beforeAll(() => servers.start())
  afterAll(() => servers.stop())
  const keysArePaths = { why: 'versitygw keeps keys as paths on its file system: 409 for `a` beside `a/b`' }
  const mode = (options: () => Partial<S3Options>) => ({ ...harness(servers, options), keysArePaths })

  blobConformance(
    's3 (versitygw)',
    mode(() => servers.access),
    runner,
  )
  blobConformance(
    's3 (versitygw), small parts, checksums, a prefix',
    mode(() => ({ ...servers.access, partSize: 5 * MIB, parallel: 3, checksums: true, prefix: 'some where/é' })),
    runner,
  )
  blobConformance(
    's3 (versitygw), a client given, with the SDK’s own checksums',
    mode(() => ({ client: new S3Client({ ...servers.access, forcePathStyle: true }), partSize: 5 * MIB })),
    runner,
  )
})

await serverSuite('moto', 'moto', () => {
  const servers = new TestServer(startMoto)
  beforeAll(() => servers.start())
  afterAll(() => servers.stop())
  const narrow = {
    can: { ifAbsent: false, ifVersion: false, copy: false, sign: false },
    why: 'moto: races have two winners, and signatures and hashes are not checked; it is here for keys that versitygw cannot keep',
  }
  blobConformance(
    's3 (moto)',
    { ...harness(servers, () => ({ ...servers.access, prefix: 'odd +&=% é' })), narrow },
    runner,
  )
})
