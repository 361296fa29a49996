import type { Doc, Path, Value } from '../contracts/value.ts'
import { isObject } from './compare.ts'

/** The document reduced to some fields and `_id`. Paths lead through objects; one through an array keeps the array whole. */
export function project(doc: Doc, fields: readonly Path[]): Doc {
  const out: Record<string, Value> = { _id: doc._id }
  for (const path of fields) copy(doc, out, path)
  return out as Doc
}

function copy(from: { readonly [key: string]: Value }, to: Record<string, Value>, path: Path): void {
  const [step, ...rest] = path as [string, ...string[]]
  if (!Object.hasOwn(from, step)) return
  const value = from[step] as Value
  if (rest.length === 0 || !isObject(value)) {
    // Beyond a scalar there is no such field; an array is kept whole.
    if (rest.length === 0 || Array.isArray(value)) to[step] = value
    return
  }
  const held = to[step]
  const inner: Record<string, Value> = isObject(held) ? { ...held } : {}
  copy(value, inner, rest)
  to[step] = inner
}
