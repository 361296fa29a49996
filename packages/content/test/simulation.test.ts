import { describe, expect, it } from 'vitest'
import type { Mutation } from './simulation/fake-stores.ts'
import { schedule } from './simulation/schedule.ts'

// 100,000 schedules: node packages/content/test/simulation/main.ts --schedules 100000
describe('random schedules of writers and collectors', () => {
  it('lose nothing and leak nothing (500 seeds)', async () => {
    let acknowledged = 0
    for (let seed = 1; seed <= 500; seed++) {
      const outcome = await schedule(seed)
      expect({ seed, lost: outcome.lost, leaked: outcome.leaked }).toEqual({ seed, lost: 0, leaked: 0 })
      acknowledged += outcome.acknowledged
    }
    expect(acknowledged).toBeGreaterThan(1000)
  })

  it('the same seed gives the same schedule', async () => {
    expect(await schedule(7)).toEqual(await schedule(7))
  })

  // A simulation that cannot find anything proves nothing.
  it.each<[Mutation, number, number]>([
    ['no-fresh', 1, 500],
    ['young-blobs', 1, 200],
    ['no-verify', 1300, 6000],
  ])('a protocol broken by %s is caught', async (mutation, first, most) => {
    let caught: number | undefined
    for (let seed = first; seed <= most && caught === undefined; seed++) {
      const lost = await schedule(seed, mutation).then(
        (outcome) => outcome.lost,
        // A collector that stops because a manifest is gone has found the loss as well.
        () => 1,
      )
      if (lost > 0) caught = seed
    }
    expect(caught).toBeDefined()
  })
})
