import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HubError } from '@tensorhub/core'
import { program } from './program.ts'

/**
 * Loads a package that the user may have installed beside tensorhub: as seen from here, then from the program, then from the working
 * folder (package managers with strict layouts show a package only to those that declare it).
 *
 * @throws UNSUPPORTED naming the package to install.
 */
export async function importOptional(name: string, why: string): Promise<unknown> {
  const places = [
    () => import.meta.resolve(name),
    ...[program(), join(process.cwd(), 'package.json')]
      .filter((place) => place !== undefined)
      .map((place) => () => pathToFileURL(createRequire(place).resolve(name)).href),
  ]
  let missing: unknown
  for (const resolve of places) {
    let url: string
    try {
      url = resolve()
    } catch (error) {
      if (!isMissing(error)) throw error
      missing = error
      continue
    }
    return import(url)
  }
  throw new HubError('UNSUPPORTED', `${why} needs the package ${name}, which is not installed: npm i ${name}`, {
    at: { scheme: 'hub', op: 'load', target: name },
    reason: 'PACKAGE_MISSING',
    cause: missing,
  })
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
}
