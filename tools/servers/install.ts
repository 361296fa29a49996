/**
 * Installs the servers that tests run against into the cache (`~/.cache/tensorhub/servers`, or TENSORHUB_CACHE).
 *
 *   node tools/servers/install.ts --all              all of them, side by side
 *   node tools/servers/install.ts versitygw …        those whose names begin so
 *
 * What it does goes to standard error. Exits with 1 when one of them could not be had, and says how to get it.
 */

import { installByProcess } from './install/by-process.ts'
import { inCache, installIntoCache } from './install/into-cache.ts'
import type { Recipe } from './install/recipe.ts'
import { RECIPES } from './install/recipes.ts'

const AT_ONCE = 3
const say = (line: string) => process.stderr.write(`servers: ${line}\n`)

function wanted(args: readonly string[]): readonly Recipe[] {
  if (args.length === 1 && args[0] === '--all') return RECIPES
  return args.map((name) => {
    const recipe =
      RECIPES.find(({ folder }) => folder === name) ?? RECIPES.find(({ folder }) => folder.startsWith(name))
    if (recipe !== undefined && !name.startsWith('-')) return recipe
    throw new Error(`no server ${name}; there are ${RECIPES.map(({ folder }) => folder).join(', ')}, and --all`)
  })
}

async function main(args: readonly string[]): Promise<void> {
  const recipes = wanted(args)
  const [only] = recipes
  if (only === undefined) throw new Error('which? Give --all, or the beginnings of names')
  if (recipes.length === 1) {
    const there = inCache(only)
    if (there === undefined) {
      const began = Date.now()
      installIntoCache(only, say)
      say(`${only.name} is ready after ${Math.round((Date.now() - began) / 1000)} s`)
    } else say(`${only.name} is in the cache already`)
    return
  }
  const failed: string[] = []
  const queue = [...recipes]
  const work = async () => {
    for (let recipe = queue.shift(); recipe !== undefined; recipe = queue.shift()) {
      const { name } = recipe
      if (inCache(recipe) !== undefined) say(`${name} is in the cache already`)
      else await installByProcess(recipe, say).catch(() => failed.push(name))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  if (failed.length > 0) throw new Error(`could not install ${failed.join(', ')}`)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  say((error as Error).message)
  process.exitCode = 1
}
