import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StoreClock } from '../../src/index.ts'

/** A store whose clock and whose network are the test's: monotonic time runs only when told. */
function simulated() {
  const world = { monotonic: 1000, ahead: 5_000_000, there: 10, back: 10, calls: 0, signal: undefined as unknown }
  const clock = new StoreClock(
    {
      async now(o) {
        world.calls++
        world.signal = o.signal
        world.monotonic += world.there
        const time = new Date(Math.round(world.monotonic + world.ahead))
        world.monotonic += world.back
        return time
      },
    },
    { monotonic: () => world.monotonic },
  )
  return { world, clock, truth: () => world.monotonic + world.ahead }
}

describe('the estimate of the store’s clock', () => {
  it('is exact where both ways take equally long, and off by at most half the round trip', async () => {
    const { world, clock, truth } = simulated()
    expect((await clock.sync()).getTime()).toBe(truth())
    world.monotonic += 12_345
    expect(clock.now().getTime()).toBe(truth())
    for (const [there, back] of [
      [0, 100],
      [100, 0],
      [30, 70],
    ] as const) {
      const { world: w, clock: c, truth: t } = simulated()
      Object.assign(w, { there, back })
      await c.sync()
      expect(Math.abs(c.now().getTime() - t())).toBeLessThanOrEqual((there + back) / 2)
      expect(c.now().getTime()).toBe(t() + (there - back) / 2)
    }
  })

  it('takes nothing from this machine’s wall clock', async () => {
    const { world, clock } = simulated()
    world.ahead = -900
    await clock.sync()
    expect(clock.now().getTime()).toBe(world.monotonic - 900)
  })

  it('is asked for before it is known: INVALID, and infinitely old', () => {
    const { clock } = simulated()
    expect(() => clock.now()).toThrow(
      expect.objectContaining({ code: 'INVALID', message: expect.stringContaining('sync()') }),
    )
    expect(clock.age).toBe(Number.POSITIVE_INFINITY)
  })

  it('is renewed by every sync: a more exact answer is kept, a vague one does not spoil it', async () => {
    const { world, clock, truth } = simulated()
    Object.assign(world, { there: 200, back: 0 })
    await clock.sync()
    const off = Math.abs(clock.now().getTime() - truth())
    expect(off).toBe(100)
    Object.assign(world, { there: 1, back: 1 })
    world.monotonic += 500
    await clock.sync()
    expect(clock.now().getTime()).toBe(truth())
    Object.assign(world, { there: 500, back: 0 })
    await clock.sync()
    expect(Math.abs(clock.now().getTime() - truth())).toBeLessThanOrEqual(1)
    expect(world.calls).toBe(3)
  })

  it('is replaced once it is a minute old, since clocks drift', async () => {
    const { world, clock, truth } = simulated()
    Object.assign(world, { there: 1, back: 1 })
    await clock.sync()
    world.monotonic += 61_000
    expect(clock.age).toBeGreaterThan(60_000)
    world.ahead += 6
    Object.assign(world, { there: 20, back: 20 })
    await clock.sync()
    expect(clock.age).toBe(0)
    expect(clock.now().getTime()).toBe(truth())
  })

  it('follows a store whose clock was set, forward and back, at the next sync', async () => {
    const { world, clock, truth } = simulated()
    await clock.sync()
    for (const step of [3_600_000, -7_200_000]) {
      world.ahead += step
      // A vaguer answer than the one held, which contradicts it all the same.
      Object.assign(world, { there: 40, back: 40 })
      await clock.sync()
      expect(clock.now().getTime()).toBe(truth())
    }
  })

  it('never runs back while the store’s clock does not', async () => {
    const step = fc.record({ there: fc.nat(300), back: fc.nat(300), pause: fc.nat(70_000), look: fc.nat(400) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 30 }), async (steps) => {
        const { world, clock, truth } = simulated()
        let last = Number.NEGATIVE_INFINITY
        let slowest = 0
        const seen = (time: Date) => {
          expect(time.getTime()).toBeGreaterThanOrEqual(last)
          last = time.getTime()
        }
        for (const { there, back, pause, look } of steps) {
          Object.assign(world, { there, back })
          slowest = Math.max(slowest, (there + back) / 2)
          seen(await clock.sync())
          world.monotonic += look
          seen(clock.now())
          expect(Math.abs(clock.now().getTime() - truth())).toBeLessThanOrEqual(2 * slowest + 2)
          world.monotonic += pause
        }
      }),
      { numRuns: 500 },
    )
  })

  it('keeps the last estimate when the store does not answer, and hands the signal on', async () => {
    const { world, clock, truth } = simulated()
    await clock.sync()
    const dead = new StoreClock({ now: () => Promise.reject(new Error('down')) }, { monotonic: () => world.monotonic })
    await expect(dead.sync()).rejects.toThrow('down')
    expect(() => dead.now()).toThrow(expect.objectContaining({ code: 'INVALID' }))
    const { signal } = new AbortController()
    await clock.sync({ signal })
    expect(world.signal).toBe(signal)
    expect(clock.now().getTime()).toBe(truth())
  })
})
