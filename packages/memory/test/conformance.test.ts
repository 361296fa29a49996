import { blobConformance, indexConformance, indexProperties } from '@tensorhub/conformance'
import { type MemoryBytes, type MemoryDocuments, memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { afterAll, beforeAll, describe, it } from 'vitest'

const runner = { afterAll, beforeAll, describe, it }
const unusable = { why: 'the memory of a process is always there' }
const index = {
  make: () => memoryIndex(),
  again: (driver: ReturnType<typeof memoryIndex>) => memoryIndex(driver.native?.() as MemoryDocuments),
  unusable,
}
const blobs = {
  make: () => memoryBlobs(),
  again: (driver: ReturnType<typeof memoryBlobs>) => memoryBlobs(driver.native?.() as MemoryBytes),
  unusable,
  inProcess: true,
}

indexConformance('memory', index, runner)
indexProperties('memory', index, runner)
blobConformance('memory', blobs, runner)
