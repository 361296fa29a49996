import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const ROOT = join(HERE, '..', '..', '..')
let empty: string
beforeAll(() => {
  empty = mkdtempSync(join(tmpdir(), 'tensorhub-no-servers-'))
})
afterAll(() => rmSync(empty, { recursive: true, force: true }))

/** A whole run of the suites in `fixture`, as on a machine that has Node and nothing else. */
function run(env: Record<string, string>): Promise<{ code: number; said: string }> {
  const args = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', join(HERE, 'fixture/vitest.config.ts')]
  return new Promise((resolve) => {
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|TENSORHUB_)/.test(name)))
    execFile(
      process.execPath,
      args,
      { cwd: ROOT, env: { ...own, NO_COLOR: '1', PATH: empty, TENSORHUB_CACHE: empty, ...env } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), said: `${stdout}${stderr}` }),
    )
  })
}

describe('a run whose servers are not there', () => {
  it('passes, runs what it can, and says in its last line what it left out', async () => {
    const { code, said } = await run({})
    expect(code).toBe(0)
    expect(said).toMatch(/2 passed \| 2 skipped/)
    expect(said).toContain('To get it: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0')
    expect(said.trim().split('\n').at(-1)).toBe('2 server suites skipped: mongodb, s3')
  })

  it('fails where all are wanted', async () => {
    const { code, said } = await run({ TENSORHUB_SERVERS: 'all' })
    expect(code).toBe(1)
    expect(said).toMatch(/2 failed \| 2 passed/)
    expect(said).toMatch(/TENSORHUB_SERVERS=all, and there is none: versitygw 1\.8\.0/)
    expect(said).not.toContain('suites skipped')
  })

  it('a suite that kills its server is left out where the server is a user’s own, even where all are wanted', async () => {
    const { code, said } = await run({
      ...{
        TENSORHUB_SERVERS: 'all',
        TENSORHUB_TEST_S3: 'http://k:s@127.0.0.1:1',
        TENSORHUB_TEST_MONGODB: 'mongodb://h',
      },
    })
    expect(code).toBe(0)
    expect(said).toContain('TENSORHUB_TEST_MONGODB names one that is not ours')
    expect(said.trim().split('\n').at(-1)).toBe('1 server suite skipped: mongodb')
  })

  it('a word that TENSORHUB_SERVERS does not know is refused', async () => {
    const { code, said } = await run({ TENSORHUB_SERVERS: 'some' })
    expect(code).toBe(1)
    expect(said).toContain("TENSORHUB_SERVERS is 'some'; it may be all, cached or none")
  })
})
