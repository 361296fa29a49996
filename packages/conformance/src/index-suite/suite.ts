import type { IndexHarness } from '../harness.ts'
import { type Runner, TEST_TIMEOUT } from '../runner.ts'
import { abortTests } from './abort.ts'
import { IndexBench } from './bench.ts'
import { changeTests } from './change.ts'
import { claimTests } from './claim.ts'
import { documentTests } from './documents.ts'
import { findTests } from './find.ts'
import { insertTests } from './insert.ts'
import { lifecycleTests } from './lifecycle.ts'
import { watchTests } from './watch.ts'

/**
 * Holds an index driver to the contract, through core's IndexStore as users reach it.
 *
 * @param name Names the driver and its mode in the titles.
 */
export function indexConformance(name: string, harness: IndexHarness, runner: Runner): void {
  runner.describe(`index conformance: ${name}`, () => {
    const bench = new IndexBench(harness)
    runner.beforeAll(() => bench.start(), TEST_TIMEOUT)
    runner.afterAll(() => bench.end(), TEST_TIMEOUT)
    for (const tests of [
      insertTests,
      documentTests,
      findTests,
      changeTests,
      claimTests,
      watchTests,
      abortTests,
      lifecycleTests,
    ]) {
      for (const [title, body] of tests) runner.it(title, () => body(bench), TEST_TIMEOUT)
    }
  })
}
