import { installByProcess } from './install/by-process.ts'
import { inCache, missingTools } from './install/into-cache.ts'
import { onPath } from './install/on-path.ts'
import type { Recipe } from './install/recipe.ts'

/** Where a server's program was found, and the command line that starts it without its arguments. */
export interface Located {
  readonly from: 'PATH' | 'cache' | 'install'
  readonly command: readonly [string, ...string[]]
}

/** A server that this machine does not have and could not get; its message holds the command that would get it. */
export class ServerMissing extends Error {
  override readonly name = 'ServerMissing'
}

const say = (line: string) => process.stderr.write(`servers: ${line}\n`)

/**
 * PATH, then the cache, then an install into the cache where the toolchain is there (not with TENSORHUB_SERVERS=cached).
 *
 * @throws ServerMissing
 */
export async function locate(recipe: Recipe): Promise<Located> {
  const there = recipe.onPath === undefined ? undefined : onPath(recipe.onPath)
  if (there !== undefined) return { from: 'PATH', command: [there] }
  const cached = inCache(recipe)
  if (cached !== undefined) return { from: 'cache', command: commandOf(recipe, cached) }
  const missing = missingTools(recipe)
  const get = `To get it: ${recipe.command} (about ${recipe.cost})`
  if (missing.length > 0) {
    throw new ServerMissing(
      `${recipe.name} is neither on PATH nor in the cache, and ${missing.join(', ')} is missing for its install. ${get}`,
    )
  }
  if (process.env['TENSORHUB_SERVERS'] === 'cached') {
    throw new ServerMissing(
      `${recipe.name} is neither on PATH nor in the cache, and TENSORHUB_SERVERS=cached forbids its install. ${get}`,
    )
  }
  try {
    await installByProcess(recipe, say)
  } catch (error) {
    throw new ServerMissing(`${recipe.name} could not be installed: ${(error as Error).message}. ${get}`)
  }
  const installed = inCache(recipe)
  if (installed === undefined) throw new ServerMissing(`${recipe.name} is not in the cache after its install. ${get}`)
  return { from: 'install', command: commandOf(recipe, installed) }
}

function commandOf(recipe: Recipe, folder: string): readonly [string, ...string[]] {
  const [first, ...rest] = recipe.start?.(folder, recipe.program) ?? [`${folder}/${recipe.program}`]
  if (first === undefined) throw new Error(`${recipe.name} has no command line`)
  return [first, ...rest]
}
