import { afterAll, describe, expect, it } from 'vitest'
import { placeSnippets, runSnippet, typeFaults } from '../../tools/docs/run-snippets.ts'
import { readSnippets } from '../../tools/docs/snippets.ts'
import { makeWorkspace } from '../../tools/docs/workspace.ts'

const workspace = makeWorkspace()
afterAll(() => workspace[Symbol.dispose]())

const block = (language: string, ...lines: string[]) => `\`\`\`${language}\n${lines.join('\n')}\n\`\`\``

/** Places the snippets of a page. */
function place(page: string, ...parts: string[]) {
  return placeSnippets(workspace.folder, readSnippets(page, parts.join('\n\n')))
}

/** Runs the last snippet of a page. */
async function runLast(page: string, ...parts: string[]) {
  const last = place(page, ...parts).at(-1)
  if (last === undefined) throw new Error('The page has no snippet.')
  await runSnippet(last)
}

describe('what is read from a page', () => {
  it('finds the snippets that are run, with heading, line, and the reason why one is not', () => {
    const found = readSnippets(
      'page.md',
      [
        '# One',
        block('ts', 'a()'),
        '## Two',
        '<!-- not run: needs a server -->',
        block('sh', 'b'),
        block('json', '{}'),
        block('js', 'c()'),
      ].join('\n\n'),
    )
    expect(found.map(({ heading, line, language, notRun }) => [heading, line, language, notRun])).toEqual([
      ['One', 4, 'ts', undefined],
      ['Two', 12, 'sh', 'needs a server'],
      ['Two', 20, 'js', undefined],
    ])
  })

  it('refuses a block that is not closed', () => {
    expect(() => readSnippets('page.md', '```ts\na()\n')).toThrow('page.md:1')
  })
})

describe('what a page claims is checked', () => {
  it('values behind arrows', async () => {
    await runLast('value.md', block('ts', '[1, 1 + 1] // → [1, 2]'))
    await expect(runLast('value-wrong.md', block('ts', '1 + 1 // → 3'))).rejects.toThrow(
      'value-wrong.md:2 ended with 1',
    )
  })

  it('and a claim that would be overlooked is refused', async () => {
    await expect(runLast('value-inside.md', block('ts', 'if (true) {', '  1 + 1 // → 3', '}'))).rejects.toThrow(
      'cannot be checked',
    )
  })

  it('output shown in comments', async () => {
    await runLast('comment.md', block('js', "console.log('a', 1) // a 1"))
    await expect(runLast('comment-wrong.md', block('js', "console.log('a') // b"))).rejects.toThrow(
      "'b' was not printed",
    )
    await expect(
      runLast('comment-order.md', block('js', "console.log('b') // a", "console.log('a') // b")),
    ).rejects.toThrow("'b' was not printed")
  })

  it('output shown in a block behind, whole, with … for what differs from run to run', async () => {
    const program = block('js', "console.log('id', Math.random())", "console.log('done')")
    await runLast('output.md', program, block('text', 'id 0.…', 'done'))
    await expect(runLast('output-wrong.md', program, block('text', 'id 0.…', 'gone'))).rejects.toThrow(
      "line 2 should be 'gone'",
    )
    await expect(runLast('output-short.md', program, block('text', 'id 0.…'))).rejects.toThrow('more was printed')
    await expect(runLast('output-long.md', program, block('text', 'id 0.…', 'done', 'more'))).rejects.toThrow('line 3')
  })

  it('commands: their end and their output', async () => {
    await runLast('command.md', block('sh', 'echo $((1 + 1))'), block('text', '2'))
    await expect(runLast('command-wrong.md', block('sh', 'false', 'true'))).rejects.toThrow('ended with 1')
  })

  it('types, as strictly as in the packages', async () => {
    const [good, bad] = place(
      'types.md',
      block('ts', 'export const a: number = 1'),
      block('ts', 'export const b: number = [1][0]'),
    )
    const faults = await typeFaults(workspace.folder)
    expect(faults.get(good?.file ?? '')).toBeUndefined()
    expect(faults.get(bad?.file ?? '')).toEqual([expect.stringMatching(/^line 1: TS2322/)])
  })

  it('a program that throws fails, and a test in a page that fails fails', async () => {
    await expect(runLast('throws.md', block('ts', "throw new Error('no')"))).rejects.toThrow('no')
    const test = (value: number) =>
      block('ts', "import { expect, it } from 'vitest'", `it('adds', () => expect(1 + 1).toBe(${value}))`)
    await runLast('test.md', test(2))
    await expect(runLast('test-wrong.md', test(3))).rejects.toThrow('expected 2 to be 3')
  })

  it('never installs packages', async () => {
    await expect(runLast('install.md', block('sh', 'npm i -D something'))).rejects.toThrow('not on npm yet')
  })
})

it('a named file lies beside the snippets that follow on its page', async () => {
  const file = block('ts', '// one.ts: the answer', 'export const answer = 42')
  await runLast('named.md', file, block('ts', "import { answer } from './one.ts'", 'answer // → 42'))
  await expect(
    runLast('named-other.md', block('ts', "import { answer } from './one.ts'", 'answer // → 42')),
  ).rejects.toThrow('ERR_MODULE_NOT_FOUND')
})
