import type { Doc, Value } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'

/**
 * The canonical JSON form of documents, shared by drivers that store text: Dates are `{"$date":ms}`, NaN and infinities
 * `{"$numberDouble":"NaN"}`, bigints `{"$numberLong":"…"}`. Field names never start with `$` (checkDoc), so no user object can look like a tag.
 */
export function encodeDoc(doc: Doc): string {
  return encodeValue(doc)
}

export function encodeValue(value: Value): string {
  return JSON.stringify(tag(value))
}

const TAGS: ReadonlySet<string> = new Set(['$date', '$numberDouble', '$numberLong'])

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** The value with tags in place of what JSON lacks. Parts that lack nothing are not copied. */
function tag(value: Value): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? value : { $numberDouble: String(value) }
    case 'bigint':
      return { $numberLong: String(value) }
    case 'object': {
      if (value === null) return null
      if (value instanceof Date) return { $date: value.getTime() }
      if (Array.isArray(value)) {
        let copy: unknown[] | undefined
        for (let i = 0; i < value.length; i++) {
          const part = value[i] as Value
          const tagged = tag(part)
          if (tagged === part) continue
          copy ??= [...value]
          copy[i] = tagged
        }
        return copy ?? value
      }
      const fields = value as { readonly [key: string]: Value }
      let copy: { [key: string]: unknown } | undefined
      for (const key of Object.keys(fields)) {
        const part = fields[key] as Value
        const tagged = tag(part)
        if (tagged === part) continue
        copy ??= { ...fields }
        own(copy, key, tagged)
      }
      return copy ?? value
    }
    default:
      return value
  }
}

export function decodeDoc(json: string): Doc {
  return decodeValue(json) as Doc
}

/** @throws INTEGRITY when the text is no canonical form. */
export function decodeValue(json: string): Value {
  try {
    const plain = JSON.parse(json) as Json
    return json.includes('"$') ? untag(plain) : plain
  } catch (cause) {
    throw new HubError('INTEGRITY', 'A stored document is damaged: it is not the canonical JSON form.', {
      at: { scheme: 'core', op: 'decode' },
      cause,
    })
  }
}

/** In place: the parsed text belongs to nobody else. */
function untag(value: Json): Value {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const parts: Value[] = value
    for (let i = 0; i < value.length; i++) parts[i] = untag(value[i] as Json)
    return parts
  }
  const keys = Object.keys(value)
  const only = keys.length === 1 ? (keys[0] as string) : ''
  if (only.startsWith('$')) {
    const held = value[only]
    if (only === '$date' && typeof held === 'number' && Number.isFinite(new Date(held).getTime())) return new Date(held)
    if (only === '$numberDouble' && (held === 'NaN' || held === 'Infinity' || held === '-Infinity')) return Number(held)
    if (only === '$numberLong' && typeof held === 'string' && /^-?\d{1,19}$/.test(held)) return BigInt(held)
    if (TAGS.has(only)) throw new TypeError(`${only} holds ${JSON.stringify(held)}`)
  }
  const out: Record<string, Value> = value
  for (const key of keys) {
    const part = value[key] as Json
    if (typeof part === 'object' && part !== null) own(out, key, untag(part))
  }
  return out
}

/** Assigning to `__proto__` would change the object's prototype, and so drop a condition of a filter in silence. */
function own<T>(out: { [key: string]: T }, key: string, value: T): void {
  if (key === '__proto__')
    Object.defineProperty(out, key, { value, enumerable: true, writable: true, configurable: true })
  else out[key] = value
}
