import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { cacheFolder } from '../cache.ts'
import { onPath } from './on-path.ts'
import type { Recipe, Run } from './recipe.ts'

const { withLock } = createRequire(import.meta.url)('../../bootstrap/lock.cjs') as {
  withLock<T>(path: string, say: (line: string) => void, what: string, work: () => T): T
}

/** The folder of a finished install; undefined when there is none. */
export function inCache(recipe: Recipe): string | undefined {
  const folder = join(cacheFolder(), recipe.folder)
  return existsSync(join(folder, recipe.program)) ? folder : undefined
}

/** The programs of a recipe that PATH does not have. */
export function missingTools(recipe: Recipe): string[] {
  return recipe.tools.filter((tool) => onPath(tool) === undefined)
}

/**
 * Installs a server into the cache, unless it is there. Of two processes the second waits for the first; what was interrupted
 * leaves nothing that counts, because the folder gets its name only when it is whole.
 *
 * @returns its folder
 * @throws with the end of the failed program's output
 */
export function installIntoCache(recipe: Recipe, say: (line: string) => void): string {
  const missing = missingTools(recipe)
  const there = inCache(recipe)
  if (there !== undefined) return there
  if (missing.length > 0) throw new Error(`${recipe.name} needs ${missing.join(', ')}, which PATH does not have`)
  const cache = cacheFolder()
  mkdirSync(cache, { recursive: true })
  return withLock(join(cache, `${recipe.folder}.lock`), say, recipe.name, () => {
    const meanwhile = inCache(recipe)
    if (meanwhile !== undefined) return meanwhile
    // Only the holder of the lock builds, so these are of processes that were killed.
    const scratch = `building-${recipe.folder}-`
    for (const left of readdirSync(cache).filter((entry) => entry.startsWith(scratch))) {
      rmSync(join(cache, left), { recursive: true, force: true })
    }
    const building = join(cache, `${scratch}${process.pid}`)
    const folder = join(cache, recipe.folder)
    mkdirSync(building)
    try {
      say(`installing ${recipe.name} (about ${recipe.cost}): ${recipe.command}`)
      recipe.build(building, run)
      if (!existsSync(join(building, recipe.program))) {
        throw new Error(`the install of ${recipe.name} left no ${recipe.program}`)
      }
      rmSync(folder, { recursive: true, force: true })
      renameSync(building, folder)
    } finally {
      rmSync(building, { recursive: true, force: true })
    }
    return folder
  })
}

const run: Run = (program, args, env = {}) => {
  const done = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 256 * 1024 * 1024,
  })
  if (done.error !== undefined) throw new Error(`cannot start ${program}: ${done.error.message}`)
  if (done.status === 0) return
  const tail = `${done.stdout}\n${done.stderr}`.trim().split('\n').slice(-25).join('\n')
  throw new Error(`${program} ${args[0] ?? ''} ended with ${done.status ?? done.signal}\n${tail}`)
}
