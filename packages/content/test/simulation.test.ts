import { describe, expect, it } from 'vitest'
import type { Mutation } from './simulation/fake-stores.ts'
import { schedule } from './simulation/schedule.ts'

// 100,000 schedules: npm run simulate
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

  // A simulation that cannot find anything proves nothing. Seeds: where each variant is caught early; others would do, later.
  it.each<[Mutation, number, number]>([
    ['late-clock', 400, 4000],
    ['no-age-check', 1, 500],
    ['no-verify', 4500, 20_000],
    ['no-pins', 1, 1000],
    ['young-blobs', 1, 200],
  ])('a protocol broken by %s is caught', async (mutation, first, most) => {
    let caught: number | undefined
    for (let seed = first; seed <= most && caught === undefined; seed++) {
      const { lost } = await schedule(seed, mutation)
      if (lost > 0) caught = seed
    }
    expect(caught).toBeDefined()
  })
})
