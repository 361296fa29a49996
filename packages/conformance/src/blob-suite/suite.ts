import type { BlobHarness } from '../harness.ts'
import { type Runner, TEST_TIMEOUT } from '../runner.ts'
import { BlobBench } from './bench.ts'
import { keyTests } from './keys.ts'
import { lifecycleTests } from './lifecycle.ts'
import { memoryTests } from './memory.ts'
import { readTests } from './read.ts'
import { writeTests } from './write.ts'

/**
 * Holds a blob driver to the contract, through core's BlobStore as users reach it.
 *
 * @param name Names the driver and its mode in the titles.
 */
export function blobConformance(name: string, harness: BlobHarness, runner: Runner): void {
  runner.describe(`blob conformance: ${name}`, () => {
    const bench = new BlobBench(harness)
    runner.beforeAll(() => bench.start(), TEST_TIMEOUT)
    runner.afterAll(() => bench.end(), TEST_TIMEOUT)
    for (const tests of [writeTests, readTests, keyTests, lifecycleTests, memoryTests]) {
      for (const [title, body] of tests) runner.it(title, () => body(bench), TEST_TIMEOUT)
    }
  })
}
