/**
 * The four functions of a test runner that the suites call. Vitest, Jest, Mocha and `node:test` have them under these names (`node:test` calls
 * `beforeAll` and `afterAll` `before` and `after`), so `import { afterAll, beforeAll, describe, it } from 'vitest'` is a runner.
 *
 * A suite never skips: where a driver lacks a capability, the same test wants the refusal instead.
 */
export interface Runner {
  describe(title: string, body: () => void): void
  /** `timeout` in milliseconds. */
  it(title: string, body: () => Promise<void>, timeout?: number): void
  beforeAll(body: () => Promise<void>, timeout?: number): void
  afterAll(body: () => Promise<void>, timeout?: number): void
}

/** Bound on one test, in milliseconds: there to end a hang, not to measure speed. */
export const TEST_TIMEOUT = 180_000
