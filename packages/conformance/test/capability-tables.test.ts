import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { packageNames, readmeOf, withTables } from '../../../tools/capability-tables/tables.ts'

describe('the capability tables of the READMEs', () => {
  for (const name of packageNames) {
    it(`of ${name} is what the driver says`, () => {
      expect(existsSync(readmeOf(name)), `packages/${name}/README.md is missing`).toBe(true)
      const readme = readFileSync(readmeOf(name), 'utf8')
      expect(readme, 'run node tools/capability-tables/write.ts').toBe(withTables(name, readme))
    })
  }

  it('notices a stale table', () => {
    const readme = readFileSync(readmeOf('memory'), 'utf8')
    const stale = readme.replace('| yes ', '| no  ')
    expect(stale).not.toBe(readme)
    expect(withTables('memory', stale)).toBe(readme)
  })
})
