import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly engines: object
}
const manifestOf = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest
const root = manifestOf('.')
const published = readdirSync(join(ROOT, 'packages'))
  .map((name) => `packages/${name}`)
  .filter((folder) => manifestOf(folder).private !== true)

describe('what npm shows of a package', () => {
  it.each(published)('%s', (folder) => {
    const manifest = manifestOf(folder)
    expect(manifest).toMatchObject({
      description: expect.stringMatching(/^[A-Z@].{20,}\.$/),
      keywords: expect.arrayContaining(['machine-learning']),
      license: 'Apache-2.0',
      type: 'module',
      sideEffects: expect.anything(),
      engines: root.engines,
      files: expect.arrayContaining(['dist', 'README.md', 'LICENSE']),
      publishConfig: { access: 'public' },
    })
  })
})

describe('the READMEs of packages have one shape', () => {
  it.each(published)('%s', (folder) => {
    const { name } = manifestOf(folder)
    const readme = readFileSync(join(ROOT, folder, 'README.md'), 'utf8')
    expect(readme.split('\n')[0], 'the title').toBe(`# ${name}`)
    expect(readme, 'how it is installed').toMatch(new RegExp(`npm i (?:-D )?[^\\n]*${name}`))
    expect(readme, 'a program').toMatch(/^```ts$/m)
    expect(readme, 'what it does not do').toMatch(/^## Limits$/m)
  })
})

it('a changeset names every published package, and they move together', () => {
  const { fixed } = JSON.parse(readFileSync(join(ROOT, '.changeset/config.json'), 'utf8')) as { fixed: string[][] }
  const [first = '', scoped = ''] = fixed[0] ?? []
  const inner = /^@tensorhub\/\{(.*)\}$/.exec(scoped)?.[1]?.split(',') ?? []
  expect([first, ...inner.map((name) => `@tensorhub/${name}`)].sort()).toEqual(
    published.map((folder) => manifestOf(folder).name).sort(),
  )
})
