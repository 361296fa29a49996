import { type Doc, isObject, type Value } from '@tensorhub/core'
import type { Connection } from './connection.ts'

/** The number of the last shape. */
export const SHAPES_VERSION = 'SELECT coalesce(max(id),0) FROM th_shapes'

/**
 * Which fields of a collection ever held an array or an object. Where none did, a field is a scalar and SQL decides filters and orders on it
 * exactly, by index; where one did, arrays' rules need more. Rows are written in the transaction of the document, so every reader's snapshot has
 * both or neither.
 */
export class Shapes {
  readonly #known = new Map<string, Set<string>>()
  /** The highest row read; a higher one in the database means another process added some. */
  version = 0
  /** Rises whenever something becomes known: plans made before may be wrong. */
  generation = 0

  /** Reads rows that are new since last time. */
  refresh(connection: Connection): void {
    for (const row of connection
      .prepare('SELECT id, coll, shape FROM th_shapes WHERE id > ? ORDER BY id')
      .all(this.version)) {
      this.#add(row['coll'] as string, row['shape'] as string)
      this.version = row['id'] as number
    }
  }

  /** Rows read inside a transaction that was undone may get their numbers again: all are read anew. Knowing too many shapes is harmless. */
  rolledBack(): void {
    this.version = 0
  }

  /** The shapes of a document that are not known yet; the caller stores them with it. */
  unknown(coll: string, doc: Doc): readonly string[] {
    if (isFlat(doc)) return NONE
    const known = this.#known.get(coll)
    if (known?.has(ANY)) return []
    const fresh: string[] = []
    collect(doc, '', 0, (shape) => {
      if (!known?.has(shape) && !fresh.includes(shape)) fresh.push(shape)
    })
    return (known?.size ?? 0) + fresh.length > MOST ? [ANY] : fresh
  }

  holdsArray(coll: string, path: string): boolean {
    return this.#has(coll, `[${path}`)
  }

  holdsObject(coll: string, path: string): boolean {
    return this.#has(coll, `{${path}`)
  }

  #has(coll: string, shape: string): boolean {
    const known = this.#known.get(coll)
    return known !== undefined && (known.has(shape) || known.has(ANY))
  }

  #add(coll: string, shape: string): void {
    let known = this.#known.get(coll)
    if (known === undefined) {
      known = new Set()
      this.#known.set(coll, known)
    }
    known.add(shape)
    this.generation++
  }
}

/** "Anything anywhere": of a collection with very many different fields. */
const ANY = '*'
const MOST = 1000

const NONE: readonly string[] = []

/** Most documents, logs above all, hold scalars only. */
function isFlat(doc: Doc): boolean {
  for (const key in doc) {
    const value = doc[key]
    if (typeof value === 'object' && value !== null && !(value instanceof Date)) return false
  }
  return true
}

function collect(
  node: { readonly [key: string]: Value },
  prefix: string,
  depth: number,
  found: (shape: string) => void,
): void {
  for (const key of Object.keys(node)) {
    const value = node[key] as Value
    if (typeof value !== 'object' || value === null) continue
    const path = prefix === '' ? key : `${prefix}.${key}`
    if (Array.isArray(value)) found(`[${path}`)
    else if (isObject(value)) {
      found(`{${path}`)
      // Deeper fields of a very nested value are covered by saying "array" of the last one followed.
      if (depth < 6) collect(value, path, depth + 1, found)
      else found(`[${path}`)
    }
  }
}
