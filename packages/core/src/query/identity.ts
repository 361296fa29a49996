import { createHash } from 'node:crypto'
import type { Value } from '../contracts/value.ts'
import { compareStrings, isObject } from './compare.ts'
import { encodeValue } from './document-codec.ts'
import type { Query } from './text/query.ts'

/** The canonical text of a query: keys sorted, no Unicode normalisation, no defaults added. */
export function canonicalQuery(query: Query): string {
  return encodeValue(sorted(query as unknown as Value))
}

/** What identifies a query: the sha256 of its canonical text, in hex. */
export function queryId(query: Query): string {
  return createHash('sha256').update(canonicalQuery(query)).digest('hex')
}

function sorted(value: Value): Value {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => compareStrings(a, b))
      .map(([key, part]) => [key, sorted(part)]),
  )
}
