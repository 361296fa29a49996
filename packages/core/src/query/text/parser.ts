import type { Operand, Value } from '../../contracts/value.ts'
import { HubError } from '../../errors/hub-error.ts'
import { isObject } from '../compare.ts'
import { decodeValue } from '../document-codec.ts'
import { type Token, tokenize } from './lexer.ts'
import { DATE_FIELDS, NAME_FIELDS, type ParseOptions, type Query, STRING_FIELDS } from './query.ts'

type Json = Record<string, unknown>
const COMPARE: Readonly<Record<string, string>> = {
  '>': '$gt',
  '>=': '$gte',
  '<': '$lt',
  '<=': '$lte',
  '!=': '$ne',
  '~': '$contains',
  '^=': '$prefix',
}
const ISO_DATE =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/**
 * Parses a query's text form: `dataset_name:mnist version:1.0 accuracy>=0.9 sort:-time limit:5` (grammar: docs/query.md). Text that begins with `{`
 * is the filter's JSON, with directives behind it.
 *
 * @throws INVALID with the position.
 */
export function parseQuery(text: string, options: ParseOptions = {}): Query {
  const trimmed = text.trimStart()
  if (trimmed.startsWith('{')) {
    const end = jsonEnd(trimmed)
    const filter = decodeJson(trimmed.slice(0, end))
    const rest = new QueryParser(trimmed.slice(end), options).query()
    if (Object.keys(rest.filter).length > 0) throw fault('Only sort:, limit: and after: may follow a JSON filter', end)
    return { ...rest, filter: filter as Query['filter'] }
  }
  return new QueryParser(text, options).query()
}

class QueryParser {
  readonly #tokens: readonly Token[]
  readonly #options: ParseOptions
  readonly #now: number
  #i = 0
  #sort: (readonly [string, 1 | -1])[] | undefined
  #limit: number | undefined
  #after: string | undefined

  constructor(text: string, options: ParseOptions) {
    if (text.length > 20_000) throw fault('The query is longer than 20,000 characters', 0)
    this.#tokens = tokenize(text)
    this.#options = options
    this.#now = (options.now ?? new Date()).getTime()
  }

