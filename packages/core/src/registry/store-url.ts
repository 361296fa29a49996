import { HubError } from '../errors/hub-error.ts'
import { redactUrl } from './redact-url.ts'

/** What a parameter of a store's URL is: text, a whole number from 0, or `true` / `false`. */
export type UrlParameterKind = 'text' | 'number' | 'flag'

type ValueOf<K extends UrlParameterKind> = K extends 'text' ? string : K extends 'number' ? number : boolean

export interface StoreUrlForm<P extends Readonly<Record<string, UrlParameterKind>>> {
  /** The adapter, as errors name it. */
  readonly scheme: string
  /** How such a URL looks, for errors: `s3://bucket/prefix?region=…`. */
  readonly example: string
  /** The parameters that it may carry. */
  readonly parameters: P
}

export interface StoreUrl<P extends Readonly<Record<string, UrlParameterKind>>> {
  /** What stands where a web address has its host: a bucket, a container. */
  readonly name: string
  /** The path behind it, decoded, without slashes at its ends; absent when there is none. */
  readonly prefix?: string
  /** The parameters that are given. */
  readonly parameters: { readonly [K in keyof P]?: ValueOf<P[K]> }
}

/**
 * Reads `scheme://name/prefix?parameter=value`, the form of blob stores. Nothing in it is ignored: a login, a fragment, an unknown parameter, one without a value or one that
 * is given twice is INVALID, and the error names what is known. Secrets of the URL stand in no error.
 */
export function readStoreUrl<const P extends Readonly<Record<string, UrlParameterKind>>>(
  url: string,
  form: StoreUrlForm<P>,
): StoreUrl<P> {
  const invalid = (message: string, path?: string) =>
    new HubError('INVALID', message, {
      at: { scheme: form.scheme, op: 'open' },
      ...(path === undefined ? {} : { path }),
    })
  const parts = /^[a-z][a-z0-9+.-]*:\/\/([^/?#@:]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(url)
  if (parts === null) throw invalid(`'${redactUrl(url)}' is no URL of this store: ${form.example}.`, 'url')
  const [, name = '', path = '', query = ''] = parts
  const given = new URLSearchParams(query)
  const parameters: Record<string, string | number | boolean> = {}
  for (const key of given.keys()) {
    const kind = Object.hasOwn(form.parameters, key) ? form.parameters[key] : undefined
    if (kind === undefined)
      throw invalid(
        `The URL's parameter '${key}' is not known here; known are ${Object.keys(form.parameters).sort().join(', ')}.`,
        key,
      )
    const [value = '', ...more] = given.getAll(key)
    if (value === '' || more.length > 0)
      throw invalid(`The URL's parameter '${key}' must be given once, with a value.`, key)
    parameters[key] = read(value, kind) ?? fail(invalid, key, kind)
  }
  const prefix = decoded(path.replace(/\/+$/, ''), () =>
    invalid(`The path of '${redactUrl(url)}' is not percent-encoded as URLs are.`, 'prefix'),
  )
  return {
    name,
    ...(prefix === '' ? {} : { prefix }),
    parameters: parameters as StoreUrl<P>['parameters'],
  }
}

function read(value: string, kind: UrlParameterKind): string | number | boolean | undefined {
  if (kind === 'text') return value
  if (kind === 'number') return /^\d{1,15}$/.test(value) ? Number(value) : undefined
  return value === 'true' ? true : value === 'false' ? false : undefined
}

function fail(invalid: (message: string, path: string) => HubError, key: string, kind: UrlParameterKind): never {
  throw invalid(`The URL's parameter '${key}' must be ${kind === 'number' ? 'a whole number' : 'true or false'}.`, key)
}

function decoded(path: string, error: () => HubError): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw error()
  }
}

/** The URL with these parameters as well; those it has already are replaced. */
export function withUrlParameters(url: string, parameters: Readonly<Record<string, string>>): string {
  const [before = '', query = ''] = url.split(/\?(.*)/s)
  const all = new URLSearchParams(query)
  for (const [name, value] of Object.entries(parameters)) all.set(name, value)
  return all.size === 0 ? before : `${before}?${all}`
}
