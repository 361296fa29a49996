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
  // Most documents hold nothing that JSON lacks; a single pass finds out, and then the engine's own writer does the work.
  return isPlainJson(value) ? JSON.stringify(value) : JSON.stringify(tag(value))
}

function isPlainJson(value: Value): boolean {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value)
    case 'bigint':
      return false
    case 'object':
      if (value === null) return true
      if (value instanceof Date) return false
      for (const part of Array.isArray(value) ? value : Object.values(value)) if (!isPlainJson(part)) return false
      return true
    default:
      return true
  }
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

function tag(value: Value): Json {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? value : { $numberDouble: String(value) }
    case 'bigint':
      return { $numberLong: String(value) }
    case 'object': {
      if (value === null) return null
      if (value instanceof Date) return { $date: value.getTime() }
      if (Array.isArray(value)) return value.map(tag)
      const out: { [key: string]: Json } = {}
      for (const [key, part] of Object.entries(value)) out[key] = tag(part)
      return out
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

function untag(value: Json): Value {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(untag)
  if (Object.hasOwn(value, '$date')) return new Date(value['$date'] as number)
  if (Object.hasOwn(value, '$numberDouble')) return Number(value['$numberDouble'])
  if (Object.hasOwn(value, '$numberLong')) return BigInt(value['$numberLong'] as string)
  const out: Record<string, Value> = {}
  for (const [key, part] of Object.entries(value)) out[key] = untag(part)
  return out
}
