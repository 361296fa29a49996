import { S3Client } from '@aws-sdk/client-s3'
import { blobConformance } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import { type S3Options, s3 } from '@tensorhub/s3'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { TestServer } from './server.ts'

const servers = new TestServer()
beforeAll(() => servers.start())
afterAll(() => servers.stop())

const MIB = 1024 * 1024
const made = new WeakMap<BlobDriver, S3Options>()

function harness(options: () => Partial<S3Options>) {
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
    keysArePaths: { why: 'versitygw keeps keys as paths on its file system: 409 for `a` beside `a/b`' },
  }
}

const runner = { afterAll, beforeAll, describe, it }
blobConformance(
  's3 (versitygw)',
  harness(() => servers.access),
  runner,
)
blobConformance(
  's3 (versitygw), small parts, checksums, a prefix',
  harness(() => ({ ...servers.access, partSize: 5 * MIB, parallel: 3, checksums: true, prefix: 'some where/é' })),
  runner,
)
blobConformance(
  's3 (versitygw), a client given, with the SDK’s own checksums',
  harness(() => ({ client: new S3Client({ ...servers.access, forcePathStyle: true }), partSize: 5 * MIB })),
  runner,
)
