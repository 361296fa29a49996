import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's folder. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '')

/** The pages that readers copy from, relative to the repository. */
export function docPages(): string[] {
  const top = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md']
  const docs = readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`)
  const readmes = ['packages', 'examples'].flatMap((group) =>
    readdirSync(join(ROOT, group)).map((name) => `${group}/${name}/README.md`),
  )
  return [...top, ...docs, ...readmes].filter((page) => existsSync(join(ROOT, page)))
}
