import { createHash } from 'node:crypto'
import { readFile, realpath } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { basename, dirname, extname, relative, resolve, sep } from 'node:path'
import { HubError } from '@tensorhub/core'
import { init, parse } from 'es-module-lexer/minimal'
import type { ScriptFile, TaskScript } from './document.ts'

export interface CollectedScript {
  readonly script: TaskScript
  /** Bytes by relative name with `/`. */
  readonly files: Readonly<Record<string, Uint8Array>>
}

const MODULES: Readonly<Record<string, TaskScript['lang']>> = {
  '.js': 'javascript',
  '.mjs': 'javascript',
  '.ts': 'typescript',
  '.mts': 'typescript',
}
/** Files that may be imported beside modules (by `with { type: 'json' }`). */
const DATA = ['.json']
const MOST_FILES = 1000
const MOST_BYTES = 64 * 1024 * 1024

/**
 * Reads a script and everything it imports by a relative path, all from inside its own folder, so that the task runs on any machine.
 *
 * @throws NOT_FOUND for a missing script, DENIED for one that cannot be read, INVALID for an import that is missing, leaves the folder or is
 *   absolute, naming file and import.
 */
export async function collectScript(path: string): Promise<CollectedScript> {
  const at = { scheme: 'hub', op: 'createTask', target: path }
  let entryPath: string
  try {
    entryPath = await realpath(resolve(path))
  } catch (error) {
    throw unreadable(error, path, at)
  }
  const root = dirname(entryPath)
  const lang = MODULES[extname(entryPath)]
  if (lang === undefined)
    throw new HubError(
      'INVALID',
      `The script '${path}' must be an ES module in JavaScript or TypeScript (${Object.keys(MODULES).join(', ')}).`,
      { at, path: 'script' },
    )
  await init()
  const files: Record<string, Uint8Array> = {}
  const queue: { readonly file: string; readonly from: string | undefined; readonly as: string }[] = [
    { file: entryPath, from: undefined, as: path },
  ]
  let bytes = 0
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const name = relative(root, next.file).split(sep).join('/')
    if (Object.hasOwn(files, name)) continue
    let content: Buffer
    try {
      const real = await realpath(next.file)
      if (real !== root && !real.startsWith(root + sep)) throw outside(next.from, next.as, at)
      content = await readFile(real)
    } catch (error) {
      if (next.from === undefined || error instanceof HubError)
        throw error instanceof HubError ? error : unreadable(error, path, at)
      throw new HubError(
        'INVALID',
        `'${next.from}' imports '${next.as}', which cannot be read; imports are resolved as Node does, with their endings.`,
        { at, path: 'script', cause: error },
      )
    }
    bytes += content.byteLength
    if (Object.keys(files).length >= MOST_FILES || bytes > MOST_BYTES)
      throw new HubError(
        'INVALID',
        `The script imports more than ${MOST_FILES} files or ${MOST_BYTES} bytes; save data as a dataset instead.`,
        { at, path: 'script' },
      )
    files[name] = new Uint8Array(content)
    if (MODULES[extname(next.file)] === undefined) continue
    for (const specifier of importsOf(content.toString('utf8'), next.file, name, at)) {
      if (/^(file:|[a-z]:[\\/]|\/|\\)/i.test(specifier)) throw outside(name, specifier, at)
      if (!specifier.startsWith('./') && !specifier.startsWith('../')) continue // A package or node: module; the runner has its own.
      const target = resolve(dirname(next.file), decodeURIComponent(specifier))
      if (!target.startsWith(root + sep)) throw outside(name, specifier, at)
      if (MODULES[extname(target)] === undefined && !DATA.includes(extname(target))) {
        throw new HubError(
          'INVALID',
          `'${name}' imports '${specifier}'; a script's imports must be modules or JSON, written with their endings.`,
          { at, path: 'script' },
        )
      }
      queue.push({ file: target, from: name, as: specifier })
    }
  }
  const listed = Object.entries(files).map(([name, data]): ScriptFile => ({ path: name, sha256: sha256(data) }))
  return { script: { sha256: hashOfFiles(listed), files: listed, entry: basename(entryPath), lang }, files }
}

/** sha256 over the sorted lines `<path>\0<sha256>\n`. */
export function hashOfFiles(files: readonly ScriptFile[]): string {
  const lines = files.map((file) => `${file.path}\0${file.sha256}\n`).sort()
  return createHash('sha256').update(lines.join('')).digest('hex')
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What a module imports statically, and dynamically by a literal. Type-only imports are gone with the types. */
function importsOf(
  source: string,
  file: string,
  name: string,
  at: { scheme: string; op: string; target: string },
): string[] {
  try {
    const code = MODULES[extname(file)] === 'typescript' ? stripTypeScriptTypes(source) : source
    const [imports] = parse(code)
    return imports.map((found) => found.n).filter((n): n is string => n !== undefined)
  } catch (cause) {
    throw new HubError(
      'INVALID',
      `The script file '${name}' cannot be parsed: ${cause instanceof Error ? cause.message : String(cause)}`,
      { at, path: 'script', cause },
    )
  }
}

function outside(
  from: string | undefined,
  specifier: string,
  at: { scheme: string; op: string; target: string },
): HubError {
  return new HubError(
    'INVALID',
    `'${from ?? specifier}' imports '${specifier}', which lies outside the script's folder and would not exist on a runner; put it inside, or make it a package.`,
    {
      at,
      path: 'script',
      reason: 'IMPORT_OUTSIDE',
    },
  )
}

function unreadable(error: unknown, path: string, at: { scheme: string; op: string; target: string }): HubError {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new HubError('NOT_FOUND', `The script '${path}' does not exist (seen from ${process.cwd()}).`, {
      at,
      path: 'script',
      cause: error,
    })
  if (code === 'EISDIR')
    return new HubError('INVALID', `The script '${path}' is a folder.`, { at, path: 'script', cause: error })
  return new HubError('DENIED', `The script '${path}' cannot be read (${code ?? String(error)}).`, {
    at,
    path: 'script',
    cause: error,
  })
}
