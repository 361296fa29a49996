import { createHash } from 'node:crypto'
import type { Value } from '../contracts/value.ts'
import { compareStrings, isObject } from './compare.ts'
import { encodeValue } from './document-codec.ts'
import { parseFilter } from './filter-parser.ts'
import { parseSort } from './order.ts'
import type { Query } from './text/query.ts'

/**
 * The canonical text of a query: keys sorted, no Unicode normalisation, no defaults added. `{ a: 1 }` and `{ a: { $eq: 1 } }` stay two queries.
 *
 * @throws INVALID when its filter or sort is none.
 */
export function canonicalQuery(query: Query): string {
  const { filter, sort, limit, after } = query
  parseFilter(filter)
  parseSort(sort)
  return encodeValue({
    ...(after === undefined ? {} : { after }),
    filter: sorted(filter as { readonly [key: string]: Value }),
    ...(limit === undefined ? {} : { limit }),
    ...(sort === undefined || sort.length === 0 ? {} : { sort }),
  })
}

/** What identifies a query: the sha256 of its canonical text, in hex. */
export function queryId(query: Query): string {
  return createHash('sha256').update(canonicalQuery(query)).digest('hex')
}

/** The JSON form of a filter, with the tags of the document codec for what JSON lacks. @throws INVALID when it is no filter. */
export function filterText(filter: Readonly<Record<string, unknown>>): string {
  parseFilter(filter)
  // A filter that parses holds nothing but what the codec knows.
  return encodeValue(filter as { readonly [key: string]: Value })
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
