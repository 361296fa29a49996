import {
  type Call,
  HubError,
  type OpenFilter,
  type Order,
  type Predicate,
  parseFilter,
  parseHubUri,
  parseQuery,
  parseSort,
  type Query,
  type SortInput,
} from '@tensorhub/core'
import { type Collection, TWINS } from '../documents/collections.ts'
import type { HubRecord } from '../documents/record.ts'

/**
 * A filter over records of type R as users write it: MongoDB-shaped, the text form (`'mlp accuracy>=0.9'`), or a URI (`'hub://digits/models/mlp@1.0'`).
 * The compiler refuses operators that do not exist, and wrong types for the record's own fields; any other name is a tag.
 */
export type FilterInput<R extends HubRecord = HubRecord> = OpenFilter<R> | string

/** The same before it is checked. */
export type UncheckedFilter = object | string

/** What `find` knows beside the filter. What is given here wins over what a filter's text says. */
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

/** How a filter is to be read. */
export interface Reading {
  readonly collection: Collection
  readonly projectName: string
  readonly op: string
  /** The store's time, which relative dates of the text form count from; absent: this process's. */
  readonly now: () => Date | undefined
  /** What the method can make use of beside the filter; a text that says more is refused, not cut short. */
  readonly directives: readonly ('sort' | 'limit' | 'after')[]
}

/** Parses a filter of the namespaces once. @throws INVALID naming what is wrong in it. */
export function parseInput(input: UncheckedFilter | undefined, reading: Reading): ParsedFilter {
  if (typeof input !== 'string') {
    if (input === null) throw refused(reading, 'null is no filter; give {} or leave it out for every record.', '')
    // First what bounds its depth.
    const where = parseFilter(input ?? {})
    refuseTwins(reading, input)
    return { where, sort: [] }
  }
  const query = input.startsWith('hub://') ? fromUri(input, reading) : fromText(input, reading)
  refuseTwins(reading, query.filter)
  for (const directive of ['sort', 'limit', 'after'] as const) {
    if (query[directive] !== undefined && !reading.directives.includes(directive))
      throw refused(reading, `${reading.op} has no use for '${directive}:' in its query; leave it out.`, directive)
  }
  return {
    where: parseFilter(query.filter),
    sort: parseSort(query.sort),
    ...(query.limit === undefined ? {} : { limit: query.limit }),
    ...(query.after === undefined ? {} : { after: query.after }),
  }
}

function fromText(text: string, reading: Reading): Query {
  const now = reading.now()
  return parseQuery(text, { kind: reading.collection, ...(now === undefined ? {} : { now }) })
}

/** A URI names its project and kind; another than the namespace's is refused rather than read as an empty answer. */
function fromUri(text: string, reading: Reading): Query {
  const { project, kind, query, pin } = parseHubUri(text)
  if (kind !== reading.collection) throw refused(reading, `The URI names ${kind}; ask hub.${kind} for it.`, 'kind')
  if (project !== reading.projectName)
    throw refused(
      reading,
      `The URI names the project '${project}', and this hub is confined to '${reading.projectName}'; connect with that projectName.`,
      'project',
    )
  return pin === undefined ? query : { ...query, filter: { $and: [{ _id: pin }, query.filter] } }
}

/** A camelCase key with a snake_case field would silently match nothing; say so instead (design §7). */
function refuseTwins(reading: Reading, filter: unknown): void {
  if (typeof filter !== 'object' || filter === null || filter instanceof Date) return
  if (Array.isArray(filter)) {
    for (const part of filter) refuseTwins(reading, part)
    return
  }
  for (const [key, value] of Object.entries(filter)) {
    const head = key.split('.', 1)[0] as string
    if (Object.hasOwn(TWINS, head)) {
      throw new HubError('INVALID', `The filter names '${key}', but the document's field is '${TWINS[head]}'.`, {
        at: { scheme: 'hub', op: reading.op, target: reading.collection },
        path: key,
        reason: 'FIELD_NAME',
      })
    }
    if (key === '$and' || key === '$or' || key === '$nor') refuseTwins(reading, value)
  }
}

function refused({ op, collection }: Reading, message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'hub', op, target: collection }, path })
}

/**
 * @throws INVALID for options the method does not know (nothing is silently ignored), and for a signal or callback that is none.
 */
export function checkOptions(options: object | undefined, known: readonly string[], op: string): void {
  const invalid = (message: string, path: string) =>
    new HubError('INVALID', message, { at: { scheme: 'hub', op }, path })
  if (options === undefined) return
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalid(`${op}: options must be an object.`, 'options')
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name))
      throw invalid(`${op} has no option '${name}'; it knows ${known.join(', ') || 'none'}.`, name)
    if (value === undefined) continue
    if (name === 'signal' && !isSignal(value)) throw invalid(`${op}: 'signal' must be an AbortSignal.`, name)
    if ((name === 'onProgress' || name === 'onOutput') && typeof value !== 'function')
      throw invalid(`${op}: '${name}' must be a function.`, name)
  }
}

/** @throws INVALID for a yes-or-no option that is neither. */
export function checkFlag(value: unknown, name: string, op: string): void {
  if (value !== undefined && typeof value !== 'boolean')
    throw new HubError('INVALID', `${op}: '${name}' must be true or false.`, { at: { scheme: 'hub', op }, path: name })
}

/** Also a signal of another realm. */
function isSignal(value: unknown): value is AbortSignal {
  const signal = value as Partial<AbortSignal> | null
  return (
    typeof signal === 'object' && typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function'
  )
}

/** `{ signal }` or nothing, as exactOptionalPropertyTypes wants it. */
export function callOf(options: Call | undefined): Call {
  return options?.signal === undefined ? {} : { signal: options.signal }
}
