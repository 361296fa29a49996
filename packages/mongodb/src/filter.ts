import type { Operand, Order, Path, Predicate } from '@tensorhub/core'
import type { Document } from 'mongodb'

/** A filter in MongoDB's language. When not exact it lets through more than matches, and core's `matches()` decides. */
export interface CompiledFilter {
  readonly filter: Document
  readonly exact: boolean
}

const EVERYTHING: CompiledFilter = { filter: {}, exact: true }
const UNDECIDED: CompiledFilter = { filter: {}, exact: false }
const NOTHING: CompiledFilter = { filter: { _id: { $in: [] } }, exact: true }

/**
 * The filter that is sent: built anew from the closed tree, so that no operator in it comes from a caller. Values stand only behind an operator (`$eq`, never `{ field: value }`).
 */
export function compileFilter(where: Predicate): CompiledFilter {
  switch (where.op) {
    case 'everything':
      return EVERYTHING
    case 'and':
      return all(where.of.map(compileFilter))
    case 'or':
      return some(where.of.map(compileFilter))
    case 'nor':
      return negated(some(where.of.map(compileFilter)))
    case 'not':
      return negated(compileFilter(where.of))
    case 'all':
      // Written out: `$all` itself differs between servers on nested arrays and on an empty list.
      if (where.values.length === 0) return NOTHING
      return all(where.values.map((value) => compileFilter({ op: 'eq', path: where.path, value })))
    default:
      return compileField(where)
  }
}

type FieldPredicate = Extract<Predicate, { readonly path: Path }>

function compileField(where: FieldPredicate): CompiledFilter {
  const name = where.path.join('.')
  // No document has a field without a name, and MongoDB's versions differ on what such a path means; the other name is one that the driver's serializer cannot send.
  if (where.path.includes('') || name === '_bsontype') return UNDECIDED
  const condition = conditionOf(where)
  if (condition === 'nothing') return NOTHING
  if (condition === undefined) return UNDECIDED
  const negative = where.op === 'ne' || where.op === 'nin' || (where.op === 'exists' && !where.value)
  const exact = condition.exact && !servers(where.path, where)
  if (!exact && negative) return UNDECIDED
  return { filter: { [name]: condition.test }, exact }
}

interface Condition {
  readonly test: Document
  readonly exact: boolean
}

/** What servers disagree about: indexes into arrays, and null behind a dotted path (query.md §9). Sent as it is, and decided here. */
function servers(path: Path, where: FieldPredicate): boolean {
  if (path.some((step) => /^\d+$/.test(step))) return true
  return path.length > 1 && 'value' in where
    ? where.value === null
    : 'values' in where && path.length > 1 && where.values.includes(null)
}

/** One condition as an object of operators; `nothing` when no value can satisfy it, undefined when it cannot be said. */
function conditionOf(where: FieldPredicate): Condition | 'nothing' | undefined {
  switch (where.op) {
    case 'eq':
      return exactly({ $eq: operand(where.value) })
    case 'ne':
      return exactly({ $ne: operand(where.value) })
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
      // Null and NaN equal only themselves.
      if (where.value === null || Number.isNaN(where.value))
        return where.op === 'gt' || where.op === 'lt' ? 'nothing' : exactly({ $eq: where.value })
      return exactly({ [`$${where.op}`]: operand(where.value) })
    case 'in':
      return where.values.length === 0 ? 'nothing' : exactly({ $in: where.values.map(operand) })
    case 'nin':
      return exactly({ $nin: where.values.map(operand) })
    case 'all':
      return where.values.length === 0 ? 'nothing' : exactly({ $all: where.values.map(operand) })
    case 'exists':
      return exactly({ $exists: where.value })
    case 'size':
      return exactly({ $size: where.value })
    case 'type':
      return exactly({ $type: [...where.types] })
    case 'prefix':
      return literal('^', where.value)
    case 'contains':
      return literal('', where.value)
    case 'regex':
      return regex(where.pattern, where.ignoreCase)
    case 'elemMatch':
      return elemMatch(where.of)
  }
}

function exactly(test: Document): Condition {
  return { test, exact: true }
}

/** Operands are scalars and arrays of them, which BSON takes as they are; bigints become int64. */
function operand(value: Operand): unknown {
  return Array.isArray(value) ? value.map(operand) : value
}

/** Characters of a text that go into a pattern: MongoDB takes 16 KiB, compatible servers less. https://www.mongodb.com/docs/manual/reference/operator/query/regex/ */
const TEXT_MOST = 128

/** Of a long text only its beginning is sent. */
function literal(start: '' | '^', text: string): Condition {
  if (text.length <= TEXT_MOST) return exactly({ $regex: start + escaped(text) })
  // Not half of a character that takes two units.
  const whole = text.slice(0, TEXT_MOST).replace(/[\ud800-\udbff]$/, '')
  return { test: { $regex: start + escaped(whole) }, exact: false }
}

/** Text as a pattern that means just that text. NUL may not stand in a pattern. */
function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&').replaceAll('\u0000', '\\x00')
}

