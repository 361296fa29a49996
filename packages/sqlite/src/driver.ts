import { resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
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
  project,
  throwIfAborted,
} from '@tensorhub/core'
import { mapError } from './errors.ts'
import { Indexes } from './indexes.ts'
import { Judge } from './judge.ts'
import { OpenFile } from './open-file.ts'
import type { SqliteOptions } from './options.ts'
import { Plans } from './plans.ts'
import { Reads } from './reads.ts'
import { watchChanges } from './watch.ts'
import { Writes } from './writes.ts'

const CAN: IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: true, uniqueKeys: true, watch: true }

/** The embedded index on `node:sqlite`: one table a collection, documents as JSON, filters and orders in SQL. */
export function sqlite(options: SqliteOptions): IndexDriver {
  return new SqliteIndex(options)
}

/** What there is while the driver is open. */
interface Parts {
  readonly file: OpenFile
  readonly plans: Plans
  readonly indexes: Indexes
  readonly reads: Reads
  readonly writes: Writes
}

class SqliteIndex implements IndexDriver {
  readonly scheme = 'sqlite'
  readonly can = CAN
  readonly #path: string
  readonly #lockTimeout: number
  readonly #autoIndex: boolean
  readonly #given: DatabaseSync | undefined
  #parts: Parts | undefined

  constructor(options: SqliteOptions) {
    const { file, database, lockTimeout = 30_000, autoIndex = true, ...unknown } = options
    const extra = Object.keys(unknown)[0]
    if (extra !== undefined)
      throw refused(`sqlite() has no option '${extra}'; it knows file, database, lockTimeout, autoIndex.`, extra)
    if ((file === undefined) === (database === undefined))
      throw refused('sqlite() needs either the path of a file or an open database.', 'file')
    if (typeof lockTimeout !== 'number' || !(lockTimeout >= 0))
      throw refused(`lockTimeout must be milliseconds from 0, not ${String(lockTimeout)}.`, 'lockTimeout')
    if (typeof autoIndex !== 'boolean') throw refused('autoIndex must be true or false.', 'autoIndex')
    const path = file ?? database?.location()
    if (typeof path !== 'string' || path === '' || path === ':memory:') {
      throw refused(
        'sqlite() keeps documents in a file; for an index in memory use memoryIndex() of @tensorhub/memory.',
        file === undefined ? 'database' : 'file',
      )
    }
    this.#path = resolve(path)
    this.#given = database
    this.#lockTimeout = lockTimeout
    this.#autoIndex = autoIndex
  }

  native(): unknown {
    return this.#parts?.file.writer.database
  }

  async open(): Promise<undefined> {
    try {
      const file = await OpenFile.open(this.#path, this.#given, this.#lockTimeout)
      const plans = new Plans(file.shapes)
      const judge = new Judge(file.readers)
      const indexes = new Indexes(file, judge, this.#autoIndex)
      const reads = new Reads(file, plans, judge, indexes)
      this.#parts = { file, plans, indexes, reads, writes: new Writes(file, plans, CAN.maxDocBytes) }
    } catch (error) {
      throw mapError(error, { scheme: 'sqlite', op: 'open', target: this.#path })
    }
  }

  async close(): Promise<void> {
    await this.#parts?.file.close()
    this.#parts = undefined
  }

  async now(o: Call): Promise<Date> {
    throwIfAborted(o.signal)
    return new Date()
  }

  ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean }): Promise<void> {
    return this.#open.indexes.make(coll, keys, o.unique === true, o.signal)
  }

  insert(coll: string, docs: readonly Doc[], o: Call): Promise<void> {
    return this.#open.writes.insert(coll, docs, o.signal)
  }

  async *find(
    coll: string,
    where: Predicate,
    o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
  ): AsyncGenerator<Doc, void, undefined> {
    throwIfAborted(o.signal)
    const { file, reads } = this.#open
    try {
      // What is there at once needs no turn of the loop for each document.
      const few = reads.now(coll, where, o.order, o.limit)
      if (few !== undefined) {
        for (const doc of few) yield o.fields ? project(doc, o.fields) : doc
        return
      }
      for await (const doc of reads.docs(coll, where, o.order, o.limit, o.signal))
        yield o.fields ? project(doc, o.fields) : doc
    } catch (error) {
      throw mapError(error, file.at('find', coll))
    }
  }

  async count(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    const { file, reads } = this.#open
    try {
      return await reads.count(coll, where, o.signal)
    } catch (error) {
      throw mapError(error, file.at('count', coll))
    }
  }

  async update(coll: string, where: Predicate, change: Change, o: Call): Promise<number> {
    await this.#planned('update', coll, where, [], undefined)
    return this.#open.writes.update(coll, where, change, o.signal)
  }

  async takeOne(coll: string, where: Predicate, change: Change, o: Call & { order: Order }): Promise<Doc | null> {
    // Not counted for automatic indexes: whoever claims by this has made the index for it, and others only mislead SQLite and cost each claim.
    return this.#open.writes.takeOne(coll, where, change, o.order, o.signal)
  }

  async delete(coll: string, where: Predicate, o: Call): Promise<number> {
    await this.#planned('delete', coll, where, [], undefined)
    return this.#open.writes.delete(coll, where, o.signal)
  }

  async *watch(coll: string, where: Predicate, o: Call): AsyncGenerator<IndexEvent, void, undefined> {
    throwIfAborted(o.signal)
    const { file } = this.#open
    try {
      const read = () =>
        this.find(coll, where, { order: [], fields: [['_id'], ['_rev']], ...(o.signal ? { signal: o.signal } : {}) })
      yield* watchChanges(read, () => file.readers.dataVersion(), file.commits, o.signal)
    } catch (error) {
      if (o.signal?.aborted) throw abortError(o.signal, file.at('watch', coll))
      throw mapError(error, file.at('watch', coll))
    }
  }

  /** How a query would be run: SQLite's own words, for tests and for `explain`. */
  async explain(coll: string, where: Predicate, order: Order, limit?: number): Promise<string[]> {
    const { file, plans } = this.#open
    if (!(await file.isReadable(coll))) return []
    const plan = plans.of(coll, where, order, limit)
    return file.readers.explain(plan.sql, plan.params)
  }

  /** Counts the query for automatic indexes before it is queued as a write. */
  async #planned(op: string, coll: string, where: Predicate, order: Order, limit: number | undefined): Promise<void> {
    const { file, reads } = this.#open
    try {
      await reads.planned(coll, where, order, limit)
    } catch (error) {
      throw mapError(error, file.at(op, coll))
    }
  }

  get #open(): Parts {
    if (this.#parts === undefined)
      throw new HubError('CLOSED', `The index ${this.#path} is not open.`, {
        at: { scheme: 'sqlite', op: 'open', target: this.#path },
      })
    return this.#parts
  }
}

function refused(message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'sqlite', op: 'open' }, path })
}
