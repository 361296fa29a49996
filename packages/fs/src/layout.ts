import { join } from 'node:path'

/**
 * Where blobs lie in the folder. Each segment but the last of a key is a directory `name`, the last a file `name` with the ending `.b`: so `a` and
 * `a/b` can both be stored (`a.b` beside `a/b.b`). Upper-case letters are escaped (`A` is `!a`), so that keys that differ by case only are two
 * files also where the file system ignores case.
 */
export const ENDING = '.b'

/** The staging folder, on the same file system as the blobs. Its name cannot be a key's: it holds a character no key has. */
export const STAGING = '#staging'

export function pathOf(folder: string, key: string): string {
  return join(folder, ...`${escapeCase(key)}${ENDING}`.split('/'))
}

export function escapeCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`)
}

export function unescapeCase(text: string): string {
  return text.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
