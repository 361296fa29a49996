import type { Doc, Value } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'
import { UNSAFE_NAMES } from './path.ts'

/** Nesting a document may have: what MongoDB's server accepts. */
export const MAX_DEPTH = 200

/**
 * Checks a document before it is written and gives a copy: -0 becomes 0, Dates are copied, nothing else changes. What the rules of
 * docs/query.md ("What a document may hold") refuse cannot be stored, so that no back end can differ on it.
 *
 * @throws INVALID naming the path.
 */
export function checkDoc(doc: Readonly<Record<string, unknown>>): Doc {
  const copy = checkValue(doc, '') as Record<string, Value>
  if (typeof copy !== 'object' || copy === null || Array.isArray(copy) || copy instanceof Date)
    throw refuse('A document must be a plain object.', [])
  const id = copy._id
  if (typeof id !== 'string' || id === '') throw refuse('A document needs a non-empty string _id.', ['_id'])
  return copy as Doc
}

/** Checks one value at a path, as {@link checkDoc} does. */
export function checkValue(value: unknown, path: string, depth = 0): Value {
  return check(value, path === '' ? [] : [path], depth)
}

/** @param steps The names on the way to the value; joined only where something is refused. */
function check(value: unknown, steps: string[], depth: number): Value {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw refuse('The bigint does not fit 64 bits.', steps)
      return value
    case 'number':
      if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 2 ** 64) {
        throw refuse('The integer lies beyond 2^53 and may have been rounded already; give a bigint.', steps)
      }
      return value === 0 ? 0 : value
    case 'string':
      if (!value.isWellFormed())
        throw refuse('The string is not well-formed Unicode (it holds a lone surrogate).', steps)
      return value
    case 'object':
      break
    default:
      throw refuse(
        value === undefined
          ? 'The value is undefined; leave the field out, or store null.'
          : `A ${typeof value} cannot be stored.`,
        steps,
      )
  }
  if (value === null) return null
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refuse('The Date is invalid.', steps)
    return new Date(value)
  }
  if (depth >= MAX_DEPTH) throw refuse(`The value is nested deeper than ${MAX_DEPTH}, or contains itself.`, steps)
  if (Array.isArray(value))
    return Array.from(value, (part: unknown, i) => {
      steps.push(String(i))
      const copy = check(part, steps, depth + 1)
      steps.pop()
      return copy
    })
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw refuse(
      `A ${value.constructor?.name ?? 'class instance'} cannot be stored in a document; only plain objects, arrays, Dates and scalars.`,
      steps,
    )
  }
  if (Object.getOwnPropertySymbols(value).length > 0)
    throw refuse('A field is named by a symbol; only strings can be stored.', steps)
  const fields = value as { readonly [key: string]: unknown }
  const copy: Record<string, Value> = {}
  for (const key of Object.keys(fields)) {
    steps.push(key)
    if (!SOUND_KEYS.has(key)) checkKey(key, steps)
    copy[key] = check(fields[key], steps, depth + 1)
    steps.pop()
  }
  return copy
}

/** Keys that were found sound: documents of a collection have the same few again and again. */
const SOUND_KEYS = new Set<string>()
const SOUND_KEYS_MOST = 1000

function checkKey(key: string, steps: readonly string[]): void {
  const why =
    key === ''
      ? 'is empty'
      : key.startsWith('$')
        ? 'starts with $'
        : key.includes('.')
          ? 'contains a dot'
          : key.includes('\u0000')
            ? 'contains NUL'
            : /^\d+$/.test(key)
              ? 'consists of digits only'
              : UNSAFE_NAMES.has(key)
                ? 'is a name of JavaScript prototypes'
                : !key.isWellFormed()
                  ? 'is not well-formed Unicode'
                  : undefined
  if (why !== undefined) throw refuse(`The field name '${key}' ${why} and cannot be stored.`, steps)
  if (SOUND_KEYS.size < SOUND_KEYS_MOST && key.length <= 100) SOUND_KEYS.add(key)
}

function refuse(message: string, steps: readonly string[]): HubError {
  const path = steps.join('.')
  return new HubError('INVALID', path === '' ? message : `${message} (at '${path}')`, {
    at: { scheme: 'core', op: 'write' },
    path,
    reason: 'VALUE_REFUSED',
  })
}
