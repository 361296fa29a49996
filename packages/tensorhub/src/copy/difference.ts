import { isDeepStrictEqual } from 'node:util'
import type { Change, Doc, Value } from '@tensorhub/core'
import { setOwn } from '../documents/own-field.ts'

/** Fields that are each hub's own: revision and mark, and the content, whose keys differ while its identity does not. */
const OWN = new Set(['_id', '_rev', '_copy', 'content'])

/** The change that makes the copy's own fields those of the source; undefined when they are. Content is compared apart. */
export function difference(source: Doc, copy: Doc): Pick<Change, 'set' | 'unset'> | undefined {
  const set: Record<string, Value> = {}
  for (const [name, value] of Object.entries(source))
    if (!OWN.has(name) && !(Object.hasOwn(copy, name) && isDeepStrictEqual(value, copy[name]))) setOwn(set, name, value)
  const unset = Object.keys(copy).filter((name) => !OWN.has(name) && !Object.hasOwn(source, name))
  if (Object.keys(set).length === 0 && unset.length === 0) return undefined
  return { set, unset }
}
