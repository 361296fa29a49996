/** A code block of a page that is run. */
export interface Snippet {
  /** The page, relative to the repository. */
  readonly page: string
  /** The last heading before it. */
  readonly heading: string
  /** The line of its first line of code, from 1. */
  readonly line: number
  readonly language: 'ts' | 'js' | 'sh'
  readonly code: string
  /** The file it is, where its first line says so (`// train.ts: …`); later snippets of the page find it beside them. */
  readonly file?: string
  /** What the page says it prints: the `text` block right behind it, or the comments behind its `console.log` lines. */
  readonly output?: readonly string[]
  /** Whether `output` is all that it prints, in this order, or lines among others. */
  readonly whole?: boolean
  /** The page's reason why it is not run: `<!-- not run: … -->` right before it. */
  readonly notRun?: string
}

const FENCE = /^```(\w*)[^\n]*$/
const HEADING = /^#+ +(.+)$/
const NOT_RUN = /^<!-- not run: (.+) -->$/
const FILE = /^(?:\/\/|#) ([\w-]+(?:\.[\w-]+)*\.(?:ts|js|mjs))\b/
const PRINTED = /^\s*console\.log\(.*\) \/\/ (?!→)(.+)$/

/** The snippets of a page in the languages that are run. @throws When a block is not closed. */
export function readSnippets(page: string, text: string): Snippet[] {
  const lines = text.split('\n')
  const snippets: Snippet[] = []
  let heading = page
  let notRun: string | undefined
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string
    const language = FENCE.exec(line)?.[1]
    if (language === undefined) {
      heading = HEADING.exec(line)?.[1] ?? heading
      if (line !== '') notRun = NOT_RUN.exec(line)?.[1]
      continue
    }
    const end = closing(lines, i, page)
    if (language === 'ts' || language === 'js' || language === 'sh') {
      const body = lines.slice(i + 1, end)
      const file = language === 'sh' ? undefined : FILE.exec(body[0] ?? '')?.[1]
      const shown = outputBehind(lines, end, page)
      const comments = body.map((one) => PRINTED.exec(one)?.[1]).filter((one) => one !== undefined)
      snippets.push({
        page,
        heading,
        line: i + 2,
        language,
        code: `${body.join('\n')}\n`,
        ...(file === undefined ? {} : { file }),
        ...(shown !== undefined
          ? { output: shown, whole: true }
          : comments.length > 0
            ? { output: comments, whole: false }
            : {}),
        ...(notRun === undefined ? {} : { notRun }),
      })
    }
    notRun = undefined
    i = end
  }
  return snippets
}

/** The index of the line that closes the block begun at `start`. */
function closing(lines: readonly string[], start: number, page: string): number {
  const end = lines.indexOf('```', start + 1)
  if (end < 0) throw new Error(`${page}:${start + 1}: this code block is not closed.`)
  return end
}

/** The `text` block right behind line `end`, if there is one. */
function outputBehind(lines: readonly string[], end: number, page: string): string[] | undefined {
  const next = lines[end + 1] === '' ? end + 2 : end + 1
  return lines[next] === '```text' ? lines.slice(next + 1, closing(lines, next, page)) : undefined
}
