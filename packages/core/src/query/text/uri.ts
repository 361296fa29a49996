import { HubError } from '../../errors/hub-error.ts'
import { parseQuery } from './parser.ts'
import { printQuery } from './print.ts'
import { NAME_FIELDS, type Query } from './query.ts'

/** A query of one project and kind, as a URI says it: `hub://<project>/<kind>[/<name>[@<version>]]?q=<text>&sort=-time&limit=5[#<id>]`. */
export interface HubUri {
  readonly project: string
  readonly kind: 'datasets' | 'models' | 'logs' | 'tasks'
  readonly query: Query
  /** The `_id` the query once resolved to: with it the URI names that document for ever. */
  readonly pin?: string
}

const FORM = /^hub:\/\/([^/?#]+)\/([a-z]+)(?:\/([^/?#@]+)(?:@([^/?#@]+))?)?(?:\?([^#]*))?(?:#(.+))?$/

/**
 * Parses a hub URI. `?filter=` holds the filter's JSON, `?q=` its text form; names are percent-encoded. Unknown parameters are errors, and
 * parameters are never nested (`?name[$ne]=`), so a value cannot become an operator.
 *
 * @throws INVALID
 */
export function parseHubUri(text: string): HubUri {
  const parts = FORM.exec(text)
  if (parts === null) throw fault(`'${text.slice(0, 100)}' is no hub URI: hub://project/kind/name@version?q=…`)
  const [project, kind, name, version, search, pin] = parts.slice(1) as [string, string, ...(string | undefined)[]]
  const nameField = Object.hasOwn(NAME_FIELDS, kind) ? NAME_FIELDS[kind] : undefined
  if (nameField === undefined) {
    throw fault(`The URI names the kind '${kind}'; kinds are ${Object.keys(NAME_FIELDS).join(', ')}`)
  }
  const query = parseParameters(new URLSearchParams(search ?? ''), kind)
  const named: Record<string, string> = {
    ...(name === undefined ? {} : { [nameField]: decode(name) }),
    ...(version === undefined ? {} : { version: decode(version) }),
  }
  const rest = Object.keys(query.filter).length > 0
  const filter = Object.keys(named).length === 0 ? query.filter : rest ? { $and: [named, query.filter] } : named
  return {
    project: decode(project),
    kind: kind as HubUri['kind'],
    query: { ...query, filter },
    ...(pin === undefined ? {} : { pin: decode(pin) }),
  }
}

/** Each parameter is parsed for itself: none can complete or extend another. */
function parseParameters(parameters: URLSearchParams, kind: string): Query {
  const keys = [...parameters.keys()]
  for (const key of keys) {
    if (!['q', 'filter', 'sort', 'limit', 'after'].includes(key))
      throw fault(`The URI has the unknown parameter '${key}'`)
  }
  if (new Set(keys).size !== keys.length) throw fault('The URI has a parameter twice')
  const q = parameters.get('q')
  const json = parameters.get('filter')
  if (json !== null && q !== null) throw fault('The URI has both q and filter')
  if (json !== null && !json.trimStart().startsWith('{'))
    throw fault('The parameter filter must be a JSON object; text stands in q')
  let query = parseQuery(json ?? q ?? '', { kind })
  if (json !== null && Object.keys(query).length > 1) throw fault('The parameter filter must be a JSON object alone')
  for (const key of ['sort', 'limit', 'after'] as const) {
    const value = parameters.get(key)
    if (value === null) continue
    const directive = parseQuery(`${key}:${value.trim()}`)
    const known = Object.keys(directive).every((part) => part === 'filter' || part === key)
    if (!known || Object.keys(directive.filter).length > 0) throw fault(`The parameter ${key} says more than ${key}`)
    if (query[key] !== undefined) throw fault(`The URI says ${key} twice`)
    query = { ...query, ...directive, filter: query.filter }
  }
  return query
}

/** The URI of a query, such that `parseHubUri(printHubUri(u))` is `u` again. */
export function printHubUri({ project, kind, query, pin }: HubUri): string {
  const parameters = new URLSearchParams()
  const text = printQuery({ filter: query.filter }, { kind })
  if (text !== '') parameters.set(text.startsWith('{') ? 'filter' : 'q', text)
  for (const key of ['sort', 'limit', 'after'] as const) {
    if (query[key] === undefined) continue
    const directive = printQuery({ filter: {}, [key]: query[key] })
    if (directive !== '') parameters.set(key, directive.slice(key.length + 1))
  }
  const search = parameters.toString()
  const fragment = pin === undefined ? '' : `#${encodeURIComponent(pin)}`
  return `hub://${encodeURIComponent(project)}/${kind}${search === '' ? '' : `?${search}`}${fragment}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw fault(`'${text}' is not percent-encoded as it must be`, cause)
  }
}

function fault(message: string, cause?: unknown): HubError {
  return new HubError('INVALID', `${message}.`, {
    at: { scheme: 'core', op: 'query' },
    reason: 'QUERY_TEXT',
    ...(cause === undefined ? {} : { cause }),
  })
}
