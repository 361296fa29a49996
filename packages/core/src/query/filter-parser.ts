import type { Predicate } from '../contracts/predicate.ts'
import type { Operand, Path, TypeName } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'
import { isObject } from './compare.ts'
import { parsePath } from './path.ts'
import { checkRegex } from './regex-subset.ts'

/** Limits of one filter; beyond them a query is refused, so that a stranger's filter cannot cost much. */
export const LIMITS = { depth: 10, nodes: 200, values: 1000 } as const

const TYPES: ReadonlySet<string> = new Set<TypeName>(['number', 'string', 'bool', 'date', 'null', 'array', 'object'])
const COMPARISONS: Readonly<Record<string, 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte'>> = {
  $eq: 'eq',
  $ne: 'ne',
  $gt: 'gt',
  $gte: 'gte',
  $lt: 'lt',
  $lte: 'lte',
}
const KNOWN =
  '$eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $nor $not $all $elemMatch $size $type $prefix $contains $regex'

/**
 * Parses a MongoDB-shaped filter once into the closed tree that drivers take. Nothing of the caller's object is kept.
 *
 * @param input E.g. `{ accuracy: { $gte: 0.9 }, $or: [{ a: 1 }, { b: null }] }`; `{}` means everything.
 * @throws INVALID with the path of the fault; `reason` QUERY_OPERATOR_REFUSED for an unknown or refused operator or operand, and beyond {@link LIMITS}.
 */
export function parseFilter(input: unknown): Predicate {
  return new FilterParser().document(input, '', 1)
}

class FilterParser {
  #nodes = 0

