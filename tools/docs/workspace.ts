import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from './pages.ts'

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** A temporary folder from which the packages of this repository, and what they depend on, are importable by name. */
export interface Workspace extends Disposable {
  readonly folder: string
}

/** Makes the folder, with the repository's compiler settings in its tsconfig.json. */
export function makeWorkspace(): Workspace {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tensorhub-docs-')))
  const packages = ['packages', 'examples']
    .flatMap((group) => readdirSync(join(ROOT, group)).map((name) => join(ROOT, group, name)))
    .filter((path) => existsSync(join(path, 'package.json')))
  for (const path of packages) link(folder, manifestOf(path).name, path)
  for (const path of [ROOT, ...packages]) {
    const { dependencies = {}, devDependencies = {} } = manifestOf(path)
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
      const installed = join(path, 'node_modules', name)
      if (existsSync(installed)) link(folder, name, realpathSync(installed))
    }
  }
  writeFileSync(join(folder, 'package.json'), '{ "name": "docs", "private": true, "type": "module" }\n')
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: join(ROOT, 'tsconfig.base.json'), include: ['pages'] }),
  )
  return {
    folder,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }),
  }
}

function manifestOf(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Manifest
}

function link(folder: string, name: string, target: string): void {
  const path = join(folder, 'node_modules', name)
  if (existsSync(path)) return
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(target, path, 'dir')
}
