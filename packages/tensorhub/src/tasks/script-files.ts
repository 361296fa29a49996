import { createHash } from 'node:crypto'
import { readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type ErrorPlace, HubError } from '@tensorhub/core'
import { init, parse } from 'es-module-lexer/minimal'
import type { ScriptFile, TaskScript } from './document.ts'
import { stripTypes } from './strip-types.ts'

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
 * Only what static imports and literal dynamic ones name is seen: not `new URL('./x', import.meta.url)`, nor a path that is computed.
 *
 * @throws NOT_FOUND for a missing script, DENIED for one that cannot be read, INVALID for an import that is missing, a link, absolute, or leaves
 *   the folder, naming file and import.
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
  const inside = root.endsWith(sep) ? root : root + sep
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
    const { file, from, as } = next
    const name = relative(root, file).split(sep).join('/')
    if (Object.hasOwn(files, name)) continue
    checkName(name, at)
    let content: Buffer
    try {
      content = await readInside(inside, file, MOST_BYTES - bytes, from, as, at)
    } catch (error) {
      if (error instanceof HubError) throw error
      if (from === undefined) throw unreadable(error, path, at)
      throw new HubError(
        'INVALID',
        `'${from}' imports '${as}', which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)}); imports are resolved as Node does, with their endings.`,
        { at, path: 'script', cause: error },
      )
    }
    bytes += content.byteLength
    if (Object.keys(files).length >= MOST_FILES) throw tooMuch(at)
    Object.defineProperty(files, name, { value: new Uint8Array(content), enumerable: true })
    if (MODULES[extname(file)] === undefined) continue
    for (const specifier of importsOf(content.toString('utf8'), file, name, at)) {
      const target = targetOf(specifier, file, name, at)
      if (target === undefined) continue // A package or node: module; the runner has its own.
      // Also one that comes back: on a runner the folder has another name.
      if (!target.startsWith(inside) || climbsOut(name, specifier)) throw outside(name, specifier, at)
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

/** The file a relative import means, by Node's own rules for URLs; undefined for a package. @throws INVALID for an absolute or malformed one. */
function targetOf(specifier: string, file: string, name: string, at: ErrorPlace): string | undefined {
  if (/^(file:|[a-z]:[\\/]|\/|\\)/i.test(specifier)) throw outside(name, specifier, at)
  if (!/^\.\.?(\/|$)/.test(specifier)) return undefined
  try {
    const url = new URL(specifier, pathToFileURL(file))
    if (url.search !== '' || url.hash !== '') throw new Error('a file name with ? or # must be percent-encoded')
    return fileURLToPath(url)
  } catch (cause) {
    throw new HubError(
      'INVALID',
      `'${name}' imports '${specifier}', which names no file: ${cause instanceof Error ? cause.message : String(cause)}.`,
      { at, path: 'script', cause },
    )
  }
}

/** Whether a path of a file of the folder passes above the folder on its way. */
function climbsOut(name: string, specifier: string): boolean {
  let depth = name.split('/').length - 1
  for (const step of decodeURIComponent(specifier).split('/')) {
    if (step === '..') depth--
    else if (step !== '.' && step !== '') depth++
    if (depth < 0) return true
  }
  return false
}

/** Reads a file that is really there under this very name: a link would be another file, with other imports, on a runner. */
async function readInside(
  inside: string,
  file: string,
  most: number,
  from: string | undefined,
  as: string,
  at: ErrorPlace,
): Promise<Buffer> {
  const real = await realpath(file)
  if (!real.startsWith(inside)) throw outside(from, as, at)
  if (real !== file)
    throw new HubError(
      'INVALID',
      `'${from ?? as}' imports '${as}', which is a symbolic link or another spelling of '${relative(inside, real).split(sep).join('/')}'; import that.`,
      { at, path: 'script', reason: 'IMPORT_LINK' },
    )
  const info = await stat(real)
  if (!info.isFile())
    throw new HubError(
      'INVALID',
      from === undefined
        ? `The script '${as}' is ${info.isDirectory() ? 'a folder' : 'no file'}.`
        : `'${from}' imports '${as}', which is ${info.isDirectory() ? 'a folder' : 'no file'}.`,
      { at, path: 'script' },
    )
  if (info.size > most) throw tooMuch(at)
  return readFile(real)
}

/** @throws INVALID for a name that another system would read as several steps or a drive. */
function checkName(name: string, at: ErrorPlace): void {
  if (/[\\:\0]/.test(name))
    throw new HubError(
      'INVALID',
      `The script file '${name}' has a backslash or colon in its name and could not be written on every runner; rename it.`,
      { at, path: 'script' },
    )
}

function tooMuch(at: ErrorPlace): HubError {
  return new HubError(
    'INVALID',
    `The script imports more than ${MOST_FILES} files or ${MOST_BYTES} bytes; save data as a dataset instead.`,
    { at, path: 'script' },
  )
}

/** sha256 over the lines `<path>\0<sha256>\n`, sorted by their UTF-8 bytes (as `LC_ALL=C sort` does). */
export function hashOfFiles(files: readonly ScriptFile[]): string {
  const lines = files.map((file) => Buffer.from(`${file.path}\0${file.sha256}\n`)).sort(Buffer.compare)
  return createHash('sha256').update(Buffer.concat(lines)).digest('hex')
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What a module imports statically, and dynamically by a literal. Type-only imports are gone with the types. */
function importsOf(source: string, file: string, name: string, at: ErrorPlace): string[] {
  try {
    const code = MODULES[extname(file)] === 'typescript' ? stripTypes(source) : source
    const [imports] = parse(code)
    return imports
      .map((found) => found.n ?? /^\s*`([^`$\\]*)`\s*$/.exec(code.slice(found.s, found.e))?.[1])
      .filter((n): n is string => n !== undefined)
  } catch (cause) {
    throw new HubError(
      'INVALID',
      `The script file '${name}' cannot be parsed: ${cause instanceof Error ? cause.message : String(cause)}`,
      { at, path: 'script', cause },
    )
  }
}

function outside(from: string | undefined, specifier: string, at: ErrorPlace): HubError {
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

function unreadable(error: unknown, path: string, at: ErrorPlace): HubError {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new HubError('NOT_FOUND', `The script '${path}' does not exist (seen from ${process.cwd()}).`, {
      at,
      path: 'script',
      cause: error,
    })
  return new HubError('DENIED', `The script '${path}' cannot be read (${code ?? String(error)}).`, {
    at,
    path: 'script',
    cause: error,
  })
}
