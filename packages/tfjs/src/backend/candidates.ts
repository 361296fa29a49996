import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

/** One place where TensorFlow.js may be. */
export interface Candidate {
  /** The package, for messages. */
  readonly name: string
  /** What is required: a package's name, or a folder or file. */
  readonly path: string
  /** Whether the user named it, so that it must load. */
  readonly required?: boolean
}

export type Found<T> =
  | { readonly module: T; readonly path: string }
  | { readonly reason: string; readonly installed: boolean; readonly cause?: unknown }

const NATIVE = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']
const BUILT_VERSION = '4.22.0'
/** Where tensorhub notes the program that packages are looked up for, when that is not the main file: a task's script runs far from it. */
const PROGRAM = Symbol.for('tensorhub.program')

/** The native builds to try, best first. With `module` only that one. */
export function candidates(module: string | undefined): Candidate[] {
  if (module !== undefined) {
    const path = module.startsWith('.') || isAbsolute(module) ? resolve(module) : module
    return [{ name: module, path, required: true }]
  }
  return NATIVE.flatMap((name) => {
    const built = builtFolder(name)
    return [
      { name, path: name },
      ...(existsSync(join(built, 'package.json'))
        ? [{ name: `${name} (built by tools/tfjs-native)`, path: built }]
        : []),
    ]
  })
}

/** Where tools/tfjs-native leaves its build of a package. */
function builtFolder(name: string): string {
  const cache = process.env.TENSORHUB_CACHE || join(homedir(), '.cache', 'tensorhub')
  return join(cache, 'tfjs-native', `${name.split('/')[1]}-${BUILT_VERSION}`, 'node_modules', name)
}

/**
 * Requires a candidate: as seen from here, then from the program and from the working folder (strict layouts show a package only to those that
 * declare it). By `require`, so that the user's own `import` of the same package gives the same instance.
 */
export function requireCandidate<T>(candidate: Candidate): Found<T> {
  const program = (globalThis as { [PROGRAM]?: string })[PROGRAM] ?? mainFile()
  const bases = [import.meta.url, program, join(process.cwd(), 'package.json')]
  let path: string | undefined
  for (const base of bases.filter((base) => base !== undefined)) {
    try {
      path = createRequire(base).resolve(candidate.path)
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND')
        return { reason: reasonOf(error), installed: true, cause: error }
    }
  }
  if (path === undefined) return { reason: 'it is not there', installed: false }
  try {
    return { module: createRequire(import.meta.url)(path) as T, path }
  } catch (error) {
    return { reason: reasonOf(error), installed: true, cause: error }
  }
}

/** The file that Node was started with; none for a program given on standard input or by --eval. */
function mainFile(): string | undefined {
  const [, file] = process.argv
  return file !== undefined && isAbsolute(file) ? file : undefined
}

/** The first line of an error's message. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n')[0] ?? 'unknown'
}

/** tfjs-node 4.22 calls `util.isNullOrUndefined` at the first training step, and Node 23 removed it. */
export function restoreNodeUtil(): void {
  const util = createRequire(import.meta.url)('node:util') as { isNullOrUndefined?: (value: unknown) => boolean }
  util.isNullOrUndefined ??= (value) => value === null || value === undefined
}
