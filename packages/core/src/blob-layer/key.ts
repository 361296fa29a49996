import { HubError } from '../errors/hub-error.ts'

/** Names Windows reserves whatever their extension. */
const WINDOWS = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i

/**
 * Checks a blob key: segments of `A–Z a–z 0–9 . _ - ~ = + @` joined by `/`, at most 512 bytes; no segment empty, `.` or `..`, none ends in a dot or
 * is a name Windows reserves. Such keys are safe in every store and on every file system, and need no escaping in URLs.
 *
 * @throws INVALID naming the key.
 */
export function checkKey(key: string): string {
  const why =
    typeof key !== 'string' || key === ''
      ? 'is empty'
      : key.length > 512
        ? 'is longer than 512 characters'
        : /[^A-Za-z0-9._\-~=+@/]/.test(key)
          ? 'has a character other than A–Z a–z 0–9 . _ - ~ = + @ /'
          : undefined
  if (why !== undefined) throw refuse(String(key), why)
  for (const segment of key.split('/')) {
    if (segment === '' || segment === '.' || segment === '..') throw refuse(key, 'has an empty segment, `.` or `..`')
    if (segment.length > 200) throw refuse(key, 'has a segment longer than 200 characters')
    if (segment.endsWith('.')) throw refuse(key, 'has a segment that ends in a dot')
    if (WINDOWS.test(segment)) throw refuse(key, 'has a segment that Windows reserves')
  }
  return key
}

/** Whether {@link checkKey} takes it: what others keep in a bucket under names that are no keys is no blob. */
export function isKey(name: string): boolean {
  try {
    checkKey(name)
    return true
  } catch {
    return false
  }
}

/** Checks a prefix to list: the beginning of a key, or empty; no segment is `..`, and none but the last is empty or `.`. @throws INVALID */
export function checkPrefix(prefix: string): string {
  const segments = typeof prefix === 'string' ? prefix.split('/') : []
  if (
    segments.length === 0 ||
    prefix.length > 512 ||
    /[^A-Za-z0-9._\-~=+@/]/.test(prefix) ||
    segments.includes('..') ||
    segments.slice(0, -1).some((segment) => segment === '' || segment === '.')
  ) {
    throw refuse(String(prefix), 'is no beginning of a key')
  }
  return prefix
}

function refuse(key: string, why: string): HubError {
  return new HubError('INVALID', `The blob key '${key.slice(0, 80)}' ${why}.`, {
    at: { scheme: 'core', op: 'key', target: key.slice(0, 80) },
    path: 'key',
  })
}
