import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Engine, findEngine, hasImage, pull, pullCommand } from './container/engine.ts'
import type { Image } from './container/images.ts'
import { installByProcess } from './install/by-process.ts'
import { inCache, missingTools } from './install/into-cache.ts'
import { onPath } from './install/on-path.ts'
import type { Recipe } from './install/recipe.ts'
import type { Sources } from './sources.ts'

/** A program of this machine. */
export interface LocatedProgram {
  /** Program and version. */
  readonly name: string
  readonly from: 'PATH' | 'cache' | 'install' | 'npm'
  /** The command line that starts it, without its arguments. */
  readonly command: readonly [string, ...string[]]
}

/** An image that is on this machine, and the engine that runs it. */
export interface LocatedImage {
  readonly name: string
  readonly from: 'container'
  readonly engine: Engine
  readonly image: Image
}

export type Located = LocatedProgram | LocatedImage

/** A server that this machine does not have and could not get; its message holds the commands that would get it. */
export class ServerMissing extends Error {
  override readonly name = 'ServerMissing'
}

const say = (line: string) => process.stderr.write(`servers: ${line}\n`)
const mayGet = () => process.env['TENSORHUB_SERVERS'] !== 'cached'

/**
 * Each program on PATH, in the cache, or by an install into the cache where the toolchain is there; then the image, where a
 * container engine answers, pulled when it has to be. With TENSORHUB_SERVERS=cached nothing is installed and nothing pulled: an
 * image counts when it is on the machine already.
 *
 * @throws ServerMissing
 */
export async function locate(sources: Sources & { readonly image?: undefined }): Promise<LocatedProgram>
export async function locate(sources: Sources): Promise<Located>
export async function locate({ npm, programs = [], image }: Sources): Promise<Located> {
  const reasons: string[] = []
  if (npm !== undefined) {
    const program = ofPackage(npm)
    if (program !== undefined) return { name: npm.name, from: 'npm', command: [process.execPath, program] }
    reasons.push(`the npm package ${npm.module} is not installed`)
  }
  for (const recipe of programs) {
    const found = await locateProgram(recipe)
    if ('command' in found) return found
    reasons.push(found.absent)
  }
  if (image !== undefined) {
    const found = await locateImage(image)
    if ('image' in found) return found
    reasons.push(found.absent)
  }
  throw new ServerMissing(reasons.join('; or: '))
}

function ofPackage({ module, program }: NonNullable<Sources['npm']>): string | undefined {
  try {
    const path = join(createRequire(import.meta.url).resolve(`${module}/package.json`), '..', program)
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

async function locateProgram(recipe: Recipe): Promise<LocatedProgram | { readonly absent: string }> {
  const { name } = recipe
  const there = recipe.onPath === undefined ? undefined : onPath(recipe.onPath)
  if (there !== undefined) return { name, from: 'PATH', command: [there] }
  const cached = inCache(recipe)
  if (cached !== undefined) return { name, from: 'cache', command: commandOf(recipe, cached) }
  const missing = missingTools(recipe)
  const get = `To get it: ${recipe.command} (about ${recipe.cost})`
  const absent = `${name} is neither on PATH nor in the cache, and`
  if (missing.length > 0) return { absent: `${absent} ${missing.join(', ')} is missing for its install. ${get}` }
  if (!mayGet()) return { absent: `${absent} TENSORHUB_SERVERS=cached forbids its install. ${get}` }
  try {
    await installByProcess(recipe, say)
  } catch (error) {
    return { absent: `${name} could not be installed: ${(error as Error).message}. ${get}` }
  }
  const installed = inCache(recipe)
  if (installed === undefined) return { absent: `${name} is not in the cache after its install. ${get}` }
  return { name, from: 'install', command: commandOf(recipe, installed) }
}

async function locateImage(image: Image): Promise<LocatedImage | { readonly absent: string }> {
  const { name } = image
  const engine = await findEngine()
  const get = `To get it: ${pullCommand('none' in engine ? 'docker' : engine.name, image)}`
  if ('none' in engine) return { absent: `${name} in a container, but ${engine.none}. ${get}` }
  if (!(await hasImage(engine, image))) {
    if (!mayGet()) {
      return {
        absent: `${name} in a container, but ${engine.name} has no ${image.image}, and TENSORHUB_SERVERS=cached forbids to pull it. ${get}`,
      }
    }
    try {
      await pull(engine, image, say)
    } catch (error) {
      return { absent: `${name} in a container, but its image could not be had: ${(error as Error).message}. ${get}` }
    }
  }
  return { name, from: 'container', engine, image }
}

function commandOf(recipe: Recipe, folder: string): readonly [string, ...string[]] {
  const [first, ...rest] = recipe.start?.(folder, recipe.program) ?? [`${folder}/${recipe.program}`]
  if (first === undefined) throw new Error(`${recipe.name} has no command line`)
  return [first, ...rest]
}
