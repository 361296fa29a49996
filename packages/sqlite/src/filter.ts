import {
  type Operand,
  type Order,
  type Path,
  type Predicate,
  RANK,
  rankOf,
  type TypeName,
  type Value,
} from '@tensorhub/core'
import { ELEMENT, type FieldSql, fieldSql, jsonPath } from './expressions.ts'
import type { Shapes } from './shapes.ts'

export type SqlValue = null | number | bigint | string

/** A filter as SQL. When not exact, it lets through more than matches, and `matches()` decides. */
export interface CompiledFilter {
  readonly sql: string
  readonly params: readonly SqlValue[]
  readonly exact: boolean
  /**
   * The index terms that would serve all of it, e.g. `accuracy#` (its type) and `accuracy>=`; absent where no index can serve all. A plan that
   * constrains fewer reads rows in vain.
   */
  readonly terms?: ReadonlySet<string>
}

/** What a query tells about which indexes would serve it. */
export interface Usage {
  readonly equal: Set<string>
  readonly range: Set<string>
}

/** Compiles a filter for one collection, given what its fields are known to hold. */
export function compileFilter(
  where: Predicate,
  coll: string,
  shapes: Shapes,
): CompiledFilter & { readonly usage: Usage } {
  const compiler = new Compiler(coll, shapes)
  const part = compiler.compile(where)
  const fits = part.sql.length <= MOST_TEXT && part.params.length <= MOST_PARAMS
  return { ...(fits ? part : UNDECIDED), usage: compiler.usage }
}

/** Half of what SQLite takes as one statement, and as its parameters (https://www.sqlite.org/limits.html). Filters beyond are decided in JavaScript. */
const MOST_TEXT = 500_000
const MOST_PARAMS = 16_000
/** Of the values of one `all`, these narrow the search; SQLite takes no deeper chain than 1,000. */
const MOST_OF_ALL = 100

const EVERYTHING: CompiledFilter = { sql: '1', params: [], exact: true, terms: new Set() }
const NOTHING: CompiledFilter = { sql: '0', params: [], exact: true }
/** A part that SQL cannot decide: lets everything through. */
const UNDECIDED: CompiledFilter = { sql: '1', params: [], exact: false }

const RANK_OF_TYPE: Readonly<Record<TypeName, number>> = {
  null: RANK.null,
  number: RANK.number,
  string: RANK.string,
  object: RANK.object,
  array: RANK.array,
  bool: RANK.bool,
  date: RANK.date,
}

class Compiler {
  readonly usage: Usage = { equal: new Set(), range: new Set() }
  readonly #coll: string
  readonly #shapes: Shapes

  constructor(coll: string, shapes: Shapes) {
    this.#coll = coll
    this.#shapes = shapes
  }

  compile(where: Predicate): CompiledFilter {
    switch (where.op) {
      case 'everything':
        return EVERYTHING
      case 'and':
        return joined(
          where.of.map((part) => this.compile(part)),
          ' AND ',
        )
      case 'or':
        return joined(
          where.of.map((part) => this.compile(part)),
          ' OR ',
        )
      case 'nor':
        return negated(
          joined(
            where.of.map((part) => this.compile(part)),
            ' OR ',
          ),
        )
      case 'not':
        return negated(this.compile(where.of))
      case 'ne':
        return negated(this.compile({ op: 'eq', path: where.path, value: where.value }))
      case 'nin':
        return negated(this.compile({ op: 'in', path: where.path, values: where.values }))
      case 'in':
        return this.#in(where.path, where.values)
      case 'all':
        if (where.values.length === 0) return NOTHING
        return joined(
          [
            ...where.values.slice(0, MOST_OF_ALL).map((value) => this.compile({ op: 'eq', path: where.path, value })),
            ...(where.values.length > MOST_OF_ALL ? [UNDECIDED] : []),
          ],
          ' AND ',
        )
      case 'eq':
      case 'gt':
      case 'gte':
      case 'lt':
      case 'lte':
        return this.#compare(where.op, where.path, where.value)
      case 'exists':
        return this.#exists(where.path, where.value)
      case 'type':
        return this.#type(where.path, where.types)
      case 'size': {
        const field = this.#field(where.path)
        if (field === undefined || where.path[0] === '_id') return UNDECIDED
        if (!this.#shapes.holdsArray(this.#coll, where.path.join('.'))) return NOTHING
        return {
          sql: `(${field.rank}=5 AND json_array_length(body,'${jsonPath(where.path)}')=?)`,
          params: [where.value],
          exact: true,
        }
      }
      case 'elemMatch': {
        const field = this.#field(where.path)
        if (field === undefined) return UNDECIDED
        return this.#shapes.holdsArray(this.#coll, where.path.join('.'))
          ? { sql: `${field.rank}=5`, params: [], exact: false }
          : NOTHING
      }
      case 'prefix':
      case 'contains': {
        const { op, value } = where
        return this.#text(where.path, (field) =>
          op === 'prefix'
            ? prefixSql(field, value)
            : { sql: `(${field.rank}=3 AND instr(${field.value},?)>0)`, params: [value], exact: true },
        )
      }
      case 'regex': {
        const found = this.#text(where.path, (field) => ({ sql: `${field.rank}=3`, params: [], exact: true }))
        return { ...found, exact: false }
      }
    }
  }

