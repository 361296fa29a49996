import {
  applyChange,
  type Change,
  type Doc,
  HubError,
  type IndexCan,
  isHubError,
  type Order,
  type Predicate,
  retrying,
} from '@tensorhub/core'
import type { Collection, Document } from 'mongodb'
import { compileChange } from './change.ts'
import type { Connection } from './connection.ts'
import { failedAt, isUndoneInPassing } from './errors.ts'
import { compileFilter, compileOrder, pinnedId } from './filter.ts'
import { reading } from './reads.ts'
import { checkSize, docToBson } from './values.ts'

/** How often a document that keeps changing is read again. */
const REPEATS = 100
/** Tries of one replacement, with waits of up to 0.05, 0.1, 0.2 … s: about 3 s in all. */
const ATTEMPTS = 8
/** Documents a request of the slow way carries. */
const BATCH = 200

/**
 * Changes of documents. Nearly all are one operation of MongoDB, atomic by itself. Where MongoDB's operators would do something else than core's `applyChange` (change.ts), a document
 * is read, changed here, and replaced under the condition that its `_rev` is the same; each change raises it.
 */
export class Changes {
  readonly #connection: Connection
  readonly #can: () => IndexCan

  constructor(connection: Connection, can: () => IndexCan) {
    this.#connection = connection
    this.#can = can
  }

  async takeOne(coll: string, where: Predicate, change: Change, order: Order): Promise<Doc | null> {
    const collection = this.#collection(coll)
    const { filter } = compileFilter(where)
    const { update, guards, operators } = compileChange(change, where)
    checkSize(update, this.#can().maxDocBytes, coll, 'takeOne', 'The change')
    const one = pinnedId(where) !== undefined
    const sort = one ? {} : { sort: compileOrder(order) }
    // A guard may pass by a document that stands first; only where there is no other is that no matter.
    if (operators && (guards.length === 0 || one)) {
      const taken = await collection.findOneAndUpdate(guarded(filter, guards), update, {
        ...sort,
        returnDocument: 'after',
      })
      if (taken !== null) return taken
      if (guards.length === 0) return null
    }
    for (let tries = 0; tries < REPEATS; tries++) {
      const found = await collection.findOne(filter, sort)
      if (found === null) return null
      const changed = this.#changed(coll, 'takeOne', found, change)
      const taken = await collection.findOneAndReplace(sameRevision(found), withoutId(changed), {
        returnDocument: 'after',
      })
      if (taken !== null) return taken
    }
    throw contended('takeOne', coll, true)
  }

  async update(coll: string, where: Predicate, change: Change): Promise<number> {
    const collection = this.#collection(coll)
    const { filter } = compileFilter(where)
    const { update, guards, operators, obstacles } = compileChange(change, where)
    checkSize(update, this.#can().maxDocBytes, coll, 'update', 'The change')
    if (pinnedId(where) !== undefined) {
      if (operators) {
        const { matchedCount } = await collection.updateOne(guarded(filter, guards), update)
        if (Number(matchedCount) > 0 || guards.length === 0) return Number(matchedCount)
      }
      return this.#replaceEach(coll, filter, change)
    }
    if (operators) {
      const changed = await updateAll(collection, filter, update, obstacles)
      if (changed !== undefined) return changed
    }
    // All are tried before any is changed, so that an impossible change changes nothing.
    for await (const doc of collection.find(filter, { batchSize: BATCH })) applyChange(doc, change)
    return this.#replaceEach(coll, filter, change)
  }

  /** The slow way, for documents of any number. Begun again it would change some twice, so what passes is waited for here, and what does not is UNKNOWN once one is changed. */
  async #replaceEach(coll: string, filter: Document, change: Change): Promise<number> {
    const progress = { done: 0 }
    try {
      return await this.#replaceAll(coll, filter, change, progress)
    } catch (error) {
      if (progress.done === 0 || isHubError(error)) throw error
      const { message = String(error) } = this.#connection.mapError(error, { scheme: 'mongodb', op: 'find' }) ?? {}
      throw new HubError(
        'UNKNOWN',
        `An update of ${coll} stopped half-way: ${progress.done} documents are changed, and one more may be. ${message}`,
        { at: { scheme: 'mongodb', op: 'update', target: coll }, reason: 'REPLY_LOST', cause: error },
      )
    }
  }

  /** Read, change here, replace where nobody changed it meanwhile, and again for the others. */
  async #replaceAll(coll: string, filter: Document, change: Change, progress: { done: number }): Promise<number> {
    const collection = this.#collection(coll)
    let pending = filter
    for (let round = 0; round < REPEATS; round++) {
      const missed: string[] = []
      // Known before the first is replaced, since a change may make a document match again.
      const named = () => collection.find(pending, { projection: { _id: 1 } }).toArray()
      const ids = (await reading(named, {})).map(({ _id }) => _id)
      for (let i = 0; i < ids.length; i += BATCH) {
        const some = ids.slice(i, i + BATCH)
        const whole = () => collection.find({ $and: [filter, { _id: { $in: some } }] }, { batchSize: 20 }).toArray()
        for (const doc of await reading(whole, {})) {
          const changed = this.#changed(coll, 'update', doc, change)
          const mayBeDone = this.#connection.doubt()
          const { matchedCount } = await retrying(() => collection.replaceOne(sameRevision(doc), withoutId(changed)), {
            isTransient: (error) => isUndoneInPassing(error) && !mayBeDone(error),
            attempts: ATTEMPTS,
            baseMs: 50,
          })
          if (Number(matchedCount) === 1) progress.done++
          else missed.push(doc._id)
        }
      }
      if (missed.length === 0) return progress.done
      pending = { $and: [filter, { _id: { $in: missed } }] }
    }
    throw contended('update', coll, progress.done === 0)
  }

