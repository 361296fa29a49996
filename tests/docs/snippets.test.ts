import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docPages, ROOT } from '../../tools/docs/pages.ts'
import { placeSnippets, runSnippet, typeFaults, where } from '../../tools/docs/run-snippets.ts'
import { readSnippets } from '../../tools/docs/snippets.ts'
import { makeWorkspace } from '../../tools/docs/workspace.ts'

/** A program may start processes, train, and share two cores with others. */
const LONG = 300_000

const workspace = makeWorkspace()
const pages = docPages().map((page) => ({
  page,
  placed: placeSnippets(workspace.folder, readSnippets(page, readFileSync(join(ROOT, page), 'utf8'))),
}))
let faults: ReadonlyMap<string, string[]>

beforeAll(async () => {
  faults = await typeFaults(workspace.folder)
}, LONG)
afterAll(() => workspace[Symbol.dispose]())

describe('the code on the pages', () => {
  for (const { page, placed } of pages.filter((one) => one.placed.length > 0)) {
    describe(page, () => {
      for (const one of placed) {
        const { snippet } = one
        const title = `line ${snippet.line}, ${snippet.heading}: ${snippet.language}`
        const compiles = () => expect(faults.get(one.file) ?? [], where(snippet)).toEqual([])
        if (snippet.notRun !== undefined) {
          it(`${title} is not run: ${snippet.notRun}`, () => {
            if (snippet.language === 'ts') compiles()
            expect(snippet.notRun, 'a reason').toMatch(/\w+ \w+/)
          })
          continue
        }
        it(
          title,
          async () => {
            if (snippet.language === 'ts') compiles()
            await runSnippet(one)
          },
          LONG,
        )
      }
    })
  }

  it('of the README is the example', () => {
    const files =
      pages.find(({ page }) => page === 'README.md')?.placed.filter(({ snippet }) => snippet.file !== undefined) ?? []
    expect(files.map(({ snippet }) => snippet.file)).toEqual(['train.ts', 'main.ts'])
    for (const { snippet } of files)
      expect(readFileSync(join(ROOT, 'examples/first-steps', snippet.file ?? ''), 'utf8')).toBe(snippet.code)
  })

  it('is more than a few lines, on every page that must have some', () => {
    const withCode = pages.filter(({ placed }) => placed.length > 0).map(({ page }) => page)
    expect(withCode).toEqual(
      expect.arrayContaining([
        'README.md',
        'CONTRIBUTING.md',
        'docs/adapters.md',
        'docs/errors.md',
        'docs/query.md',
        'docs/tasks.md',
      ]),
    )
  })

  it('compiles as a whole: no complaint belongs to no snippet', () => {
    const known = new Set(pages.flatMap(({ placed }) => placed.map((one) => one.file)))
    expect([...faults].filter(([file]) => !known.has(file))).toEqual([])
  })
})
