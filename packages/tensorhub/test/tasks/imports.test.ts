import { createHash } from 'node:crypto'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { scriptFolder } from './script-folder.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describe('the files of a script', { timeout: 120_000 }, () => {
  it('are itself and what it imports by relative paths, hashed as documented', async () => {
    const hub = await temporaryHub()
    const files = {
      'train.ts': `
        import 'node:fs'
        import { HubError } from '@tensorhub/core'
        import type { Elsewhere } from '../../elsewhere.ts'
        import './side-effect.js'
        import * as all from './lib/all.mjs'
        import data from './a%20b.json' with { type: 'json' }
        export type { Other } from '/somewhere/other.ts'
        export default async () => ({ later: (await import('./later.mts')).later, template: (await import(\`./template.mjs\`)).template, ...all, ...data, error: HubError.name })`,
      'side-effect.js': 'globalThis.effect = 1',
      'lib/all.mjs': "export * from './deep/er.mjs'\nexport { up } from '../up.mjs'",
      'lib/deep/er.mjs': 'export const deep = 1',
      'up.mjs': '\ufeffexport const up = 2',
      'a b.json': '{"json":3}',
      'later.mts': 'export const later: number = 4',
      'template.mjs': '#!/usr/bin/env node\nexport const template = 5',
      'not-imported.mjs': 'export const secret = 1',
    }
    const file = await scriptFolder(files)
    const { script } = await hub.createTask('t', file('train.ts'))
    const expected = Object.entries(files)
      .filter(([name]) => name !== 'not-imported.mjs')
      .map(([path, text]) => ({ path, sha256: sha256(text) }))
    expect([...script.files].sort((a, b) => (a.path < b.path ? -1 : 1))).toEqual(
      expected.sort((a, b) => (a.path < b.path ? -1 : 1)),
    )
    expect(script.sha256).toBe(sha256(expected.map(({ path, sha256: hash }) => `${path}\0${hash}\n`).join('')))
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'finished',
      result: { later: 4, template: 5, deep: 1, up: 2, json: 3, error: 'HubError' },
    })
  })

  it.each<[string, string, RegExp]>([
    ['out of the folder', "import '../far.mjs'", /'main.mjs' imports '\.\.\/far\.mjs', which lies outside/],
    ['out of the folder and back', "import '../in/ok.mjs'", /'\.\.\/in\/ok\.mjs', which lies outside/],
    ['re-exported from outside', "export * from '../far.mjs'", /'\.\.\/far\.mjs', which lies outside/],
    ['dynamic, from outside', "await import('../far.mjs')", /'\.\.\/far\.mjs', which lies outside/],
    ['the folder above', "import '..'", /'\.\.', which lies outside/],
    ['absolute', "import '/etc/far.mjs'", /'\/etc\/far\.mjs', which lies outside/],
    ['a file URL', "import 'file:///etc/far.mjs'", /'file:\/\/\/etc\/far\.mjs', which lies outside/],
    ['missing', "import './gone.mjs'", /'\.\/gone\.mjs', which cannot be read \(ENOENT\)/],
    ['without its ending', "import './ok'", /'\.\/ok'.*with their endings/],
    ['a folder', "import './lib'", /'\.\/lib'.*with their endings/],
    ['a folder named like a module', "import './folder.mjs'", /'\.\/folder\.mjs', which is a folder/],
    ['the folder itself', "import '.'", /imports '\.'/],
    ['CommonJS', "import './old.cjs'", /'\.\/old\.cjs'.*modules or JSON/],
    ['with a query', "import './ok.mjs?v=1'", /'\.\/ok\.mjs\?v=1', which names no file/],
    ['badly encoded', "import './100%.mjs'", /'\.\/100%\.mjs', which names no file/],
    ['an encoded slash', "import './lib%2fdeep.mjs'", /names no file/],
    ['a link to the outside', "import './link-out.mjs'", /'\.\/link-out\.mjs', which lies outside/],
    ['through a linked folder', "import './linked/far.mjs'", /'\.\/linked\/far\.mjs', which lies outside/],
    ['a link inside', "import './link-in.mjs'", /symbolic link or another spelling of 'ok\.mjs'/],
    [
      'of an imported file',
      "import './lib/deep.mjs'",
      /'lib\/deep\.mjs' imports '\.\.\/\.\.\/far\.mjs', which lies outside/,
    ],
  ])('an import %s is refused by name', async (_what, source, message) => {
    const hub = await temporaryHub()
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'in', 'lib'), { recursive: true })
    await mkdir(join(folder, 'in', 'folder.mjs'))
    await mkdir(join(folder, 'linked'))
    for (const [name, text] of Object.entries({
      'far.mjs': '',
      'linked/far.mjs': '',
      'in/ok.mjs': '',
      'in/old.cjs': '',
      'in/lib/deep.mjs': "import '../../far.mjs'",
      'in/main.mjs': source,
    }))
      await writeFile(join(folder, name), text)
    await symlink(join(folder, 'far.mjs'), join(folder, 'in', 'link-out.mjs'))
    await symlink(join(folder, 'in', 'ok.mjs'), join(folder, 'in', 'link-in.mjs'))
    await symlink(join(folder, 'linked'), join(folder, 'in', 'linked'))
    await expect(hub.createTask('t', join(folder, 'in', 'main.mjs'))).rejects.toMatchObject({
      code: 'INVALID',
      path: 'script',
      message: expect.stringMatching(message),
    })
    expect(await hub.tasks.count()).toBe(0)
  })

  it('a script that is a link is the file it means, with what lies beside that', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'v2/main.mjs': "import { n } from './n.mjs'\nexport default () => ({ n })",
      'v2/n.mjs': 'export const n = 2',
      'n.mjs': 'export const n = 1',
    })
    await symlink(file('v2/main.mjs'), file('latest.mjs'))
    await hub.createTask('t', file('latest.mjs'))
    expect(await hub.runTopTask('t')).toMatchObject({ result: { n: 2 } })
  })

  it('that are too many or too large, and syntax that Node does not run, are refused', async () => {
    const hub = await temporaryHub()
    const many = Array.from({ length: 1001 }, (_, n) => `f${n}.mjs`)
    const file = await scriptFolder({
      ...Object.fromEntries(many.map((name) => [name, ''])),
      'many.mjs': many.map((name) => `import './${name}'`).join('\n'),
      'large.mjs': "import './data.json' with { type: 'json' }",
      'data.json': ' '.repeat(65 * 2 ** 20),
      'enum.ts': 'export enum Colour { Red }',
      'old.js': 'export default 1; const {',
    })
    for (const [name, message] of [
      ['many.mjs', /more than 1000 files/],
      ['large.mjs', /more than 1000 files or 67108864 bytes/],
      ['enum.ts', /'enum\.ts' cannot be parsed.*enum/s],
      ['old.js', /'old\.js' cannot be parsed/],
    ] as const)
      await expect(hub.createTask('t', file(name)), name).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringMatching(message),
      })
  })
})