/**
 * A pattern is sent when it has nothing on which engines differ: letters, digits and spaces of ASCII, escaped punctuation, groups, alternatives, `* + ?`, `^`. The rest (`.`, `$`,
 * classes, ignored case: line ends and foldings differ between PCRE, Java's and Rust's engines; repeated groups, on which a backtracking engine may give up) goes as its literal beginning or as "any text", and core decides.
 */
function regex(pattern: string, ignoreCase: boolean): Condition {
  if (
    !ignoreCase &&
    !/\)[*+]/.test(pattern) &&
    /^(?:[A-Za-z0-9 _:,;=@~'"<>&%!#-]|\\[!-/:;=?@[\]^_`{-~]|[()|*+?^]|\(\?:)*$/.test(pattern)
  )
    return exactly({ $regex: pattern })
  const start = ignoreCase || /[|?*{]/.test(pattern) ? undefined : /^\^([A-Za-z0-9 _-]+)/.exec(pattern)?.[1]
  return start === undefined
    ? { test: { $type: ['string'] }, exact: false }
    : { test: { $regex: `^${escaped(start)}` }, exact: false }
}

function elemMatch(of: Predicate): Condition | 'nothing' | undefined {
  if (!onElement(of)) {
    const inner = compileFilter(of)
    // Some servers take `$or` and the like here for operators on the element: only conditions on its fields are sent.
    const fields = Object.entries(inner.filter).filter(([name]) => !name.startsWith('$'))
    if (fields.length === 0) return { test: { $type: ['array'] }, exact: false }
    const whole = fields.length === Object.keys(inner.filter).length
    return { test: { $elemMatch: Object.fromEntries(fields) }, exact: inner.exact && whole }
  }
  const test = elementTest(of)
  return test === undefined ? { test: { $type: ['array'] }, exact: false } : exactly({ $elemMatch: test })
}

/** Operators on the element itself, as one object; undefined where they cannot stand in one. */
function elementTest(of: Predicate): Document | undefined {
  if (of.op === 'and') {
    const merged: Document = {}
    for (const part of of.of) {
      const test = elementTest(part)
      if (test === undefined || Object.keys(test).some((key) => Object.hasOwn(merged, key))) return undefined
      Object.assign(merged, test)
    }
    return merged
  }
  if (of.op === 'not') {
    const test = elementTest(of.of)
    return test === undefined ? undefined : { $not: test }
  }
  if (!('path' in of) || of.path.length > 0) return undefined
  const condition = conditionOf(of)
  if (condition === 'nothing') return { $in: [] }
  return condition?.exact ? condition.test : undefined
}

function onElement(where: Predicate): boolean {
  if ('path' in where) return where.path.length === 0
  if (where.op === 'not') return onElement(where.of)
  return where.op !== 'everything' && where.of.some(onElement)
}

/** Conditions on fields stand in one object, so that simple servers find their index; what would stand there twice, in `$and`. */
function all(parts: readonly CompiledFilter[]): CompiledFilter {
  const merged: Document = {}
  const rest: Document[] = []
  for (const { filter } of parts) {
    if (!joins(merged, filter)) rest.push(filter)
    else
      for (const [name, test] of Object.entries(filter))
        merged[name] = Object.hasOwn(merged, name) ? { ...merged[name], ...test } : test
  }
  const filter = rest.length === 0 ? merged : { $and: [merged, ...rest] }
  return { filter, exact: parts.every((part) => part.exact) }
}

function joins(merged: Document, filter: Document): boolean {
  return Object.entries(filter).every(
    ([name, test]) =>
      !Object.hasOwn(merged, name) ||
      (!name.startsWith('$') &&
        !Object.keys(test as Document).some((operator) => Object.hasOwn(merged[name] as Document, operator))),
  )
}

function some(parts: readonly CompiledFilter[]): CompiledFilter {
  if (parts.some((part) => part.exact && isEmpty(part.filter))) return EVERYTHING
  if (parts.some((part) => isEmpty(part.filter))) return UNDECIDED
  if (parts.length === 1) return parts[0] as CompiledFilter
  return { filter: { $or: parts.map((part) => part.filter) }, exact: parts.every((part) => part.exact) }
}

function isEmpty(filter: Document): boolean {
  return Object.keys(filter).length === 0
}

/** What is only roughly known cannot be negated. */
function negated(part: CompiledFilter): CompiledFilter {
  if (!part.exact) return UNDECIDED
  return isEmpty(part.filter) ? NOTHING : { filter: { $nor: [part.filter] }, exact: true }
}

/** Pairs rather than an object, whose digits-only keys JavaScript would move to the front. */
export function compileOrder(order: Order): [string, 1 | -1][] {
  return order.map(({ path, dir }) => [path.join('.'), dir])
}

/** Sorting through an index into an array differs between servers. */
export function isExactOrder(order: Order): boolean {
  return order.every(({ path }) => !path.some((step) => /^\d+$/.test(step)))
}

/** The one `_id` that a filter demands, if it does. */
export function pinnedId(where: Predicate): string | undefined {
  if (where.op === 'eq' && where.path.length === 1 && where.path[0] === '_id' && typeof where.value === 'string')
    return where.value
  if (where.op !== 'and') return undefined
  for (const part of where.of) {
    const id = pinnedId(part)
    if (id !== undefined) return id
  }
  return undefined
}
