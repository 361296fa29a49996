import { HubError } from '../../errors/hub-error.ts'

/** Kinds of a token. `space` says whether white space stood before it: `a >= 1` is three terms' worth of nonsense, `a>=1` is one. */
export interface Token {
  readonly kind: 'word' | 'quoted' | 'op' | ':' | '(' | ')' | ',' | '..' | '-' | 'end'
  readonly text: string
  readonly at: number
  readonly space: boolean
}

const OPERATORS = ['>=', '<=', '!=', '^=', '=', '>', '<', '~'] as const

/** A date with a time holds colons, which otherwise end a word. */
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?/

/**
 * Splits query text into tokens. A bare word runs up to white space or one of `( ) , : "`, an operator, or `..`; a minus is a token of its own only
 * at a word's beginning.
 *
 * @throws INVALID with the position.
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    const start = at
    while (/\s/.test(text[at] ?? '')) at++
    const space = at > start || at === 0
    const c = text[at]
    if (c === undefined) {
      tokens.push({ kind: 'end', text: '', at, space })
      return tokens
    }
    const push = (kind: Token['kind'], value: string, length: number) => {
      tokens.push({ kind, text: value, at, space })
      at += length
    }
    const date = ISO_TIME.exec(text.slice(at))
    if (date !== null) {
      push('word', date[0], date[0].length)
      continue
    }
    const operator = OPERATORS.find((op) => text.startsWith(op, at))
    if (operator !== undefined) push('op', operator, operator.length)
    else if (text.startsWith('..', at)) push('..', '..', 2)
    else if (c === '(' || c === ')' || c === ',' || c === ':') push(c, c, 1)
    else if (c === '"') {
      const { value, length } = quoted(text, at)
      push('quoted', value, length)
    } else if (c === '-') push('-', '-', 1)
    else {
      const word = bare(text, at)
      push('word', word, word.length)
    }
  }
}

function quoted(text: string, at: number): { value: string; length: number } {
  let value = ''
  for (let i = at + 1; i < text.length; i++) {
    const c = text[i] as string
    if (c === '"') return { value, length: i + 1 - at }
    if (c === '\\') {
      i++
      if (i >= text.length) break
      value += text[i]
    } else {
      value += c
    }
  }
  throw new HubError('INVALID', `The quotation that begins at character ${at + 1} has no end.`, {
    at: { scheme: 'core', op: 'query' },
    path: String(at),
    reason: 'QUERY_TEXT',
  })
}

function bare(text: string, at: number): string {
  let end = at
  while (end < text.length) {
    const c = text[end] as string
    if (/[\s(),:"]/.test(c) || text.startsWith('..', end) || OPERATORS.some((op) => text.startsWith(op, end))) break
    end++
  }
  return text.slice(at, end)
}