  query(): Query {
    const filter = this.#peek().kind === 'end' ? {} : this.#or(0)
    if (this.#peek().kind !== 'end') throw this.#fault(`Unexpected '${this.#peek().text}'`)
    return {
      filter: filter as Query['filter'],
      ...(this.#sort ? { sort: this.#sort } : {}),
      ...(this.#limit === undefined ? {} : { limit: this.#limit }),
      ...(this.#after === undefined ? {} : { after: this.#after }),
    }
  }

  #or(depth: number): Json {
    if (depth > 10) throw this.#fault('The query is nested deeper than 10')
    const parts = [this.#and(depth)]
    while (this.#isWord('OR')) {
      this.#i++
      parts.push(this.#and(depth))
    }
    if (parts.length > 1 && parts.some((part) => Object.keys(part).length === 0))
      throw this.#fault('OR needs a term on both sides')
    return parts.length === 1 ? (parts[0] as Json) : { $or: parts }
  }

  #and(depth: number): Json {
    const parts: Json[] = []
    for (;;) {
      const token = this.#peek()
      if (token.kind === 'end' || token.kind === ')' || this.#isWord('OR')) break
      if (this.#isWord('AND')) {
        if (parts.length === 0) throw this.#fault('AND needs a term before it')
        this.#i++
        const next = this.#peek()
        if (next.kind === 'end' || next.kind === ')' || this.#isWord('OR') || this.#isWord('AND'))
          throw this.#fault('AND needs a term behind it')
      }
      const part = this.#unary(depth)
      if (part !== undefined) parts.push(part)
    }
    return conjunction(parts)
  }

  /** A term, or undefined for a directive. */
  #unary(depth: number): Json | undefined {
    if (depth > 10) throw this.#fault('The query is nested deeper than 10')
    const minus = this.#peek().kind === '-'
    if (minus || this.#isWord('NOT')) {
      this.#i++
      if (minus && this.#peek().space) throw this.#fault('A minus stands right before what it excludes')
      const part = this.#unary(depth + 1)
      if (part === undefined) throw this.#fault('A directive cannot be excluded')
      return { $nor: [part] }
    }
    if (this.#peek().kind === '(') {
      this.#i++
      const inner = this.#or(depth + 1)
      if (Object.keys(inner).length === 0) throw this.#fault('Parentheses need a term inside')
      if (this.#peek().kind !== ')') throw this.#fault("A '(' is not closed")
      this.#i++
      return inner
    }
    return this.#term()
  }

  #term(): Json | undefined {
    const token = this.#peek()
    if (token.kind === 'op')
      throw this.#fault(`'${token.text}' must stand behind its field without a space, as in accuracy>=0.9`)
    if (token.kind !== 'word' && token.kind !== 'quoted') throw this.#fault(`Unexpected '${token.text || 'end'}'`)
    const field = this.#field()
    if (field.startsWith('$')) throw this.#fault(`'${field}' is no field; operators are written as signs`)
    const next = this.#peek()
    if (next.kind === 'op' && !next.space) {
      this.#i++
      return this.#comparison(token.kind === 'word' && field === 'tag' ? 'tags' : field, next.text)
    }
    if (next.kind === ':' && !next.space) {
      this.#i++
      return token.kind === 'word' ? this.#afterColon(field) : this.#values(field)
    }
    const { kind } = this.#options
    const name = kind !== undefined && Object.hasOwn(NAME_FIELDS, kind) ? (NAME_FIELDS[kind] as string) : 'name'
    return { [name]: { $prefix: field } }
  }

  /** A field or a bare word: pieces that stand together. */
  #field(): string {
    let text = (this.#next() as Token).text
    for (
      let token = this.#peek();
      !token.space &&
      (token.kind === 'quoted' || token.kind === 'word') &&
      (text.endsWith('.') || token.text.startsWith('.'));
      token = this.#peek()
    ) {
      text += this.#next().text
    }
    return text
  }

  #afterColon(field: string): Json | undefined {
    switch (field) {
      case 'sort':
        if (this.#sort !== undefined) throw this.#fault('sort: stands twice')
        this.#sort = this.#sortKeys()
        return undefined
      case 'limit': {
        if (this.#limit !== undefined) throw this.#fault('limit: stands twice')
        const { text } = this.#next()
        if (!/^\d{1,9}$/.test(text)) throw this.#fault('limit: needs a whole number')
        this.#limit = Number(text)
        return undefined
      }
      case 'after':
        if (this.#after !== undefined) throw this.#fault('after: stands twice')
        this.#after = this.#text('after: needs a cursor')
        return undefined
      case 'has':
      case 'missing':
        return { [this.#text(`${field}: needs a field`)]: { $exists: field === 'has' } }
      case 'tag':
        return this.#values('tags')
      default:
        return this.#values(field)
    }
  }

  #sortKeys(): (readonly [string, 1 | -1])[] {
    const keys: (readonly [string, 1 | -1])[] = []
    do {
      let dir: 1 | -1 = 1
      if (this.#peek().kind === '-') {
        this.#i++
        dir = -1
      }
      const plus = this.#peek().kind === 'word' && this.#peek().text.startsWith('+')
      let name = this.#text('sort: needs a field')
      if (plus) name = name.slice(1)
      keys.push([name, dir])
    } while (this.#accept(','))
    return keys
  }

  #comparison(field: string, operator: string): Json {
    const value = this.#value(field, operator === '~' || operator === '^=')
    if (operator === '=') return { [field]: value }
    if ((operator === '~' || operator === '^=') && typeof value !== 'string')
      throw this.#fault(`'${operator}' needs a text`)
    return { [field]: { [COMPARE[operator] as string]: value } }
  }

  #values(field: string): Json {
    const token = this.#peek()
    if (token.kind === 'op' && ['>', '>=', '<', '<='].includes(token.text)) {
      this.#i++
      return this.#comparison(field, token.text)
    }
    if (token.kind === '..') return this.#range(field, undefined)
    if (token.kind === 'word' && token.text === '*' && this.#tokens[this.#i + 1]?.kind === '..') {
      this.#i++
      return this.#range(field, undefined)
    }
    const first = this.#value(field, false)
    if (this.#peek().kind === '..' && !this.#peek().space) return this.#range(field, first)
    if (this.#peek().kind !== ',') return { [field]: first }
    const all = [first]
    while (this.#accept(',')) all.push(this.#value(field, false))
    return { [field]: { $in: all } }
  }

  #range(field: string, from: Operand | undefined): Json {
    this.#i++
    const token = this.#peek()
    const open = token.kind === 'end' || token.space || (token.kind === 'word' && token.text === '*')
    if (open && token.kind === 'word' && !token.space) this.#i++
    const to = open ? undefined : this.#value(field, false)
    if (from === undefined && to === undefined) throw this.#fault('A range needs at least one end')
    return { [field]: { ...(from === undefined ? {} : { $gte: from }), ...(to === undefined ? {} : { $lte: to }) } }
  }

  /** A literal: its text for fields declared as text, otherwise a number, date, true, false, null, or text. */
  #value(field: string, asText: boolean): Operand {
    const negative = this.#peek().kind === '-'
    if (negative) this.#i++
    const token = this.#next()
    const behind = this.#peek()
    if (!behind.space && ['word', 'quoted', '-', '('].includes(behind.kind))
      throw this.#fault('White space is missing behind a value (or quotes around it)')
    if (token.kind === 'quoted') {
      if (negative) throw this.#fault('A minus before a quotation has no meaning')
      return this.#isDate(field) ? this.#date(token.text) : token.text
    }
    if (token.kind !== 'word') throw this.#fault(`A value was expected, not '${token.text || 'the end'}'`)
    const text = negative ? `-${token.text}` : token.text
    if (asText || (this.#isString(field) && text !== 'null')) return text
    const relative = /^-(\d+)([mhdw])$/.exec(text)
    if (relative !== null) {
      const date = new Date(this.#now - Number(relative[1]) * (UNITS[relative[2] as string] as number))
      if (Number.isNaN(date.getTime())) throw this.#fault(`'${text}' lies before all dates`)
      return date
    }
    if (this.#isDate(field)) return text === 'null' ? null : this.#date(text)
    if (text === 'true') return true
    if (text === 'false') return false
    if (text === 'null') return null
    if (/^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)))
      return BigInt.asIntN(64, BigInt(text)) === BigInt(text) ? BigInt(text) : Number(text)
    if (/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text) + 0
    return ISO_DATE.test(text) ? this.#date(text) : text
  }

  #isString(field: string): boolean {
    return this.#options.types?.[field] === 'string' || STRING_FIELDS.has(field)
  }

  #isDate(field: string): boolean {
    return this.#options.types?.[field] === 'date' || DATE_FIELDS.has(field)
  }

  /** A date is UTC unless it names its zone, so that a query means the same on every machine. */
  #date(text: string): Date {
    const parts = ISO_DATE.exec(text)
    const date = new Date(parts?.[2] !== undefined && parts[3] === undefined ? `${text}Z` : text)
    // JavaScript rolls February 30 over into March.
    const real = parts !== null && new Date(`${parts[1]}T00:00Z`).toISOString().startsWith(parts[1] as string)
    if (!real || Number.isNaN(date.getTime()))
      throw this.#fault(`'${text}' is no date; write 2026-11-24, 2026-11-24T10:00:00Z or -2d`)
    return date
  }

  #text(what: string): string {
    const token = this.#peek()
    if (token.kind !== 'word' && token.kind !== 'quoted') throw this.#fault(what)
    return this.#field()
  }

  #peek(): Token {
    return this.#tokens[this.#i] as Token
  }

  #next(): Token {
    const token = this.#peek()
    if (token.kind !== 'end') this.#i++
    return token
  }

  #accept(kind: Token['kind']): boolean {
    if (this.#peek().kind !== kind) return false
    this.#i++
    return true
  }

  #isWord(text: string): boolean {
    const token = this.#peek()
    const next = this.#tokens[this.#i + 1]
    return (
      token.kind === 'word' &&
      token.text === text &&
      !(next !== undefined && !next.space && (next.kind === ':' || next.kind === 'op'))
    )
  }

  #fault(message: string): HubError {
    return fault(message, this.#peek().at)
  }
}

/** Terms joined by AND: one object where their fields differ, `$and` where they repeat. */
function conjunction(parts: readonly Json[]): Json {
  if (parts.length === 1) return parts[0] as Json
  const keys = parts.flatMap((part) => Object.keys(part))
  if (new Set(keys).size !== keys.length) return { $and: parts }
  const all: Json = {}
  for (const part of parts)
    for (const [key, value] of Object.entries(part))
      Object.defineProperty(all, key, { value, enumerable: true, writable: true, configurable: true })
  return all
}

function jsonEnd(text: string): number {
  let depth = 0
  let inText = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (inText) {
      if (c === '\\') i++
      else if (c === '"') inText = false
    } else if (c === '"') inText = true
    else if (c === '{') depth++
    else if (c === '}' && --depth === 0) return i + 1
  }
  throw fault("The JSON filter's braces do not close", text.length)
}

function decodeJson(text: string): Json {
  let value: Value
  try {
    value = decodeValue(text)
  } catch (cause) {
    throw new HubError(
      'INVALID',
      `The JSON filter cannot be read: ${cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : (cause as Error).message}`,
      {
        at: { scheme: 'core', op: 'query' },
        reason: 'QUERY_TEXT',
        cause,
      },
    )
  }
  checkDuplicateKeys(text)
  if (!isObject(value)) throw fault('The JSON filter is no object', 0)
  return value as Json
}

/** JSON.parse would keep the last of two equal keys and drop a condition in silence. */
function checkDuplicateKeys(text: string): void {
  const stack: (Set<string> | undefined)[] = []
  const strings = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/g
  for (let match = strings.exec(text); match !== null; match = strings.exec(text)) {
    const piece = match[0]
    if (piece === '{') stack.push(new Set())
    else if (piece === '[') stack.push(undefined)
    else if (piece === '}' || piece === ']') stack.pop()
    else if (/^\s*:/.test(text.slice(strings.lastIndex))) {
      const keys = stack.at(-1)
      const key = JSON.parse(piece) as string
      if (keys?.has(key)) throw fault(`The key '${key}' stands twice in one object`, match.index)
      keys?.add(key)
    }
  }
}

function fault(message: string, at: number): HubError {
  return new HubError('INVALID', `${message} (at character ${at + 1} of the query).`, {
    at: { scheme: 'core', op: 'query' },
    path: String(at),
    reason: 'QUERY_TEXT',
  })
}
