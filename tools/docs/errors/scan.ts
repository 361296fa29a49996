import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../pages.ts'

/** A place in the code that makes a HubError. */
export interface ErrorSite {
  readonly package: string
  /** Relative to the repository. */
  readonly file: string
  readonly code: string
  readonly reasons: readonly string[]
  readonly retryable: boolean
}

export interface CodeMeaning {
  readonly code: string
  readonly means: string
  readonly todo: string
}

interface Source {
  readonly package: string
  readonly file: string
  readonly text: string
}

/** `new HubError('CODE', …)`, and the `make('CODE', …)` by which drivers map their store's errors. */
const SITE = /\b(?:new HubError|make)\(\s*(?:'([A-Z_]+)'|([a-z]\w*))/g

/** The packages' own code. The conformance suites throw no HubError of their own. */
function sources(): Source[] {
  return readdirSync(join(ROOT, 'packages'))
    .filter((name) => name !== 'conformance')
    .flatMap((name) => {
      const folder = join('packages', name, 'src')
      return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .sort()
        .map((file) => ({
          package: name,
          file: join(folder, file),
          text: readFileSync(join(ROOT, folder, file), 'utf8'),
        }))
    })
}

/** Every place that makes a HubError with a code of its own. @throws For a `reason` that cannot be read from the code. */
export function errorSites(): ErrorSite[] {
  const all = sources()
  return all.flatMap((source) =>
    [...source.text.matchAll(SITE)].flatMap((match) => {
      const call = balanced(source.text, match.index + match[0].indexOf('('))
      const code = match[1]
      const reasons = reasonsIn(call, source, all)
      if (code === undefined) {
        if (reasons.length > 0)
          throw new Error(`${source.file}: the code of ${call.slice(0, 60)}… is no literal; write it out.`)
        return []
      }
      const { package: name, file } = source
      return [{ package: name, file, code, reasons, retryable: /retryable: true|, true,?\s*\)$/.test(call) }]
    }),
  )
}

/** The codes with their comments, in their order. */
export function codeMeanings(): CodeMeaning[] {
  const text = readFileSync(join(ROOT, 'packages/core/src/errors/hub-error.ts'), 'utf8')
  const union = /export type ErrorCode =\n([\s\S]*?)\n\n/.exec(text)?.[1] ?? ''
  const members = [...union.matchAll(/ {2}\| '([A-Z_]+)'/g)].map((match) => match[1])
  const meanings = [...union.matchAll(/\/\*\* (.+?) \| (.+?) \*\/\n {2}\| '([A-Z_]+)'/g)].map((match) => ({
    code: match[3] as string,
    means: match[1] as string,
    todo: match[2] as string,
  }))
  if (members.length === 0 || meanings.length !== members.length)
    throw new Error(
      `Each member of ErrorCode needs a comment '/** what it means | what to do *' + '/'; ${meanings.length} of ${members.length} have one.`,
    )
  return meanings
}

/** The codes that the `error` of a task may carry beside those of HubError. */
export function taskErrorCodes(): string[] {
  const codes = sources()
    .filter(({ file }) => file.startsWith(join('packages', 'tensorhub', 'src', 'tasks')))
    .flatMap(({ text }) =>
      [...text.matchAll(/\bcode: ([^\n]*)/g)].flatMap((match) =>
        [...(match[1] as string).matchAll(/'([A-Z_]+)'/g)].map((code) => code[1] as string),
      ),
    )
  return [...new Set(codes)].sort()
}

/** The text from the parenthesis at `start` to its partner. Strings are skipped, so that what they hold does not count. */
function balanced(text: string, start: number): string {
  let depth = 0
  for (let i = start; i < text.length; i++) {
    const char = text[i] as string
    if (char === "'" || char === '"' || char === '`') i = text.indexOf(char, i + 1)
    else if (char === '(') depth++
    else if (char === ')' && --depth === 0) return text.slice(start, i + 1)
    if (i < 0) break
  }
  return text.slice(start)
}

/** The reasons of one call: literals, or a parameter whose type is a union of literals. */
function reasonsIn(call: string, { file, text }: Source, all: readonly Source[]): string[] {
  const literals = [...call.matchAll(/\breason: '([A-Z_]+)'/g)].map((match) => match[1] as string)
  if (literals.length > 0 || !/[{,]\s*reason[,:}\s]/.test(call)) return literals
  const type = /\breason\??: ([A-Z]\w+)/.exec(text)?.[1]
  const alias = all
    .map((source) => new RegExp(`\\btype ${type} =([^;]*?)\\n\\n`).exec(source.text)?.[1])
    .find((found) => found !== undefined)
  const inline = /\breason\??: ((?:\s*\|?\s*'[A-Z_]+')+)/.exec(text)?.[1]
  const members = [...(alias ?? inline ?? '').matchAll(/'([A-Z_]+)'/g)].map((match) => match[1] as string)
  if (members.length === 0)
    throw new Error(`${file}: the reason in ${call.slice(0, 80)}… cannot be read; make it a literal.`)
  return members
}