  #changed(coll: string, op: string, doc: Doc, change: Change): Doc {
    const changed = applyChange(doc, change)
    checkSize(changed, this.#can().maxDocBytes, coll, op, `Document '${doc._id}'`)
    return changed
  }

  #collection(coll: string): Collection<Doc> {
    return this.#connection.opened.db.collection<Doc>(coll)
  }
}

/**
 * Changes all that match, unless one of them is an obstacle: one command of two updates in order, whose first is refused by the server when it finds an obstacle (an `_id` is text, and is
 * never changed), so that the second is not begun. @returns undefined when there is an obstacle; then nothing was changed.
 */
async function updateAll(
  collection: Collection<Doc>,
  filter: Document,
  update: Document,
  obstacles: readonly Document[],
): Promise<number | undefined> {
  if (obstacles.length === 0) return Number((await collection.updateMany(filter, update)).matchedCount)
  const found = { $and: [filter, { $or: [...obstacles] }] }
  try {
    const { matchedCount } = await collection.bulkWrite(
      [{ updateOne: { filter: found, update: { $inc: { _id: 1 } } as Document } }, { updateMany: { filter, update } }],
      { ordered: true },
    )
    return Number(matchedCount)
  } catch (error) {
    if (failedAt(error) === 0) return undefined
    throw error
  }
}

function guarded(filter: Document, guards: readonly Document[]): Document {
  return guards.length === 0 ? filter : { $and: [filter, ...guards] }
}

/** A document that others wrote may have no `_rev`; null matches that. */
function sameRevision(doc: Doc): Document {
  const rev = doc['_rev']
  return { _id: { $eq: doc._id }, _rev: { $eq: typeof rev === 'number' ? rev : null } }
}

function withoutId(doc: Doc): Document {
  const { _id, ...rest } = docToBson(doc)
  return rest
}

/** @param retryable Not once some of several documents are changed. */
function contended(op: string, coll: string, retryable: boolean): HubError {
  return new HubError('CONFLICT', `Documents of ${coll} kept changing while ${op} worked on them; try again.`, {
    at: { scheme: 'mongodb', op, target: coll },
    retryable,
  })
}
