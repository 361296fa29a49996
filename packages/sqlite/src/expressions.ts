import type { Path } from '@tensorhub/core'

/**
 * How a field of the JSON body becomes two SQL values whose order is core's total order: its type rank (core's `RANK`) and its value. The same text
 * stands in indexes and in queries, so that SQLite finds the index. Paths are literal: a bound path defeats an expression index (measured).
 */
export interface FieldSql {
  readonly rank: string
  readonly value: string
}

const NAME = /^[\p{L}_][\p{L}\p{N}_ -]{0,99}$/u

/** The field's SQL, or undefined for paths that only JavaScript can follow: indexes into arrays and names with unusual characters. */
export function fieldSql(path: Path): FieldSql | undefined {
  const name = path.join('.')
  const known = made.get(name)
  if (known !== undefined) return known
  const field = makeFieldSql(path)
  if (made.size >= 1000) made.clear()
  if (field !== undefined) made.set(name, field)
  return field
}

/** These texts are long, and the same few fields come again with every query. */
const made = new Map<string, FieldSql>()

function makeFieldSql(path: Path): FieldSql | undefined {
  if (path.length === 0 || !path.every((step) => NAME.test(step))) return undefined
  if (path.length === 1 && path[0] === '_id') return { rank: '3', value: '_id' }
  const at = jsonPath(path)
  const type = (suffix = '') => `json_type(body,'${at}${suffix}')`
  const extract = (suffix = '') => `json_extract(body,'${at}${suffix}')`
  // Tagged values (Date, NaN, infinities, bigint) are objects with one member that no user field can have.
  const rank =
    `CASE ${type()} WHEN 'text' THEN 3 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'array' THEN 5 WHEN 'true' THEN 6 WHEN 'false' THEN 6 ` +
    `WHEN 'object' THEN CASE WHEN ${type('."$date"')} IS NOT NULL THEN 7 WHEN ${type('."$numberDouble"')} IS NOT NULL OR ${type('."$numberLong"')} IS NOT NULL THEN 2 ELSE 4 END ` +
    'ELSE 1 END'
  // NaN is the NULL of its rank, and so sorts below every other number.
  const value =
    `CASE ${type()} WHEN 'object' THEN coalesce(${extract('."$date"')},CAST(${extract('."$numberLong"')} AS INTEGER),` +
    `CASE ${extract('."$numberDouble"')} WHEN 'Infinity' THEN 9e999 WHEN '-Infinity' THEN -9e999 END) WHEN 'array' THEN NULL ELSE ${extract()} END`
  return { rank, value }
}

/** The JSON path of validated steps; their characters need no escape inside the quotes. */
export function jsonPath(path: Path): string {
  return `$${path.map((step) => `."${step}"`).join('')}`
}

/** The rank and value of one element of `json_each`, aliased `e`, as of a field. */
export const ELEMENT: FieldSql = {
  rank:
    `CASE e.type WHEN 'text' THEN 3 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'array' THEN 5 WHEN 'true' THEN 6 WHEN 'false' THEN 6 ` +
    `WHEN 'object' THEN CASE WHEN json_type(e.value,'$."$date"') IS NOT NULL THEN 7 WHEN json_type(e.value,'$."$numberDouble"') IS NOT NULL OR json_type(e.value,'$."$numberLong"') IS NOT NULL THEN 2 ELSE 4 END ELSE 1 END`,
  value:
    `CASE e.type WHEN 'object' THEN coalesce(json_extract(e.value,'$."$date"'),CAST(json_extract(e.value,'$."$numberLong"') AS INTEGER),` +
    `CASE json_extract(e.value,'$."$numberDouble"') WHEN 'Infinity' THEN 9e999 WHEN '-Infinity' THEN -9e999 END) WHEN 'array' THEN NULL ELSE e.value END`,
}
