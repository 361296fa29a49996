import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { path } from '../../src/index.ts'

const run = promisify(execFile)
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')

/** The compiler's own count of type instantiations; it throws with the diagnostics when the file has an error. */
async function instantiations(file: string): Promise<number> {
  const options =
    '--noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2024 --allowImportingTsExtensions --ignoreConfig --extendedDiagnostics'
  const { stdout } = await run(process.execPath, [
    tsc,
    ...options.split(' '),
    '--types',
    '',
    fileURLToPath(new URL(`./types/${file}`, import.meta.url)),
  ])
  return Number(/Instantiations:\s+(\d+)/.exec(stdout)?.[1])
}

describe('typed filters', () => {
  it('refuse and accept what types/filters.ts says, within a fixed number of instantiations', async () => {
    const before = await instantiations('baseline.ts')
    const cost = (await instantiations('filters.ts')) - before
    expect(cost).toBeGreaterThan(0)
    // About twenty-five filters over one type. A recursion into T, or a union that multiplies, breaks this budget at once.
    expect(cost).toBeLessThan(1500)
  }, 120_000)

  it('with free tags refuse and accept what types/open-filters.ts says, within a fixed number of instantiations', async () => {
    const cost = (await instantiations('open-filters.ts')) - (await instantiations('baseline.ts'))
    expect(cost).toBeGreaterThan(0)
    expect(cost).toBeLessThan(3000)
  }, 120_000)

  it('path() joins its steps', () => {
    expect(path<{ a: { b: { c: 1 } } }>()('a', 'b', 'c')).toBe('a.b.c')
  })
})
