import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { docPages, ROOT } from '../../tools/docs/pages.ts'

const textOf = (path: string) => readFileSync(path, 'utf8')

/** What GitHub makes of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

function anchorsOf(path: string): string[] {
  return [...textOf(path).matchAll(/^#+ +(.+)$/gm)].map((match) => anchor(match[1] as string))
}

describe('links between pages', () => {
  for (const page of docPages()) {
    it(page, () => {
      const file = join(ROOT, page)
      const prose = textOf(file).replace(/^```[\s\S]*?^```$/gm, '')
      const links = [...prose.matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
      const broken = links.flatMap(([link, path = '', hash]) => {
        const target = path === '' ? file : join(dirname(file), path)
        if (!existsSync(target)) return [`${link}: there is no such file`]
        if (hash === undefined) return []
        if (statSync(target).isDirectory() || !anchorsOf(target).includes(hash))
          return [`${link}: there is no such heading`]
        return []
      })
      expect(broken).toEqual([])
    })
  }
})

describe('docs/guarantees.md', () => {
  const page = textOf(join(ROOT, 'docs/guarantees.md'))
  const proofs = [...page.matchAll(/\]\(\.\.\/([^)]+\.ts)\): "([^"]+)"/g)].map(
    (match) => [match[1] as string, match[2] as string] as const,
  )

  it('names tests', () => expect(proofs.length).toBeGreaterThan(25))

  it.each(proofs)('%s has "%s"', (file, title) => {
    expect(textOf(join(ROOT, file)), 'the title of a test; it was renamed or is gone').toContain(title)
  })
})
