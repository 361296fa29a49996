import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { outputFault } from '../../tools/docs/claims.ts'
import { ROOT } from '../../tools/docs/pages.ts'
import { readSnippets } from '../../tools/docs/snippets.ts'
import { nameOfPair, openPair } from '../../tools/servers/pairs.ts'
import { serverSuite, serversOf } from '../../tools/servers/suites/suite.ts'

const EXAMPLE = join(ROOT, 'examples/first-steps')
const shown = readSnippets('README.md', readFileSync(join(ROOT, 'README.md'), 'utf8')).find(({ code }) =>
  code.includes('examples/first-steps start'),
)

for (const [index, blobs] of [
  ['mongodb', 'gridfs'],
  ['mongodb', 's3'],
] as const) {
  const pair = nameOfPair(index, blobs)
  await serverSuite(serversOf(index, blobs), `the README's program on ${pair}`, () => {
    it('prints what the README shows, changed by nothing but the environment', { timeout: 300_000 }, async () => {
      const stores = await openPair(index, blobs)
      try {
        const urls = await stores.newHub()
        const where =
          urls.index === urls.blobs
            ? { TENSORHUB_URL: urls.index }
            : { TENSORHUB_INDEX: urls.index, TENSORHUB_BLOBS: urls.blobs }
        const program = join(EXAMPLE, 'main.ts')
        const { stdout } = await promisify(execFile)(
          process.execPath,
          ['--disable-warning=ExperimentalWarning', program],
          { cwd: EXAMPLE, env: { ...process.env, NO_COLOR: '1', ...where } },
        )
        expect(shown?.output, 'the README shows what it prints').toBeDefined()
        expect(shown && outputFault(shown, stdout)).toBeUndefined()
      } finally {
        await stores.close()
      }
    })
  })
}
