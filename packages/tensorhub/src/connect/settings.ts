import { access, readFile } from 'node:fs/promises'
import { dirname, join, parse, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HubError } from '@tensorhub/core'
import {
  type ConnectOptions,
  checkOptionNames,
  originalUrl,
  type StoreOptions,
  type Target,
  targetOf,
} from './options.ts'

const at = { scheme: 'hub', op: 'connect' }

/** The content of `tensorhub.config.{ts,mjs,json}`: the options of `connect`, and `url` for a whole hub. */
export type ConfigFile = ConnectOptions & { readonly url?: string }

export interface Settings {
  readonly target: Target
  readonly options: ConnectOptions
}

/**
 * Decides what to open. The first that says something wins: the arguments; `TENSORHUB_URL`, or `TENSORHUB_INDEX` with `TENSORHUB_BLOBS`;
 * the nearest `tensorhub.config.{ts,mjs,json}`; `./.tensorhub`. Options that are no target (projectName, scripts …) fall back to the file one by one.
 */
export async function resolveSettings(
  url: string | undefined,
  options: ConnectOptions,
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<Settings> {
  checkOptionNames(options)
  if (url !== undefined && targetOfOptions(options) !== undefined) {
    throw new HubError('INVALID', `Give the hub either as a URL or by 'index' and 'blobs' (or 'ip'), not both.`, {
      at,
      path: 'index',
    })
  }
  const named = url === undefined ? targetOfOptions(options) : targetOf(url)
  if (named !== undefined) return { target: named, options }
  const fromEnv = targetOfEnvironment(env)
  if (fromEnv !== undefined) return { target: fromEnv, options }
  const config = await readConfig(cwd)
  if (config === undefined) return { target: { kind: 'folder', folder: join(cwd, '.tensorhub') }, options }
  const { url: configured, ...rest } = config.value
  checkOptionNames(rest)
  const target = configured === undefined ? targetOfOptions(rest) : targetOf(configured)
  const merged: ConnectOptions = { ...rest, ...options }
  return {
    target: relativeTo(dirname(config.file), target ?? { kind: 'folder', folder: '.tensorhub' }),
    options: merged,
  }
}

/** A folder in a config file is meant from where the file stands. */
function relativeTo(folder: string, target: Target): Target {
  return target.kind === 'folder' && !target.folder.startsWith('file:')
    ? { kind: 'folder', folder: resolve(folder, target.folder) }
    : target
}

function targetOfOptions(o: ConnectOptions): Target | undefined {
  if ('ip' in o && o.ip !== undefined) {
    const url = originalUrl(o)
    return { kind: 'stores', index: url, blobs: url }
  }
  const { index, blobs } = o as Partial<StoreOptions>
  if (index !== undefined || blobs !== undefined) {
    if (index === undefined)
      throw new HubError('INVALID', `'blobs' is given without 'index'; name both layers.`, { at, path: 'index' })
    if (blobs === undefined)
      throw new HubError('INVALID', `'index' is given without 'blobs'; name both layers.`, { at, path: 'blobs' })
    return { kind: 'stores', index, blobs }
  }
  return undefined
}

function targetOfEnvironment(env: NodeJS.ProcessEnv): Target | undefined {
  const { TENSORHUB_URL: url, TENSORHUB_INDEX: index, TENSORHUB_BLOBS: blobs } = env
  if (url) {
    if (index || blobs)
      throw new HubError('INVALID', 'TENSORHUB_URL is set beside TENSORHUB_INDEX or TENSORHUB_BLOBS; keep one form.', {
        at,
      })
    return targetOf(url)
  }
  if (!index && !blobs) return undefined
  if (!index) throw new HubError('INVALID', 'TENSORHUB_BLOBS is set without TENSORHUB_INDEX; name both layers.', { at })
  if (!blobs) throw new HubError('INVALID', 'TENSORHUB_INDEX is set without TENSORHUB_BLOBS; name both layers.', { at })
  return { kind: 'stores', index, blobs }
}

async function readConfig(from: string): Promise<{ file: string; value: ConfigFile } | undefined> {
  for (let dir = resolve(from); ; dir = dirname(dir)) {
    for (const name of ['tensorhub.config.ts', 'tensorhub.config.mjs', 'tensorhub.config.json']) {
      const file = join(dir, name)
      if (await exists(file)) return { file, value: await loadConfig(file) }
    }
    // The package's root ends the search, so that a stray file far up the tree cannot redirect a project's data.
    if ((await exists(join(dir, 'package.json'))) || dir === parse(dir).root) return undefined
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      return false
    throw error
  }
}

async function loadConfig(file: string): Promise<ConfigFile> {
  let value: unknown
  try {
    value = file.endsWith('.json')
      ? JSON.parse(await readFile(file, 'utf8'))
      : ((await import(pathToFileURL(file).href)) as { default?: unknown }).default
  } catch (cause) {
    throw new HubError('INVALID', `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      at: { ...at, target: file },
      cause,
    })
  }
  if (typeof value !== 'object' || value === null) {
    throw new HubError(
      'INVALID',
      `${file} must give an object with the options of connect (a module by its default export).`,
      { at: { ...at, target: file } },
    )
  }
  return value as ConfigFile
}
