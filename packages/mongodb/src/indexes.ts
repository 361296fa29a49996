import { HubError, type Order } from '@tensorhub/core'
import type { Connection } from './connection.ts'
import { CODES, codeOf, isUnreachable } from './errors.ts'

interface Wanted {
  readonly keys: Order
  readonly unique: boolean
  readonly done: Promise<void>
  readonly settle: { resolve(): void; reject(error: unknown): void }
}

/**
 * Indexes, made when they are missing. Those asked for in one turn of the event loop go in one request a collection, and what this driver has seen made is not asked for again: on a
 * far server each request counts.
 */
export class Indexes {
  readonly #connection: Connection
  readonly #made = new Set<string>()
  readonly #waiting = new Map<string, Wanted[]>()

  constructor(connection: Connection) {
    this.#connection = connection
  }

  forget(): void {
    this.#made.clear()
  }

  async make(coll: string, keys: Order, unique: boolean): Promise<void> {
    if (this.#made.has(nameOf(coll, keys, unique))) return
    const waiting = this.#waiting.get(coll)
    const wanted = want(keys, unique)
    if (waiting === undefined) {
      const batch = [wanted]
      this.#waiting.set(coll, batch)
      queueMicrotask(() => {
        this.#waiting.delete(coll)
        void this.#send(coll, batch)
      })
    } else waiting.push(wanted)
    await wanted.done
    this.#made.add(nameOf(coll, keys, unique))
  }

  async #send(coll: string, batch: readonly Wanted[]): Promise<void> {
    const [first] = batch
    if (batch.length === 1 && first !== undefined) return this.#sendOne(coll, first)
    try {
      const specs = distinct(coll, batch).map((one) => ({
        key: keyOf(one.keys),
        name: indexName(one.keys),
        ...(one.unique ? { unique: true } : {}),
      }))
      await this.#connection.opened.db.collection(coll).createIndexes(specs)
      for (const one of batch) one.settle.resolve()
    } catch (error) {
      // Each would wait for the server as long again.
      if (isUnreachable(error)) {
        for (const one of batch) one.settle.reject(error)
        return
      }
      // One by one each gets its own answer.
      for (const one of batch) await this.#sendOne(coll, one)
    }
  }

  async #sendOne(coll: string, one: Wanted): Promise<void> {
    try {
      await this.#create(coll, one)
      one.settle.resolve()
    } catch (error) {
      one.settle.reject(error)
    }
  }

  async #create(coll: string, { keys, unique }: Wanted): Promise<void> {
    const collection = this.#connection.opened.db.collection(coll)
    try {
      await collection.createIndex(keyOf(keys), { name: indexName(keys), ...(unique ? { unique: true } : {}) })
    } catch (error) {
      const code = codeOf(error)
      if (code !== CODES.indexOptionsConflict && code !== CODES.indexKeySpecsConflict) throw error
      // An index on these keys is there, with another name or other options. It serves as well, unless it has to be unique and is not, or covers only a part.
      const same = (await collection.indexes()).find(
        ({ key }) =>
          JSON.stringify(Object.entries(key).map(([k, v]) => [k, Number(v)])) === JSON.stringify([...keyOf(keys)]),
      )
      const whole =
        same !== undefined && !same.sparse && same.partialFilterExpression === undefined && same.collation === undefined
      if (whole && (!unique || same.unique === true)) return
      throw new HubError(
        'CONFLICT',
        `${coll} in MongoDB at ${this.#connection.place} has the index '${same?.name ?? indexName(keys)}' on the same keys with other options. Drop it (db.${coll}.dropIndex) and try again.`,
        { at: { scheme: 'mongodb', op: 'ensureIndex', target: coll }, reason: 'INDEX_CONFLICT', cause: error },
      )
    }
  }
}

function want(keys: Order, unique: boolean): Wanted {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  return { keys, unique, done: promise, settle: { resolve, reject } }
}

/** The same keys asked for twice at once are one index. */
function distinct(coll: string, batch: readonly Wanted[]): readonly Wanted[] {
  return [...new Map(batch.map((one) => [nameOf(coll, one.keys, one.unique), one])).values()]
}

function keyOf(keys: Order): Map<string, 1 | -1> {
  return new Map(keys.map(({ path, dir }) => [path.join('.'), dir]))
}

function indexName(keys: Order): string {
  return keys.map(({ path, dir }) => `${path.join('.')}_${dir}`).join('_')
}

function nameOf(coll: string, keys: Order, unique: boolean): string {
  return `${coll} ${JSON.stringify(keys)} ${unique}`
}
