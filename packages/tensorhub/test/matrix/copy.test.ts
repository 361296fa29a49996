import { serverSuite } from '@tensorhub/servers/suite'
import { copySuite } from '../copy/copy-suite.ts'
import { embedded } from '../suite/store-pair.ts'
import { pairOf } from './pair.ts'

await serverSuite(['mongodb', 's3', 'gcs', 'azure'], 'copies between servers', () => {
  const mongodb = pairOf('mongodb', 'gridfs')
  const s3 = pairOf('sqlite', 's3')
  const gcs = pairOf('mongodb', 'gcs')
  const azure = pairOf('sqlite', 'azure')
  /** From, to: each kind of store at either end. */
  for (const [source, destination] of [
    [embedded, mongodb],
    [mongodb, s3],
    [s3, gcs],
    [gcs, azure],
    [azure, embedded],
  ] as const)
    copySuite(source, destination)
})
