import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HubError } from '@tensorhub/core'

let program: string | undefined

/**
 * Names the program that packages are looked up for, as a file's URL. A task's script runs in a folder of its own, far from any node_modules;
 * its packages are the runner's.
 */
export function lookUpFrom(url: string): void {
  program = url
}

/**
 * Loads a package that the user may have installed beside tensorhub: first as seen from here, then as seen from the program's folder
 * (package managers with strict layouts show a package only to those that declare it).
 *
 * @throws UNSUPPORTED naming the package to install.
 */
export async function importOptional(name: string, why: string): Promise<unknown> {
  let url: string
  try {
    url = import.meta.resolve(name)
  } catch (error) {
    if (!isMissing(error)) throw error
    try {
      url = pathToFileURL(createRequire(program ?? join(process.cwd(), 'package.json')).resolve(name)).href
    } catch (cause) {
      if (!isMissing(cause)) throw cause
      throw new HubError('UNSUPPORTED', `${why} needs the package ${name}, which is not installed: npm i ${name}`, {
        at: { scheme: 'hub', op: 'load', target: name },
        reason: 'PACKAGE_MISSING',
        cause,
      })
    }
  }
  return import(url)
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
}
