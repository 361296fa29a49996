import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { schedule } from './simulation/schedule.ts'
import { type Mutation, Violation } from './simulation/world.ts'

/** What happens next, again and again; short lists end in the ordinary course. */
const decisions = fc.array(fc.nat(10_000), { minLength: 30, maxLength: 400, size: 'max' })
// 100,000: node packages/tensorhub/test/tasks/simulation/main.ts --schedules 100000
const RUNS = 400

describe('F23: random schedules of runners, deaths, stalls, lost replies and cancellations', {
  timeout: 300_000,
}, () => {
  it(`keep I1 to I4 and I6 (${RUNS})`, async () => {
    const seen = { commits: 0, zombies: 0 }
    await fc.assert(
      fc.asyncProperty(decisions, async (list) => {
        const { commits, zombies } = await schedule(list)
        seen.commits += commits
        seen.zombies += zombies
      }),
      { numRuns: RUNS },
    )
    expect(seen.commits).toBeGreaterThan(RUNS)
    // The schedules really make runners that come too late.
    expect(seen.zombies).toBeGreaterThan(RUNS / 100)
  })

  it('the same decisions give the same schedule', async () => {
    const list = Array.from({ length: 300 }, (_, n) => (n * 7919) % 9973)
    expect(await schedule(list)).toEqual(await schedule(list))
  })

  it.each<Mutation>(['no fence', 'no new owner number', 'finished before the result'])(
    'a protocol with %s is caught',
    async (mutation) => {
      const checked = await fc.check(
        fc.asyncProperty(decisions, async (list) => {
          await schedule(list, mutation)
        }),
        { numRuns: 2000, endOnFailure: true },
      )
      expect(checked.failed).toBe(true)
      expect(checked.errorInstance).toBeInstanceOf(Violation)
    },
  )
})
