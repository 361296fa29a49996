import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Stamps, stampsOf } from '../src/documents/stamps.ts'

describe('names and dates of new documents', () => {
  it('stand in strict order, whatever the estimate of the store’s clock does', () => {
    const times = fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 2, maxLength: 50 })
    fc.assert(
      fc.property(times, (readings) => {
        const stamps = new Stamps()
        const made = readings.map((reading) => stamps.next(new Date(reading)))
        for (const [i, { _id, time }] of made.entries()) {
          const before = made[i - 1]
          expect(time.getTime()).toBe(Math.max(...readings.slice(0, i + 1)))
          if (before !== undefined) expect(_id > before._id).toBe(true)
          expect(_id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
        }
      }),
    )
  })

  it('are shared by hubs on one store, and by no others', () => {
    const [one, other] = [{}, {}]
    expect(stampsOf('/data/hub')).toBe(stampsOf('/data/hub'))
    expect(stampsOf('/data/hub')).not.toBe(stampsOf('/data/other'))
    expect(stampsOf(one)).toBe(stampsOf(one))
    expect(stampsOf(one)).not.toBe(stampsOf(other))
  })
})
