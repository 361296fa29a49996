import { blobConformance, indexConformance, indexProperties } from '@tensorhub/conformance'
import { type MemoryBytes, type MemoryDocuments, memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { partBlobs, storageOf } from './part-blobs.ts'
import { weakIndex } from './weak-index.ts'

const runner = { afterAll, beforeAll, describe, it }
const unusable = { why: 'memory is always there' }

/** What core does for drivers that can little, held to the same suites: post-filtering and sorting, uploads in parts, refusals of the guard. */
const weak = {
  make: () => weakIndex(),
  again: (driver: ReturnType<typeof weakIndex>) => weakIndex(driver.native?.() as MemoryDocuments),
  unusable,
}
indexConformance('a driver that decides nothing but _id', weak, runner)
indexProperties('a driver that decides nothing but _id', weak, runner)

blobConformance(
  'a driver of parts',
  {
    make: () => partBlobs(),
    again: (driver) => partBlobs(storageOf(driver)),
    unusable,
    leftovers: async (driver) => storageOf(driver).uploads.size,
    inProcess: true,
  },
  runner,
)

const why = 'shows that what a driver lacks is refused'
indexConformance(
  'memory without unique keys and watch',
  {
    make: () => memoryIndex(),
    again: (driver) => memoryIndex(driver.native?.() as MemoryDocuments),
    unusable,
    narrow: { can: { uniqueKeys: false, watch: false }, why },
  },
  runner,
)
blobConformance(
  'memory without conditions, metadata and copy',
  {
    make: () => memoryBlobs(),
    again: (driver) => memoryBlobs(driver.native?.() as MemoryBytes),
    unusable,
    inProcess: true,
    narrow: { can: { ifAbsent: false, ifVersion: false, meta: false, copy: false }, why },
  },
  runner,
)
