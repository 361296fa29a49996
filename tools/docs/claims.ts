import type { Snippet } from './snippets.ts'

const CLAIM = /^(\S.*?) +\/\/ → (.+)$/

/** `expression // → value` becomes a check that the expression has that value. Lines keep their numbers. */
export function withChecks(code: string): string {
  let claims = 0
  const lines = code.split('\n').map((line) => {
    const claim = CLAIM.exec(line)
    if (claim === null) {
      if (line.includes('// →'))
        throw new Error(`This claim cannot be checked; it must be an expression on a line of its own: ${line.trim()}`)
      return line
    }
    claims++
    return `;__check(await (${claim[1]}), ${claim[2]})`
  })
  return claims === 0 ? code : `import { deepStrictEqual as __check } from 'node:assert'; ${lines.join('\n')}`
}

/** What differs between the output that a page shows and what was printed; undefined when nothing does. `…` stands for anything. */
export function outputFault(snippet: Snippet, printed: string): string | undefined {
  if (snippet.output === undefined) return undefined
  const lines = trimmed(printed.split('\n'))
  if (snippet.whole === true) {
    const wanted = trimmed(snippet.output)
    const wrong = wanted.findIndex((line, i) => lines[i] === undefined || !fits(line, lines[i]))
    if (wrong >= 0) return `line ${wrong + 1} should be '${wanted[wrong]}'; printed was:\n${printed}`
    return lines.length > wanted.length ? `more was printed than the page shows:\n${printed}` : undefined
  }
  let at = 0
  for (const wanted of snippet.output) {
    const found = lines.findIndex((line, i) => i >= at && fits(wanted, line))
    if (found < 0) return `'${wanted}' was not printed, or not in this order:\n${printed}`
    at = found + 1
  }
  return undefined
}

function fits(wanted: string, line: string): boolean {
  const pattern = wanted.trimEnd().split('…').map(escaped).join('.*')
  return new RegExp(`^${pattern}$`, 'u').test(line.trimEnd())
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}

function trimmed(lines: readonly string[]): string[] {
  const end = lines.findLastIndex((line) => line.trim() !== '')
  return lines.slice(0, end + 1)
}
