import { HubError } from '../../errors/hub-error.ts'
import { parseQuery } from './parser.ts'
import { printQuery } from './print.ts'
import { NAME_FIELDS, type Query } from './query.ts'

/** A query of one project and kind, as a URI says it: `hub://<project>/<kind>[/<name>[@<version>]]?q=<text>&sort=-time&limit=5`. */
export interface HubUri {
  readonly project: string
  readonly kind: 'datasets' | 'models' | 'logs' | 'tasks'
  readonly query: Query
}

/**
 * Parses a hub URI. `?filter=` holds the filter's JSON, `?q=` its text form; names are percent-encoded. Unknown parameters are errors.
 *
 * @throws INVALID
 */
export function parseHubUri(text: string): HubUri {
  const parts = /^hub:\/\/([^/?#]+)\/([a-z]+)(?:\/([^/?#@]+)(?:@([^/?#]+))?)?(?:\?([^#]*))?$/.exec(text)
  if (parts === null) throw fault(`'${text.slice(0, 100)}' is no hub URI: hub://project/kind/name@version?q=…`)
  const [, project, kind, name, version, search] = parts as unknown as [
    string,
    string,
    string,
    string | undefined,
    string | undefined,
    string | undefined,
  ]
  const nameField = Object.hasOwn(NAME_FIELDS, kind) ? NAME_FIELDS[kind] : undefined
  if (nameField === undefined)
    throw fault(`The URI names the kind '${kind}'; kinds are ${Object.keys(NAME_FIELDS).join(', ')}`)
  const parameters = new URLSearchParams(search ?? '')
  const pieces: string[] = []
  for (const key of new Set(parameters.keys())) {
    if (!['q', 'filter', 'sort', 'limit', 'after'].includes(key))
      throw fault(`The URI has the unknown parameter '${key}'`)
    if (parameters.getAll(key).length > 1) throw fault(`The URI has the parameter '${key}' twice`)
  }
  const filter = parameters.get('filter')
  const q = parameters.get('q')
  if (filter !== null && q !== null) throw fault('The URI has both q and filter')
  if (filter !== null) pieces.push(filter)
  if (q !== null) pieces.push(q)
  for (const key of ['sort', 'limit', 'after'] as const) {
    const value = parameters.get(key)
    if (value !== null) pieces.push(`${key}:${value}`)
  }
  const parsed = parseQuery(pieces.join(' '), { kind })
  const named: Record<string, unknown> = {
    ...(name === undefined ? {} : { [nameField]: decode(name) }),
    ...(version === undefined ? {} : { version: decode(version) }),
  }
  const rest = Object.keys(parsed.filter).length > 0
  const all = Object.keys(named).length === 0 ? parsed.filter : rest ? { $and: [named, parsed.filter] } : named
  return { project: decode(project), kind: kind as HubUri['kind'], query: { ...parsed, filter: all } }
}

/** The URI of a query. */
export function printHubUri({ project, kind, query }: HubUri): string {
  const { filter, ...directives } = query
  const text = printQuery({ filter })
  const parameters = new URLSearchParams()
  if (text !== '') parameters.set(text.startsWith('{') ? 'filter' : 'q', text)
  const rest = printQuery({ filter: {}, ...directives })
  for (const [, key, value] of rest.matchAll(/(sort|limit|after):(\S+)/g))
    parameters.set(key as string, value as string)
  const search = parameters.toString()
  return `hub://${encodeURIComponent(project)}/${kind}${search === '' ? '' : `?${search}`}`
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
