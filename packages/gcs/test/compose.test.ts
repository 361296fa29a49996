import { expect, it } from 'vitest'
import { groupsOf, SOURCES } from '../src/compose.ts'

it('groups of a compose tree: of two to 32, as few as bring it to 32, whatever the number of parts', () => {
  for (const count of [...Array(3000).keys(), 32 * 32 * 32, 655_360]) {
    let left = count
    let composes = 0
    for (let sizes = groupsOf(left); sizes.length > 0; sizes = groupsOf(left)) {
      const taken = sizes.reduce((sum, size) => sum + size, 0)
      expect(Math.min(...sizes)).toBeGreaterThanOrEqual(2)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(SOURCES)
      expect(taken).toBeLessThanOrEqual(left)
      left += sizes.length - taken
      composes += sizes.length
    }
    expect(left).toBeLessThanOrEqual(SOURCES)
    expect(composes).toBe(Math.ceil(Math.max(0, count - SOURCES) / (SOURCES - 1)))
    if (count <= SOURCES ** 2) expect(groupsOf(count).length).toBe(composes)
  }
})