  /** The field's SQL where no array stands on the way to it; otherwise JavaScript decides. */
  #field(path: Path): FieldSql | undefined {
    const field = fieldSql(path)
    if (field === undefined) return undefined
    for (let i = 1; i < path.length; i++)
      if (this.#shapes.holdsArray(this.#coll, path.slice(0, i).join('.'))) return undefined
    return field
  }

  /** Applies a test to the field, and where arrays are known there, to their elements too. */
  #each(path: Path, test: (field: FieldSql) => CompiledFilter): CompiledFilter {
    const field = this.#field(path)
    if (field === undefined) return UNDECIDED
    const { terms, ...scalar } = test(field)
    if (!this.#shapes.holdsArray(this.#coll, path.join('.')))
      return terms === undefined ? scalar : { ...scalar, terms: qualified(path, terms) }
    const element = test(ELEMENT)
    return {
      sql: `(${scalar.sql} OR (${field.rank}=5 AND EXISTS(SELECT 1 FROM json_each(body,'${jsonPath(path)}') e WHERE ${element.sql})))`,
      params: [...scalar.params, ...element.params],
      exact: scalar.exact && element.exact,
    }
  }

  #compare(op: 'eq' | 'gt' | 'gte' | 'lt' | 'lte', path: Path, value: Operand): CompiledFilter {
    const rank = rankOf(value as Value)
    if (rank === RANK.null) {
      if (op === 'gt' || op === 'lt') return NOTHING
      return this.#each(path, (field) => ({ sql: `${field.rank}<=1`, params: [], exact: true, terms: new Set(['#']) }))
    }
    if (rank === RANK.array) {
      const field = this.#field(path)
      if (field === undefined) return UNDECIDED
      return this.#shapes.holdsArray(this.#coll, path.join('.'))
        ? { sql: `${field.rank}=5`, params: [], exact: false }
        : NOTHING
    }
    if (Number.isNaN(value)) {
      if (op === 'gt' || op === 'lt') return NOTHING
      return this.#each(path, (field) => ({
        sql: `(${field.rank}=2 AND ${field.value} IS NULL)`,
        params: [],
        exact: true,
      }))
    }
    const sign = { eq: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' }[op]
    this.usage[op === 'eq' ? 'equal' : 'range'].add(path.join('.'))
    const param = sqlValue(value)
    return this.#each(path, (field) => ({
      sql: `(${field.rank}=${rank} AND ${field.value}${sign}?)`,
      params: [param],
      exact: true,
      terms: new Set(['#', sign]),
    }))
  }

  #in(path: Path, values: readonly Operand[]): CompiledFilter {
    // One list a type: a chain of a thousand comparisons is more than SQLite takes.
    const lists = new Map<number, SqlValue[]>()
    const others = new Map<number, Operand>()
    for (const value of values) {
      const rank = rankOf(value as Value)
      // Null, NaN and arrays compile to something else than one comparison, each kind to the same whatever the value.
      if (rank === RANK.null || rank === RANK.array || Number.isNaN(value)) others.set(rank, value)
      else {
        const list = lists.get(rank)
        if (list === undefined) lists.set(rank, [sqlValue(value)])
        else list.push(sqlValue(value))
      }
    }
    if (lists.size > 0) this.usage.equal.add(path.join('.'))
    return joined(
      [
        ...[...lists].map(([rank, list]) =>
          this.#each(path, (field) => ({
            sql: `(${field.rank}=${rank} AND ${field.value} IN (${list.map(() => '?').join(',')}))`,
            params: list,
            exact: true,
            terms: new Set(['#', '=']),
          })),
        ),
        ...[...others.values()].map((value) => this.#compare('eq', path, value)),
      ],
      ' OR ',
    )
  }

  #exists(path: Path, wanted: boolean): CompiledFilter {
    if (this.#field(path) === undefined) return UNDECIDED
    if (path.length === 1 && path[0] === '_id') return wanted ? EVERYTHING : NOTHING
    return { sql: `json_type(body,'${jsonPath(path)}') IS ${wanted ? 'NOT NULL' : 'NULL'}`, params: [], exact: true }
  }

  #type(path: Path, types: readonly TypeName[]): CompiledFilter {
    const ranks = types.filter((type) => type !== 'null').map((type) => RANK_OF_TYPE[type])
    const parts: CompiledFilter[] = []
    if (ranks.length > 0)
      parts.push(
        this.#each(path, (field) => ({
          sql: `${field.rank} IN (${ranks.join(',')})`,
          params: [],
          exact: true,
          terms: new Set(['#']),
        })),
      )
    if (types.includes('null')) {
      const field = this.#field(path)
      if (field === undefined || this.#shapes.holdsArray(this.#coll, path.join('.'))) return UNDECIDED
      parts.push(
        path[0] === '_id' ? NOTHING : { sql: `json_type(body,'${jsonPath(path)}')='null'`, params: [], exact: true },
      )
    }
    return joined(parts, ' OR ')
  }

  #text(path: Path, test: (field: FieldSql) => CompiledFilter): CompiledFilter {
    this.usage.range.add(path.join('.'))
    return this.#each(path, test)
  }
}