  document(input: unknown, at: string, depth: number): Predicate {
    if (!isPlain(input)) throw invalid(`A filter must be a plain object${at === '' ? '' : ` (at ${at})`}.`, at)
    this.#enter(depth, at)
    const parts: Predicate[] = []
    for (const [key, value] of Object.entries(input)) {
      if (key === '$and' || key === '$or' || key === '$nor') parts.push(this.#logic(key, value, join(at, key), depth))
      else if (key.startsWith('$')) throw refused(key, join(at, key))
      else parts.push(...this.#field(parsePath(key, 'filter'), value, join(at, key), depth))
    }
    return all(parts)
  }

  #logic(key: '$and' | '$or' | '$nor', value: unknown, at: string, depth: number): Predicate {
    if (!Array.isArray(value) || value.length === 0) throw invalid(`${key} needs a non-empty array of filters.`, at)
    this.#count(at)
    const of = value.map((part, i) => this.document(part, join(at, String(i)), depth + 1))
    return { op: key === '$and' ? 'and' : key === '$or' ? 'or' : 'nor', of }
  }

  #field(path: Path, value: unknown, at: string, depth: number): Predicate[] {
    if (!isObjectLike(value)) return [this.#node({ op: 'eq', path, value: operand(value, at) }, at)]
    return this.#operators(path, value, at, depth)
  }

  /** An object of operators on one path; an object that mixes operators and fields, or has none, is refused. */
  #operators(path: Path, value: unknown, at: string, depth: number): Predicate[] {
    if (!isPlain(value))
      throw notHere(
        value instanceof RegExp
          ? REGEXP
          : 'Only null, booleans, numbers, bigints, strings, Dates and arrays of them can be compared with.',
        at,
      )
    const keys = Object.keys(value)
    if (keys.length === 0 || !keys.every((key) => key.startsWith('$'))) {
      const mixed = keys.some((key) => key.startsWith('$'))
      throw notHere(
        mixed
          ? 'An object mixes operators and fields.'
          : `Objects cannot be compared with; name the fields by dotted paths, e.g. '${at}.x'.`,
        at,
      )
    }
    const parts: Predicate[] = []
    for (const key of keys) {
      if (key === '$options') {
        if (!keys.includes('$regex')) throw invalid('$options stands only beside $regex.', join(at, key))
        continue
      }
      parts.push(this.#node(this.#operator(path, key, value[key], value, join(at, key), depth), at))
    }
    return parts
  }

  #operator(
    path: Path,
    key: string,
    value: unknown,
    siblings: Readonly<Record<string, unknown>>,
    at: string,
    depth: number,
  ): Predicate {
    const comparison = Object.hasOwn(COMPARISONS, key) ? COMPARISONS[key] : undefined
    if (comparison !== undefined) return { op: comparison, path, value: operand(value, at) }
    switch (key) {
      case '$in':
      case '$nin':
        return { op: key === '$in' ? 'in' : 'nin', path, values: operands(value, at, key) }
      case '$all':
        return this.#all(path, value, at, depth)
      case '$exists':
        if (typeof value !== 'boolean') throw invalid('$exists needs true or false.', at)
        return { op: 'exists', path, value }
      case '$size':
        if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
          throw invalid('$size needs a whole number from 0.', at)
        return { op: 'size', path, value: value + 0 }
      case '$type':
        return { op: 'type', path, types: types(value, at) }
      case '$prefix':
      case '$contains':
        if (typeof value !== 'string' || !value.isWellFormed()) throw invalid(`${key} needs a string.`, at)
        return { op: key === '$prefix' ? 'prefix' : 'contains', path, value }
      case '$regex':
        return regex(path, value, siblings.$options, at)
      case '$elemMatch':
        return { op: 'elemMatch', path, of: this.#elemMatch(value, at, depth + 1) }
      case '$not': {
        if (!isPlain(value) || Object.keys(value).length === 0) throw invalid('$not needs an object of operators.', at)
        this.#enter(depth + 1, at)
        return { op: 'not', of: all(this.#operators(path, value, at, depth + 1)) }
      }
      default:
        throw refused(key, at)
    }
  }

  #all(path: Path, value: unknown, at: string, depth: number): Predicate {
    if (Array.isArray(value) && value.some(isElemMatch)) {
      if (!value.every(isElemMatch)) throw invalid('$all holds either values or $elemMatch objects, not both.', at)
      return all(
        value.map(
          (part, i) =>
            ({ op: 'elemMatch', path, of: this.#elemMatch(part.$elemMatch, join(at, String(i)), depth + 1) }) as const,
        ),
      )
    }
    return { op: 'all', path, values: operands(value, at, '$all') }
  }

  /** Operators test the element itself (path `[]`); anything else is a filter on the element's fields. */
  #elemMatch(value: unknown, at: string, depth: number): Predicate {
    if (!isPlain(value)) throw invalid('$elemMatch needs a filter of fields, or an object of operators.', at)
    const keys = Object.keys(value)
    const ofValue =
      keys.length > 0 && keys.every((key) => key.startsWith('$') && key !== '$and' && key !== '$or' && key !== '$nor')
    if (!ofValue) return this.document(value, at, depth)
    this.#enter(depth, at)
    return all(this.#operators([], value, at, depth))
  }

  #enter(depth: number, at: string): void {
    if (depth > LIMITS.depth) throw limit(`The filter is nested deeper than ${LIMITS.depth}.`, at)
  }

  #node(node: Predicate, at: string): Predicate {
    this.#count(at)
    return node
  }

  #count(at: string): void {
    if (++this.#nodes > LIMITS.nodes) throw limit(`The filter has more than ${LIMITS.nodes} parts.`, at)
  }
}

function all(parts: readonly Predicate[]): Predicate {
  return parts.length === 0
    ? { op: 'everything' }
    : parts.length === 1
      ? (parts[0] as Predicate)
      : { op: 'and', of: parts }
}

function regex(path: Path, pattern: unknown, options: unknown, at: string): Predicate {
  if (typeof pattern !== 'string') throw invalid('$regex needs a pattern as a string.', at)
  if (options !== undefined && options !== '' && options !== 'i') throw invalid(`$options knows only 'i'.`, at)
  checkRegex(pattern, at)
  return { op: 'regex', path, pattern, ignoreCase: options === 'i' }
}

function types(value: unknown, at: string): TypeName[] {
  const names = Array.isArray(value) ? value : [value]
  if (names.length === 0) throw invalid('$type needs at least one type.', at)
  for (const name of names) {
    if (typeof name !== 'string' || !TYPES.has(name))
      throw invalid(`$type knows ${[...TYPES].join(', ')}; not ${String(name)}.`, at)
  }
  return names as TypeName[]
}

function operands(value: unknown, at: string, key: string): Operand[] {
  if (!Array.isArray(value)) throw invalid(`${key} needs an array of values.`, at)
  if (value.length > LIMITS.values) throw limit(`${key} has ${value.length} values; at most ${LIMITS.values}.`, at)
  return Array.from(value, (part, i) => operand(part, join(at, String(i))))
}

/** Copies an operand: scalars and arrays of them. -0 becomes 0. */
function operand(value: unknown, at: string, depth = 0): Operand {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return value
  if (typeof value === 'number') return value === 0 ? 0 : value
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw invalid('The string is not well-formed Unicode.', at)
    return value
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw invalid('The Date is invalid.', at)
    return new Date(value)
  }
  if (Array.isArray(value)) {
    if (value.length > LIMITS.values)
      throw limit(`The array has ${value.length} elements; at most ${LIMITS.values}.`, at)
    if (depth > LIMITS.depth) throw limit(`Arrays are nested deeper than ${LIMITS.depth}.`, at)
    return Array.from(value, (part, i) => operand(part, join(at, String(i)), depth + 1))
  }
  if (value === undefined) throw invalid('The value is undefined; leave the field out, or compare with null.', at)
  if (value instanceof RegExp) throw notHere(REGEXP, at)
  if (typeof value === 'object') throw notHere('Objects cannot be compared with; name the fields by dotted paths.', at)
  throw invalid(`A ${typeof value} cannot be compared with.`, at)
}

const REGEXP = "A RegExp is no operand; write { $regex: 'pattern', $options: 'i' }."

function isObjectLike(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isElemMatch(value: unknown): value is { readonly $elemMatch: unknown } {
  return isPlain(value) && Object.keys(value).length === 1 && Object.hasOwn(value, '$elemMatch')
}

function join(at: string, key: string): string {
  return at === '' ? key : `${at}.${key}`
}

function invalid(message: string, path: string): HubError {
  return new HubError('INVALID', path === '' ? message : `${message} (at '${path}')`, {
    at: { scheme: 'core', op: 'filter' },
    path,
    reason: 'QUERY_INVALID',
  })
}

function limit(message: string, path: string): HubError {
  return new HubError('INVALID', message, {
    at: { scheme: 'core', op: 'filter' },
    path,
    reason: 'QUERY_OPERATOR_REFUSED',
  })
}

/** What MongoDB knows and we refuse on purpose: object operands, operators among fields. */
function notHere(message: string, path: string): HubError {
  return new HubError('INVALID', `${message} (at '${path}')`, {
    at: { scheme: 'core', op: 'filter' },
    path,
    reason: 'QUERY_OPERATOR_REFUSED',
  })
}

function refused(operator: string, path: string): HubError {
  return new HubError('INVALID', `The operator '${operator}' is not known here (at '${path}'). Known are ${KNOWN}.`, {
    at: { scheme: 'core', op: 'filter' },
    path,
    reason: 'QUERY_OPERATOR_REFUSED',
  })
}
