import { indexConformance } from '@tensorhub/conformance'
import { type MemoryDocuments, memoryIndex } from '@tensorhub/memory'
import { afterAll, beforeAll, describe, it } from 'vitest'

const runner = { afterAll, beforeAll, describe, it }

indexConformance(
  'memory',
  { make: () => memoryIndex(), again: (driver) => memoryIndex(driver.native?.() as MemoryDocuments) },
  runner,
)
