import { copySuite } from '../copy/copy-suite.ts'
import { embedded } from '../suite/store-pair.ts'
import { pairOf } from './pair.ts'

/** From, to: each kind of store at either end. */
for (const [source, destination] of [
  [embedded, pairOf('sqlite', 'gcs')],
  [pairOf('sqlite', 'gcs'), pairOf('sqlite', 'azure')],
  [pairOf('sqlite', 'azure'), embedded],
] as const)
  copySuite(source, destination)
