import type { AdapterModule } from '../contracts/adapter-module.ts'
import type { BlobDriver } from '../contracts/blob-driver.ts'
import type { IndexDriver } from '../contracts/index-driver.ts'
import { HubError } from '../errors/hub-error.ts'
import { redactUrl } from './redact-url.ts'

/** Which package serves a scheme. Third parties add theirs by {@link registerScheme}. */
const packages = new Map<string, string | (() => Promise<AdapterModule>)>([
  ['memory', '@tensorhub/memory'],
  ['sqlite', '@tensorhub/sqlite'],
  ['file', '@tensorhub/fs'],
  ['mongodb', '@tensorhub/mongodb'],
  ['mongodb+srv', '@tensorhub/mongodb'],
  ['s3', '@tensorhub/s3'],
  ['gs', '@tensorhub/gcs'],
  ['azblob', '@tensorhub/azure'],
])

export interface OpenUrlOptions {
  /** How a package is imported; the hub's facade knows where to look. @throws UNSUPPORTED naming a package that is not installed. */
  load(packageName: string, why: string): Promise<unknown>
}

/** Makes a scheme known: a package's name, or a function that gives its module. */
export function registerScheme(scheme: string, adapter: string | (() => Promise<AdapterModule>)): void {
  if (!/^[a-z][a-z0-9+.-]*$/.test(scheme))
    throw new HubError('INVALID', `'${scheme}' is no URL scheme.`, { at: { scheme: 'core', op: 'register' } })
  packages.set(scheme, adapter)
}

/** The index driver of a URL. @throws INVALID for an unknown scheme (it lists the known), UNSUPPORTED where the adapter has no index or is not installed. */
export async function openIndexUrl(url: string, o: OpenUrlOptions): Promise<IndexDriver> {
  const { module, name } = await adapterOf(url, o)
  if (module.indexFromUrl === undefined) throw noLayer(url, name, 'an index')
  return module.indexFromUrl(url)
}

/** The blob driver of a URL; errors as of {@link openIndexUrl}. */
export async function openBlobsUrl(url: string, o: OpenUrlOptions): Promise<BlobDriver> {
  const { module, name } = await adapterOf(url, o)
  if (module.blobsFromUrl === undefined) throw noLayer(url, name, 'blobs')
  return module.blobsFromUrl(url)
}

/** The URL, complete for a process with another environment; see {@link AdapterModule.urlToHandOver}. */
export async function urlToHandOver(url: string, o: OpenUrlOptions): Promise<string> {
  const { module } = await adapterOf(url, o)
  return (await module.urlToHandOver?.(url)) ?? url
}

async function adapterOf(url: string, o: OpenUrlOptions): Promise<{ module: AdapterModule; name: string }> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  const adapter = scheme === undefined ? undefined : packages.get(scheme)
  if (adapter === undefined) {
    throw new HubError(
      'INVALID',
      `The URL '${redactUrl(url)}' has ${scheme === undefined ? 'no scheme' : 'an unknown scheme'}; known are ${[...packages.keys()].map((s) => `${s}:`).join(' ')}.`,
      {
        at: { scheme: 'core', op: 'open' },
        reason: 'UNKNOWN_SCHEME',
      },
    )
  }
  if (typeof adapter === 'function') return { module: await adapter(), name: `the adapter of ${scheme}:` }
  return { module: (await o.load(adapter, `The URL ${redactUrl(url)}`)) as AdapterModule, name: adapter }
}

function noLayer(url: string, name: string, layer: string): HubError {
  return new HubError(
    'UNSUPPORTED',
    `${name} has no driver for ${layer}, so '${redactUrl(url)}' cannot be used there.`,
    { at: { scheme: 'core', op: 'open' }, reason: 'NO_LAYER' },
  )
}
