import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const lockfile = readFileSync(new URL('../pnpm-lock.yaml', import.meta.url), 'utf8')

it('the lockfile names no registry: the packages come from the one that the user has configured', () => {
  expect(lockfile.match(/^.*\b(?:tarball|registry|https?:\/\/).*$/gim) ?? []).toEqual([])
})

it('the lockfile holds a checksum for every package', () => {
  const resolutions = lockfile.match(/^ {4}resolution: .*$/gm) ?? []
  expect(resolutions.length).toBeGreaterThan(100)
  expect(resolutions.filter((line) => !line.includes('integrity: sha512-'))).toEqual([])
})
