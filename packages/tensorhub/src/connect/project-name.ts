import { readFile } from 'node:fs/promises'
import { basename, dirname, join, parse, resolve } from 'node:path'
import { HubError } from '@tensorhub/core'

/**
 * The project's name when none is given: the `name` of the nearest package.json, else the folder's name. Never empty: the original's
 * script-derived names could be, and then unrelated scripts shared one project and deleted each other's data (B3).
 */
export async function defaultProjectName(from: string): Promise<string> {
  for (let dir = resolve(from); ; dir = dirname(dir)) {
    const name = await packageName(join(dir, 'package.json'))
    if (name !== undefined) return name
    if (dir === parse(dir).root) break
  }
  return basename(resolve(from)) || 'default'
}

async function packageName(file: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined
    throw error
  }
  try {
    const parsed: unknown = JSON.parse(text)
    const name = typeof parsed === 'object' && parsed !== null ? (parsed as { name?: unknown }).name : undefined
    return typeof name === 'string' && name !== '' ? name : undefined
  } catch (cause) {
    throw new HubError(
      'INVALID',
      `${file} is not valid JSON, so the project's name cannot be read from it; mend it or give projectName.`,
      {
        at: { scheme: 'hub', op: 'connect', target: file },
        cause,
      },
    )
  }
}

/** @throws INVALID when the name is no non-empty well-formed string of at most 200 characters without control characters. */
export function checkProjectName(name: unknown): string {
  if (
    typeof name !== 'string' ||
    name.trim() === '' ||
    name.length > 200 ||
    !name.isWellFormed() ||
    /\p{Cc}/u.test(name)
  ) {
    throw new HubError(
      'INVALID',
      'projectName must be a non-empty string of at most 200 characters without control characters.',
      {
        at: { scheme: 'hub', op: 'connect' },
        path: 'projectName',
      },
    )
  }
  return name
}
