import { copySuite } from '../copy/copy-suite.ts'
import { embedded } from '../suite/store-pair.ts'
import { pairOf } from './pair.ts'

/** Each once: a second server of a kind would take over the environment's credentials. */
const gcs = pairOf('sqlite', 'gcs')
const azure = pairOf('sqlite', 'azure')

/** From, to: each kind of store at either end. */
for (const [source, destination] of [
  [embedded, gcs],
  [gcs, azure],
  [azure, embedded],
] as const)
  copySuite(source, destination)
