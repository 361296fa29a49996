import {
  abortError,
  type Call,
  type Change,
  type Doc,
  HubError,
  type IndexCan,
  type IndexDriver,
  type IndexEvent,
  type Order,
  type Path,
  type Predicate,
  retrying,
  throwIfAborted,
  wrapErrors,
} from '@tensorhub/core'
import { Changes } from './changes.ts'
import { Connection } from './connection.ts'
import { isRefusedInPassing, isUndoneInPassing } from './errors.ts'
import { isUnknownCommand } from './features.ts'
import { compileFilter, isExactOrder, pinnedId } from './filter.ts'
import { Indexes } from './indexes.ts'
import { Inserts } from './inserts.ts'
import { checkOptions, type MongodbOptions } from './options.ts'
import { probeAbilities } from './probes.ts'
import { findDocs, reading } from './reads.ts'
import { watchChanges } from './watch.ts'

/** Waits of up to 0.05, 0.1, 0.2 … s: about 3 s in all. */
const ATTEMPTS = 8

const CAN: IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: true, uniqueKeys: true, watch: true }

/** The index on a MongoDB database: one collection a collection, filters and orders in MongoDB's own language. */
export function mongodb(options: MongodbOptions): IndexDriver {
  checkOptions('mongodb', options)
  const connection = new Connection('mongodb', options)
  return wrapErrors(new MongoIndex(connection), connection.mapError)
}

class MongoIndex implements IndexDriver {
  readonly scheme = 'mongodb'
  readonly can = CAN
  readonly #connection: Connection
  readonly #indexes: Indexes
  readonly #inserts: Inserts
  readonly #changes: Changes
  #effective: IndexCan = CAN
  #hello: 'hello' | 'isMaster' = 'hello'

  constructor(connection: Connection) {
    this.#connection = connection
    const can = () => this.#effective
    this.#indexes = new Indexes(connection)
    this.#inserts = new Inserts(connection, can)
    this.#changes = new Changes(connection, can)
  }

  /** The `MongoClient`, once open. */
  native(): unknown {
    return this.#connection.client
  }

  async open(call: Call): Promise<IndexCan> {
    const { client, db, features } = await this.#connection.open(call)
    try {
      const { transactions, watch } = await probeAbilities(client, db, features)
      this.#hello = features.hello
      this.#effective = { ...CAN, transactions, watch, maxDocBytes: Math.min(CAN.maxDocBytes, features.maxDocBytes) }
      return this.#effective
    } catch (error) {
      await this.#connection.close()
      throw error
    }
  }

  async close(): Promise<void> {
    this.#indexes.forget()
    await this.#connection.close()
  }

  async ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean }): Promise<void> {
    throwIfAborted(o.signal)
    await this.#indexes.make(coll, keys, o.unique === true)
  }

  async insert(coll: string, docs: readonly Doc[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    // Several are all or nothing only in a transaction, which repeats itself.
    const isTransient = docs.length === 1 ? isUndoneInPassing : isRefusedInPassing
    await this.#again('insert', coll, () => this.#inserts.insert(coll, docs, o.signal), isTransient, o)
  }

  async *find(
    coll: string,
    where: Predicate,
    o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
  ): AsyncGenerator<Doc, void, undefined> {
    throwIfAborted(o.signal)
    try {
      yield* findDocs(this.#connection.opened.db.collection(coll), where, o)
    } catch (error) {
      if (o.signal?.aborted) throw abortError(o.signal)
      throw error
    }
  }

  async count(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    const { filter } = compileFilter(where)
    const collection = this.#connection.opened.db.collection(coll)
    return Number(await reading(() => collection.countDocuments(filter), o))
  }

  async update(coll: string, where: Predicate, change: Change, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    // Of many documents some may be changed when one is in another write's way.
    const isTransient = pinnedId(where) === undefined ? isRefusedInPassing : isUndoneInPassing
    return this.#again('update', coll, () => this.#changes.update(coll, where, change), isTransient, o)
  }

  async takeOne(coll: string, where: Predicate, change: Change, o: Call & { order: Order }): Promise<Doc | null> {
    throwIfAborted(o.signal)
    return this.#again('takeOne', coll, () => this.#changes.takeOne(coll, where, change, o.order), isUndoneInPassing, o)
  }

  async delete(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    const { filter } = compileFilter(where)
    const collection = this.#connection.opened.db.collection(coll)
    const work = () => collection.deleteMany(filter)
    const { deletedCount } = await this.#again('delete', coll, work, isRefusedInPassing, o)
    return Number(deletedCount)
  }

  async *watch(coll: string, where: Predicate, o: Call): AsyncGenerator<IndexEvent, void, undefined> {
    throwIfAborted(o.signal)
    try {
      const { client, db } = this.#connection.opened
      const { timeout } = this.#connection
      const silence = client.options.socketTimeoutMS || timeout
      yield* watchChanges(db.collection(coll), where, { timeout, silence }, o.signal)
    } catch (error) {
      if (o.signal?.aborted) throw abortError(o.signal)
      throw error
    }
  }

  /** The MongoDB driver repeats a command once, and some not at all; a store that is busy, or changes its primary, needs more patience than that. */
  async #again<T>(
    op: string,
    coll: string,
    work: () => Promise<T>,
    isTransient: (error: unknown) => boolean,
    { signal }: Call,
  ): Promise<T> {
    const { place, timeout } = this.#connection
    const mayBeDone = this.#connection.doubt()
    return retrying(
      async () => {
        try {
          return await work()
        } catch (error) {
          if (!mayBeDone(error)) throw error
          throw new HubError(
            'UNKNOWN',
            `The reply of MongoDB at ${place} to ${op} on ${coll} was lost; whether it was done is not known. Read back before you repeat it.`,
            { at: { scheme: 'mongodb', op, target: coll }, reason: 'REPLY_LOST', cause: error },
          )
        }
      },
      {
        isTransient,
        attempts: ATTEMPTS,
        baseMs: 50,
        withinMs: timeout,
        ...(signal === undefined ? {} : { signal }),
      },
    )
  }

  async now(o: Call): Promise<Date> {
    throwIfAborted(o.signal)
    const { db } = this.#connection.opened
    try {
      return timeOf(await reading(() => db.command({ [this.#hello]: 1 }), o))
    } catch (error) {
      if (this.#hello === 'isMaster' || !isUnknownCommand(error)) throw error
      this.#hello = 'isMaster'
      return timeOf(await db.command({ isMaster: 1 }))
    }
  }

  exact(_coll: string, where: Predicate, order: Order): { where: boolean; order: boolean } {
    return { where: compileFilter(where).exact, order: isExactOrder(order) }
  }
}

/** `localTime` is a Date; a number of ms on some servers. */
function timeOf(reply: { readonly [field: string]: unknown }): Date {
  const time = reply['localTime']
  if (time instanceof Date) return time
  const ms = Number(time)
  if (!Number.isFinite(ms)) throw new Error('the server does not tell its time (localTime)')
  return new Date(ms)
}