/** Texts from the prefix up to, not including, the next text of its length: an index serves it. */
function prefixSql(field: FieldSql, prefix: string): CompiledFilter {
  const points = [...prefix]
  while (points.length > 0) {
    const last = (points.pop() as string).codePointAt(0) as number
    if (last === 0x10ffff) continue
    const next = last + 1 >= 0xd800 && last + 1 <= 0xdfff ? 0xe000 : last + 1
    return {
      sql: `(${field.rank}=3 AND ${field.value}>=? AND ${field.value}<?)`,
      params: [prefix, points.join('') + String.fromCodePoint(next)],
      exact: true,
      terms: new Set(['#', '>=', '<']),
    }
  }
  return prefix === ''
    ? { sql: `${field.rank}=3`, params: [], exact: true }
    : { sql: `(${field.rank}=3 AND ${field.value}>=?)`, params: [prefix], exact: false }
}

/** Terms of a field; `_id` has one type only, and so no type term. */
function qualified(path: Path, terms: ReadonlySet<string>): ReadonlySet<string> {
  const name = path.join('.')
  return new Set([...terms].filter((term) => name !== '_id' || term !== '#').map((term) => name + term))
}

function joined(parts: readonly CompiledFilter[], operator: ' AND ' | ' OR '): CompiledFilter {
  if (parts.length === 0) return operator === ' AND ' ? EVERYTHING : NOTHING
  if (parts.length === 1) return parts[0] as CompiledFilter
  return {
    sql: `(${parts.map((part) => part.sql).join(operator)})`,
    params: parts.flatMap((part) => part.params),
    exact: parts.every((part) => part.exact),
    ...(operator === ' AND ' && parts.every((part) => part.terms !== undefined)
      ? { terms: new Set(parts.flatMap((part) => [...(part.terms ?? [])])) }
      : {}),
  }
}

/** NULL must never leak out of a negation; what is not exact cannot be negated at all. */
function negated(part: CompiledFilter): CompiledFilter {
  if (!part.exact) return UNDECIDED
  return { sql: `NOT coalesce(${part.sql},0)`, params: part.params, exact: true }
}

/** A scalar as it is bound. */
export function sqlValue(value: Operand): SqlValue {
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Date) return value.getTime()
  return value as SqlValue
}

/**
 * An order as SQL, or undefined where arrays or objects among the values need core's comparison.
 *
 * @param terms what the filter constrains: the type rank of a field that it compares is fixed, and leaving it out is what lets SQLite see that an
 *   index on the field gives the order (measured: with it, it sorts).
 */
export function compileOrder(
  order: Order,
  coll: string,
  shapes: Shapes,
  terms: ReadonlySet<string> | undefined,
): string | undefined {
  const parts: string[] = []
  for (const { path, dir } of order) {
    const field = fieldSql(path)
    if (field === undefined) return undefined
    for (let i = 1; i <= path.length; i++) if (shapes.holdsArray(coll, path.slice(0, i).join('.'))) return undefined
    const name = path.join('.')
    if (shapes.holdsObject(coll, name)) return undefined
    const word = dir === 1 ? 'ASC' : 'DESC'
    const typeFixed = field.rank === '3' || COMPARISONS.some((sign) => terms?.has(name + sign))
    if (!typeFixed) parts.push(`${field.rank} ${word}`)
    parts.push(`${field.value} ${word}`)
  }
  return parts.join(',')
}

const COMPARISONS = ['=', '>', '>=', '<', '<=']
