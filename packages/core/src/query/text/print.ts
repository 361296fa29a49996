import { filterText } from '../identity.ts'
import { parseQuery } from './parser.ts'
import { DATE_FIELDS, type ParseOptions, type Query, STRING_FIELDS } from './query.ts'

/**
 * A query's text, such that `parseQuery(printQuery(q, o), o)` is `q` again (-0 comes back as 0, an empty sort as none). What the grammar cannot say
 * is written as JSON; whether it can is decided by reading the text back.
 *
 * @throws INVALID when the filter is none.
 */
export function printQuery(query: Query, options: ParseOptions = {}): string {
  const directives: string[] = []
  if (query.sort !== undefined && query.sort.length > 0)
    directives.push(`sort:${query.sort.map(([path, dir]) => `${dir === -1 ? '-' : ''}${word(path)}`).join(',')}`)
  if (query.limit !== undefined) directives.push(`limit:${query.limit}`)
  if (query.after !== undefined) directives.push(`after:${word(query.after)}`)
  const json = filterText(query.filter)
  const terms = printFilter(query.filter)
  if (terms !== undefined) {
    const text = [...(terms === '' ? [] : [terms]), ...directives].join(' ')
    if (same(text, json, options)) return text
  }
  return [json, ...directives].join(' ')
}

function same(text: string, json: string, options: ParseOptions): boolean {
  try {
    return filterText(parseQuery(text, options).filter) === json
  } catch {
    // Whatever the reason, this text is not the query's.
    return false
  }
}

const SIGNS: Readonly<Record<string, string>> = {
  $gt: '>',
  $gte: '>=',
  $lt: '<',
  $lte: '<=',
  $ne: '!=',
  $contains: '~',
  $prefix: '^=',
}

function printFilter(filter: Readonly<Record<string, unknown>>): string | undefined {
  const parts: string[] = []
  for (const [key, value] of Object.entries(filter)) {
    const part = key.startsWith('$') ? printLogic(key, value) : printField(key, value)
    if (part === undefined) return undefined
    parts.push(part)
  }
  return parts.join(' ')
}

function printLogic(key: string, value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined
  const parts = value.map((part) => printFilter(part as Readonly<Record<string, unknown>>))
  if (parts.some((part) => part === undefined || part === '')) return undefined
  if (key === '$or') return `(${parts.join(' OR ')})`
  if (key === '$and') return parts.join(' ')
  return key === '$nor' && parts.length === 1 ? `-(${parts[0]})` : undefined
}

function printField(field: string, value: unknown): string | undefined {
  const name = word(field)
  if (typeof value !== 'object' || value === null || value instanceof Date) return literal(field, value, `${name}:`)
  const keys = Object.keys(value)
  const held = value as Readonly<Record<string, unknown>>
  if (keys.length === 1) {
    const key = keys[0] as string
    if (key === '$exists') return `${held[key] === true ? 'has' : 'missing'}:${name}`
    if (key === '$in' && Array.isArray(held[key]) && (held[key] as unknown[]).length > 1) {
      const all = (held[key] as unknown[]).map((one) => literal(field, one, ''))
      return all.includes(undefined) ? undefined : `${name}:${all.join(',')}`
    }
    const sign = SIGNS[key]
    return sign === undefined ? undefined : literal(field, held[key], `${name}${sign}`)
  }
  if (keys.length === 2 && keys[0] === '$gte' && keys[1] === '$lte') {
    const from = literal(field, held.$gte, '')
    const to = literal(field, held.$lte, '')
    return from === undefined || to === undefined ? undefined : `${name}:${from}..${to}`
  }
  return undefined
}

function literal(field: string, value: unknown, before: string): string | undefined {
  if (value instanceof Date) return `${before}${value.toISOString()}`
  switch (typeof value) {
    case 'string':
      return `${before}${STRING_FIELDS.has(field) && !DATE_FIELDS.has(field) ? word(value) : quote(value)}`
    case 'number':
      return Number.isFinite(value) ? `${before}${value}` : undefined
    case 'boolean':
    case 'bigint':
      return `${before}${value}`
    default:
      return value === null ? `${before}null` : undefined
  }
}

/** A bare word where it reads back as it is, else a quotation. */
function word(text: string): string {
  return /^[\p{L}\p{N}_.@/][\p{L}\p{N}_.@/+-]*$/u.test(text) &&
    !text.includes('..') &&
    !/^(AND|OR|NOT|true|false|null)$/.test(text)
    ? text
    : quote(text)
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, (c) => `\\${c}`)}"`
}
