import { access, readFile } from 'node:fs/promises'
import { dirname, join, parse, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HubError, redactUrl } from '@tensorhub/core'
import { currentTask } from '../tasks/child/current-task.ts'
import {
  type ConnectOptions,
  checkConnectOptions,
  type HubConfig,
  originalTarget,
  type StoreOptions,
  type Target,
  targetOf,
} from './options.ts'

const at = { scheme: 'hub', op: 'connect' }

export interface Settings {
  readonly target: Target
  readonly options: ConnectOptions
}

/**
 * Decides what to open. The first that says something wins: the arguments; `TENSORHUB_URL`, or `TENSORHUB_INDEX` with `TENSORHUB_BLOBS`;
 * the nearest `tensorhub.config.{ts,mjs,json}`; `./.tensorhub`. Options that name no store (projectName, scripts …) come from the arguments, else from
 * the file, so that changing the stores by the environment does not change the project.
 */
export async function resolveSettings(
  url: string | undefined,
  options: ConnectOptions,
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<Settings> {
  checkConnectOptions(options)
  if (url !== undefined && targetOfOptions(options) !== undefined) {
    throw new HubError('INVALID', `Give the hub either as a URL or by 'index' and 'blobs' (or 'ip'), not both.`, {
      at,
      path: 'index',
    })
  }
  const named = (url === undefined ? targetOfOptions(options) : targetOf(url)) ?? targetOfEnvironment(env)
  const config = await readConfig(cwd)
  if (config === undefined) return { target: named ?? defaultTarget(cwd), options }
  const { url: configured, ...rest } = config.value
  if (configured !== undefined && typeof configured !== 'string')
    throw new HubError('INVALID', `${config.file}: 'url' must be a string.`, {
      at: { ...at, target: config.file },
      path: 'url',
    })
  checkConnectOptions(rest, config.file, ['url'])
  const fromFile = configured === undefined ? targetOfOptions(rest) : targetOf(configured)
  if (configured !== undefined && targetOfOptions(rest) !== undefined)
    throw new HubError('INVALID', `${config.file} names the hub by 'url' and by 'index' or 'ip'; keep one form.`, {
      at: { ...at, target: config.file },
      path: 'url',
    })
  const folder = dirname(config.file)
  return {
    target: named ?? relativeTo(folder, fromFile ?? { kind: 'folder', folder: '.tensorhub' }),
    options: {
      ...rest,
      ...(rest.workDir === undefined ? {} : { workDir: resolve(folder, rest.workDir) }),
      ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    },
  }
}

/** @throws INVALID in a task's process, whose folder is removed when its script ends, with all that would be saved there. */
function defaultTarget(cwd: string): Target {
  if (currentTask() !== undefined)
    throw new HubError(
      'INVALID',
      'connect: a task has no default hub, since ./.tensorhub would be removed with its folder; use task.hub, or name a folder or URL.',
      { at, path: 'url' },
    )
  return { kind: 'folder', folder: join(cwd, '.tensorhub') }
}

/** A folder in a config file is meant from where the file stands. */
function relativeTo(folder: string, target: Target): Target {
  return target.kind === 'folder' ? { kind: 'folder', folder: resolve(folder, target.folder) } : target
}

function targetOfOptions(o: ConnectOptions): Target | undefined {
  if ('ip' in o && o.ip !== undefined) return originalTarget(o)
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

async function readConfig(from: string): Promise<{ file: string; value: HubConfig } | undefined> {
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

async function loadConfig(file: string): Promise<HubConfig> {
  let value: unknown
  try {
    value = file.endsWith('.json')
      ? JSON.parse(await readFile(file, 'utf8'))
      : ((await import(pathToFileURL(file).href)) as { default?: unknown }).default
  } catch (cause) {
    // A syntax error quotes the source around it, which may hold a password.
    const syntax =
      cause instanceof SyntaxError || (cause as NodeJS.ErrnoException).code === 'ERR_INVALID_TYPESCRIPT_SYNTAX'
    const why = syntax
      ? `it is no valid ${file.endsWith('.json') ? 'JSON' : 'module'}`
      : cause instanceof Error
        ? redacted(cause.message)
        : 'its module failed'
    throw new HubError('INVALID', `${file} cannot be used: ${why}.`, {
      at: { ...at, target: file },
      ...(syntax ? {} : { cause }),
    })
  }
  if (typeof value !== 'object' || value === null) {
    throw new HubError(
      'INVALID',
      `${file} must give an object with the options of connect (a module by its default export).`,
      { at: { ...at, target: file } },
    )
  }
  return value as HubConfig
}

/** A message with the secrets of URLs in it left out. */
function redacted(message: string): string {
  return message.replace(/[a-z][a-z0-9+.-]*:\/\/[^\s'"`<>]+/gi, (url) => redactUrl(url))
}
