import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const run = promisify(execFile)
const page = await readFile(new URL('../../../docs/query.md', import.meta.url), 'utf8')
const snippets = [...page.matchAll(/^### (.+)$|^## (.+)$|^```ts\n([\s\S]*?)^```$/gm)]

/** `expression // → value` becomes a check that the expression has that value. */
function withChecks(code: string): string {
  const lines = code.split('\n').map((line) => {
    const claim = /^(\S.*?) +\/\/ → (.+)$/.exec(line)
    return claim === null ? line : `;check(await (${claim[1]}), ${claim[2]})`
  })
  return `import { deepStrictEqual as check } from 'node:assert'\n${lines.join('\n')}`
}

describe('docs/query.md', () => {
  let heading = 'top'
  let count = 0
  for (const [, sub, main, code] of snippets) {
    if (code === undefined) {
      heading = sub ?? main ?? heading
      continue
    }
    count++
    it(`snippet ${count}, ${heading}`, async () => {
      const cwd = fileURLToPath(new URL('..', import.meta.url))
      await run(process.execPath, ['--input-type=module-typescript', '-e', withChecks(code)], { cwd })
    }, 60_000)
  }

  it('has snippets', () => {
    expect(count).toBeGreaterThan(7)
  })
})
