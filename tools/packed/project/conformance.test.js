import { after, before, describe, it } from 'node:test'
import { blobConformance, indexConformance, indexProperties } from '@tensorhub/conformance'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'

/** The published suites under another runner than the repository's own. */
const runner = {
  describe,
  it: (title, body, timeout) => it(title, { timeout }, body),
  beforeAll: (body, timeout) => before(body, { timeout }),
  afterAll: (body, timeout) => after(body, { timeout }),
}
const unusable = { why: 'the memory of a process is always there' }
const index = { make: () => memoryIndex(), again: (driver) => memoryIndex(driver.native()), unusable }
const blobs = { make: () => memoryBlobs(), again: (driver) => memoryBlobs(driver.native()), unusable, inProcess: true }

indexConformance('memory', index, runner)
indexProperties('memory', index, runner)
blobConformance('memory', blobs, runner)
