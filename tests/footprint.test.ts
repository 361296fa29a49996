import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../tools/docs/pages.ts'
import { footprintPages, isOff, statedFootprints } from '../tools/packed/footprint.ts'

it('the READMEs state the sizes that were measured', () => {
  const pages = footprintPages(statedFootprints())
  expect(pages.length).toBeGreaterThan(0)
  for (const { page, text } of pages)
    expect(readFileSync(join(ROOT, page), 'utf8'), `stale: run tools/packed/check.ts --write (${page})`).toBe(text)
})

it('a size that grew, or was never measured, is noticed', () => {
  const stated = { packages: 100, bytes: 20e6 }
  expect(isOff('x', stated, stated)).toBeUndefined()
  expect(isOff('x', { packages: 105, bytes: 21e6 }, stated)).toBeUndefined()
  expect(isOff('x', { packages: 130, bytes: 20e6 }, stated)).toMatch(/130 packages/)
  expect(isOff('x', { packages: 100, bytes: 30e6 }, stated)).toMatch(/30\.0 MB/)
  expect(isOff('x', stated, undefined)).toMatch(/no stated figure/)
})
