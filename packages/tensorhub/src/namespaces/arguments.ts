import {
  type Call,
  HubError,
  type Order,
  type Predicate,
  parseFilter,
  parseQuery,
  parseSort,
  type SortInput,
} from '@tensorhub/core'
import { type Collection, TWINS } from '../documents/collections.ts'

/** A filter as users write it: MongoDB-shaped, or the text form (`'mlp accuracy>=0.9'`). */
export type FilterInput = Readonly<Record<string, unknown>> | string

/** What `find` knows beside the filter. */
export interface FindOptions extends Call {
  /** `[['time', -1]]` or `{ time: -1 }`. Default: oldest first. */
  readonly sort?: SortInput
  /** At most so many records. Default: all that match. */
  readonly limit?: number
  /** The `cursor` of the last record seen; the sort must be the same. */
  readonly after?: string
  /** Only these fields (dotted paths), beside `_id`. */
  readonly fields?: readonly string[]
}

/** What a caller's filter, text or JSON, means. */
export interface ParsedFilter {
  readonly where: Predicate
  readonly sort: Order
  readonly limit?: number
  readonly after?: string
}

/** Parses a filter of the namespaces once. The text form may carry sort, limit and cursor. */
export function parseInput(coll: Collection, input: FilterInput | undefined, op: string): ParsedFilter {
  if (typeof input === 'string') {
    const query = parseQuery(input, { kind: coll })
    refuseTwins(coll, query.filter, op)
    return {
      where: parseFilter(query.filter),
      sort: parseSort(query.sort),
      ...(query.limit === undefined ? {} : { limit: query.limit }),
      ...(query.after === undefined ? {} : { after: query.after }),
    }
  }
  refuseTwins(coll, input, op)
  return { where: parseFilter(input ?? {}), sort: [] }
}

/** A camelCase key with a snake_case field would silently match nothing; say so instead (design §7). */
function refuseTwins(coll: Collection, filter: unknown, op: string): void {
  if (typeof filter !== 'object' || filter === null || filter instanceof Date) return
  if (Array.isArray(filter)) {
    for (const part of filter) refuseTwins(coll, part, op)
    return
  }
  for (const [key, value] of Object.entries(filter)) {
    const head = key.split('.', 1)[0] as string
    if (Object.hasOwn(TWINS, head)) {
      throw new HubError('INVALID', `The filter names '${key}', but the document's field is '${TWINS[head]}'.`, {
        at: { scheme: 'hub', op, target: coll },
        path: key,
        reason: 'FIELD_NAME',
      })
    }
    if (key === '$and' || key === '$or' || key === '$nor') refuseTwins(coll, value, op)
  }
}

/** @throws INVALID for options the method does not know: nothing is silently ignored. */
export function checkOptions(options: object | undefined, known: readonly string[], op: string): void {
  for (const name of Object.keys(options ?? {})) {
    if (!known.includes(name)) {
      throw new HubError('INVALID', `${op} has no option '${name}'; it knows ${known.join(', ') || 'none'}.`, {
        at: { scheme: 'hub', op },
        path: name,
      })
    }
  }
}

/** `{ signal }` or nothing, as exactOptionalPropertyTypes wants it. */
export function callOf(options: Call | undefined): Call {
  return options?.signal === undefined ? {} : { signal: options.signal }
}
