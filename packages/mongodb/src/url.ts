import { HubError, redactUrl } from '@tensorhub/core'

/** Parameters of a hub's URL that are ours and not MongoDB's. One URL may serve both layers, so each layer accepts those of the other. */
const OWN = ['timeout', 'bucket'] as const
export type OwnParameter = (typeof OWN)[number]

export interface MongoUrl {
  /** What the MongoDB driver is given: the URL without our own parameters. */
  readonly url: string
  /** The database in its path. */
  readonly database: string | undefined
  readonly own: Readonly<Partial<Record<OwnParameter, string>>>
}

/**
 * Takes a MongoDB URL apart, without looking at hosts and credentials, which are the MongoDB driver's to read.
 * https://www.mongodb.com/docs/manual/reference/connection-string/
 *
 * @throws INVALID for text of another form, and for a parameter of ours that is given twice or empty.
 */
export function readUrl(text: string): MongoUrl {
  const parts = /^(mongodb(?:\+srv)?):\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text)
  if (parts === null)
    throw invalid(`'${redactUrl(text)}' is no MongoDB URL: mongodb://user:password@host:27017/database?options.`, 'url')
  const [, scheme = '', hosts = '', path = '', query = ''] = parts
  // A `/`, `?` or second `@` that ends up outside of the login would be shown with the host, and is part of a password.
  const login = hosts.slice(0, Math.max(0, hosts.lastIndexOf('@')))
  const behind =
    !hosts.includes('@') && (path.includes('@') || (query.includes('@') && !/^[^:]+(:\d{1,5})?$/.test(hosts)))
  if (login.includes('@') || behind)
    throw invalid(
      'The user or password in the MongoDB URL holds a character that must be percent-encoded there: one of @ : / ? # [ ] % (encodeURIComponent does it).',
      'url',
    )
  const own: Partial<Record<OwnParameter, string>> = {}
  const rest: string[] = []
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', ...value] = pair.split('=')
    const ours = OWN.find((known) => known === name)
    if (ours === undefined) {
      rest.push(pair)
      continue
    }
    const text = decoded(value.join('='), ours)
    if (text === '' || own[ours] !== undefined)
      throw invalid(`The URL's parameter '${ours}' must be given once, with a value.`, ours)
    own[ours] = text
  }
  const database = path === '' ? undefined : decoded(path, 'database')
  return {
    url: `${scheme.toLowerCase()}://${hosts}/${path}${rest.length === 0 ? '' : `?${rest.join('&')}`}`,
    database,
    own,
  }
}

/** The `timeout` of a URL, in ms. */
export function timeoutOf(own: MongoUrl['own']): number | undefined {
  if (own.timeout === undefined) return undefined
  if (!/^\d{1,9}$/.test(own.timeout) || Number(own.timeout) === 0)
    throw invalid("The URL's parameter 'timeout' must be whole milliseconds from 1.", 'timeout')
  return Number(own.timeout)
}

export const OWN_PARAMETERS: readonly string[] = OWN

export function invalid(message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'mongodb', op: 'open' }, path })
}

function decoded(text: string, path: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(`The ${path} in the URL is not percent-encoded as URLs are.`, path)
  }
}
