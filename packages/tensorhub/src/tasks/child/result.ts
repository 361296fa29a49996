import { inspect } from 'node:util'
import { encodeLine, type FromChild } from './wire.ts'

/**
 * What a script or handler returned, as the message of a result: everything, or exactly `keys`. Each value by itself, so that one that cannot be
 * stored does not take the others with it (B12).
 *
 * @throws TypeError when it is no object of results.
 */
export function resultOf(returned: unknown, keys: readonly string[]): FromChild & { readonly kind: 'result' } {
  const isObject = typeof returned === 'object' && !Array.isArray(returned)
  if (!isObject && returned !== undefined && keys.length === 0) {
    throw new TypeError(
      `a task must return an object of results (or nothing), not ${Array.isArray(returned) ? 'an array' : `a ${typeof returned}`}`,
    )
  }
  const all = ((isObject ? returned : undefined) ?? {}) as Readonly<Record<string, unknown>>
  const values: Record<string, unknown> = {}
  const bad: { key: string; why: string }[] = []
  const missing: string[] = []
  for (const key of new Set(keys.length > 0 ? keys : Object.keys(all))) {
    try {
      const value = Object.hasOwn(all, key) ? all[key] : undefined
      if (value === undefined) {
        if (keys.length > 0) missing.push(key)
        continue
      }
      encodeLine(value)
      Object.defineProperty(values, key, { value, enumerable: true })
    } catch (error) {
      bad.push({ key, why: error instanceof Error ? error.message : String(error) })
    }
  }
  return { kind: 'result', values, bad, missing }
}

/** Characters of what was thrown and is no error. */
const LONGEST_THROWN = 2000

/** What was thrown, as a message. */
export function errorOf(error: unknown): FromChild & { readonly kind: 'error' } {
  // Anything can be thrown, also what throws when it is looked at.
  try {
    if (error instanceof Error)
      return { kind: 'error', name: String(error.name), message: describe(error), stack: String(error.stack ?? '') }
    const text = String(error)
    // What an object says of itself, where it says anything.
    const message = text === '[object Object]' ? inspect(error).slice(0, LONGEST_THROWN) : text
    return { kind: 'error', name: 'Error', message, stack: '' }
  } catch {
    return { kind: 'error', name: 'Error', message: 'The script threw a value that cannot be described.', stack: '' }
  }
}

/** A message with its causes, which often say more than it. */
function describe(error: Error): string {
  let text = String(error.message)
  let cause: unknown = error.cause
  for (let depth = 0; depth < 5 && cause instanceof Error; depth++) {
    text += ` (${cause.name}: ${cause.message})`
    cause = cause.cause
  }
  return text
}
