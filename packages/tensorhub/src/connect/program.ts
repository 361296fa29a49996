import { isAbsolute } from 'node:path'

/** Where the program is noted; on the global object, because @tensorhub/tfjs asks for it as well, and several copies of a package may be loaded. */
const PROGRAM = Symbol.for('tensorhub.program')

/**
 * Names the program that packages are looked up for, as a file's URL. A task's script runs in a folder of its own, far from any node_modules;
 * its packages are the runner's.
 */
export function lookUpFrom(url: string): void {
  Object.defineProperty(globalThis, PROGRAM, { value: url, enumerable: false, configurable: true })
}

/** The program that packages are looked up for: what {@link lookUpFrom} named, else the file that Node was started with, if it was a file. */
export function program(): string | undefined {
  const named = (globalThis as { [PROGRAM]?: string })[PROGRAM]
  if (named !== undefined) return named
  const [, file] = process.argv
  return file !== undefined && isAbsolute(file) ? file : undefined
}
