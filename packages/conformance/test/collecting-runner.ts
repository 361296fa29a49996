import type { Runner } from '@tensorhub/conformance'

export interface Outcome {
  readonly title: string
  readonly error: unknown
}

/** Runs the tests of a suite whose titles the pattern matches, and gives how each ended. */
export async function collectOutcomes(suite: (runner: Runner) => void, pattern = /./): Promise<Outcome[]> {
  const before: (() => Promise<void>)[] = []
  const after: (() => Promise<void>)[] = []
  const tests: { title: string; body: () => Promise<void> }[] = []
  suite({
    describe: (_title, body) => body(),
    it: (title, body) => void tests.push({ title, body }),
    beforeAll: (body) => void before.push(body),
    afterAll: (body) => void after.push(body),
  })
  const outcomes: Outcome[] = []
  for (const body of before) await body()
  for (const { title, body } of tests.filter((test) => pattern.test(test.title))) {
    try {
      await body()
      outcomes.push({ title, error: undefined })
    } catch (error) {
      outcomes.push({ title, error })
    }
  }
  for (const body of after) await body()
  return outcomes
}
