import { join } from 'node:path'
import type { BlobDriver, IndexDriver } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'

/** The stores of an embedded hub's folder as driver objects, to be wrapped. */
export function embeddedDrivers(folder: string): { index: IndexDriver; blobs: BlobDriver } {
  return { index: sqlite({ file: join(folder, 'index.db') }), blobs: fs({ folder: join(folder, 'blobs') }) }
}
