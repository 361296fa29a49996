import { createHash } from 'node:crypto'
import {
  applyChange,
  type Call,
  type Change,
  compareDocs,
  decodeDoc,
  type Doc,
  type ErrorPlace,
  encodeDoc,
  HubError,
  type IndexCan,
  type IndexDriver,
  matches,
  type Order,
  type Path,
  type Predicate,
  project,
  throwIfAborted,
} from '@tensorhub/core'
import { AutoIndex } from './auto-index.ts'
import { Connection } from './connection.ts'
import { mapError, sqliteCode } from './errors.ts'
import { fieldSql } from './expressions.ts'
import { compileFilter, compileOrder, type SqlValue } from './filter.ts'
import type { SqliteOptions } from './options.ts'
import { Readers } from './readers.ts'
import { openSchema } from './schema.ts'
import { Shapes } from './shapes.ts'
import { withLock } from './with-lock.ts'
import { WriteQueue } from './write-queue.ts'

const CAN: IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: true, uniqueKeys: true, watch: false }

/** The embedded index on `node:sqlite`: one table a collection, documents as JSON, filters and orders in SQL. */
export function sqlite(options: SqliteOptions): IndexDriver {
  return new SqliteIndex(options)
}

/** What one statement needs: the rows, and what is left to JavaScript. */
interface Plan {
  readonly sql: string
  readonly params: readonly SqlValue[]
  /** Set where SQL lets too much through. */
  readonly where: Predicate | undefined
  /** Set where SQL cannot order. */
  readonly order: Order | undefined
}

class SqliteIndex implements IndexDriver {
  readonly scheme = 'sqlite'
  readonly can = CAN
  readonly #file: string
  readonly #lockTimeout: number
  readonly #shapes = new Shapes()
  readonly #tables = new Set<string>()
  readonly #auto: AutoIndex | undefined
  #writer: Connection | undefined
  #readers: Readers | undefined
  #queue: WriteQueue | undefined

  constructor(options: SqliteOptions) {
    const { file, lockTimeout = 30_000, autoIndex = true, ...unknown } = options
    const extra = Object.keys(unknown)[0]
    if (extra !== undefined) throw new HubError('INVALID', `sqlite() has no option '${extra}'; it knows file, lockTimeout, autoIndex.`, { at: { scheme: 'sqlite', op: 'open' }, path: extra })
    if (typeof file !== 'string' || file === '') throw new HubError('INVALID', 'sqlite() needs the path of a file.', { at: { scheme: 'sqlite', op: 'open' }, path: 'file' })
    this.#file = file
    this.#lockTimeout = lockTimeout
    this.#auto = autoIndex ? new AutoIndex() : undefined
  }

  native(): unknown {
    return this.#writer?.database
  }

  async open(): Promise<undefined> {
    const at = { scheme: 'sqlite', op: 'open', target: this.#file }
    try {
      this.#writer = await withLock(() => new Connection(this.#file, false), this.#lockTimeout)
      await openSchema(this.#writer, this.#lockTimeout, at)
      this.#shapes.refresh(this.#writer.database)
      this.#readers = new Readers(this.#file)
      this.#queue = new WriteQueue(
        () => this.#writer as Connection,
        this.#lockTimeout,
        () => this.#shapes.rolledBack(),
      )
      return undefined
    } catch (error) {
      this.#writer?.close()
      this.#writer = undefined
      throw mapError(error, at)
    }
  }

  async close(): Promise<void> {
    await this.#queue?.idle()
    this.#readers?.close()
    this.#writer?.close()
  }

  async now(o: Call): Promise<Date> {
    throwIfAborted(o.signal)
    return new Date()
  }

  ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean }): Promise<void> {
    const columns = keys.map(({ path, dir }) => {
      const field = fieldSql(path)
      if (field === undefined) throw new HubError('INVALID', `The path '${path.join('.')}' cannot be indexed: only names of letters, digits, _, - and spaces.`, { at: this.#at('ensureIndex', coll), path: path.join('.') })
      const word = dir === 1 ? '' : ' DESC'
      if (field.rank === '3') return `_id${word}`
      // In a unique index a missing field counts as one value, as in MongoDB; SQL's NULLs would all differ.
      return o.unique === true ? `${field.rank}${word},coalesce(${field.value},x'00')${word}` : `${field.rank}${word},${field.value}${word}`
    })
    const kind = o.unique === true ? 'u' : 'i'
    const name = `${kind}_${coll}_${createHash('sha256').update(JSON.stringify(keys.map((key) => [key.path, key.dir]))).digest('hex').slice(0, 16)}`
    return this.#write('ensureIndex', coll, o.signal, (writer) => {
      this.#table(writer, coll)
      if (writer.prepare("SELECT 1 FROM sqlite_schema WHERE type='index' AND name=?").get(name) !== undefined) return
      writer.database.exec(`CREATE ${o.unique === true ? 'UNIQUE ' : ''}INDEX "${name}" ON "c_${coll}"(${columns.join(',')})`)
      this.#readers?.forget()
    })
  }

  insert(coll: string, docs: readonly Doc[], o: Call): Promise<void> {
    const rows = docs.map((doc) => ({ doc, body: this.#encode(coll, doc) }))
    return this.#write('insert', coll, o.signal, (writer) => {
      this.#table(writer, coll)
      const insert = writer.prepare(`INSERT INTO "c_${coll}"(_id,body) VALUES(?,?)`)
      for (const { doc, body } of rows) {
        this.#learn(writer, coll, doc)
        try {
          insert.run(doc._id, body)
        } catch (error) {
          throw this.#constraint(error, coll, doc)
        }
      }
    })
  }

  async *find(coll: string, where: Predicate, o: Call & { order: Order; limit?: number; fields?: readonly Path[] }): AsyncGenerator<Doc, void, undefined> {
    throwIfAborted(o.signal)
    try {
      for await (const doc of this.#readDocs(coll, where, o.order, o.limit, o.signal)) yield o.fields ? project(doc, o.fields) : doc
    } catch (error) {
      throw mapError(error, this.#at('find', coll))
    }
  }

  async count(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    try {
      const plan = await this.#planned(coll, where, [], undefined)
      if (plan === undefined) return 0
      if (plan.where === undefined) {
        const rows = await this.#readersOpen.all(`SELECT count(*) AS n FROM (${plan.sql})`, plan.params, o.signal)
        return rows[0]?.['n'] as number
      }
      let n = 0
      for await (const _doc of this.#readDocs(coll, where, [], undefined, o.signal)) n++
      return n
    } catch (error) {
      throw mapError(error, this.#at('count', coll))
    }
  }

  update(coll: string, where: Predicate, change: Change, o: Call): Promise<number> {
    return this.#write('update', coll, o.signal, (writer) => {
      const docs = this.#matching(writer, coll, where, [], undefined)
      // All are computed before any is stored, so that an impossible change changes nothing.
      const changed = docs.map((doc) => applyChange(doc, change))
      for (const doc of changed) this.#replace(writer, coll, doc)
      return docs.length
    })
  }

  takeOne(coll: string, where: Predicate, change: Change, o: Call & { order: Order }): Promise<Doc | null> {
    return this.#write('takeOne', coll, o.signal, (writer) => {
      const [doc] = this.#matching(writer, coll, where, o.order, 1)
      if (doc === undefined) return null
      const changed = applyChange(doc, change)
      this.#replace(writer, coll, changed)
      return changed
    })
  }

  delete(coll: string, where: Predicate, o: Call): Promise<number> {
    return this.#write('delete', coll, o.signal, (writer) => {
      if (!this.#hasTable(writer, coll)) return 0
      const filter = compileFilter(where, coll, this.#shapes)
      if (filter.exact) return Number(writer.prepare(`DELETE FROM "c_${coll}" WHERE ${filter.sql}`).run(...filter.params).changes)
      const docs = this.#matching(writer, coll, where, [], undefined)
      const remove = writer.prepare(`DELETE FROM "c_${coll}" WHERE _id=?`)
      for (const doc of docs) remove.run(doc._id)
      return docs.length
    })
  }

  /** How a query would be run: SQLite's own words, for tests and for `explain`. */
  async explain(coll: string, where: Predicate, order: Order, limit?: number): Promise<string[]> {
    const plan = await this.#planned(coll, where, order, limit)
    if (plan === undefined) return []
    const rows = await this.#readersOpen.all(`EXPLAIN QUERY PLAN ${plan.sql}`, plan.params, undefined)
    return rows.map((row) => row['detail'] as string)
  }

  get #readersOpen(): Readers {
    return this.#readers as Readers
  }

  async #write<T>(op: string, coll: string, signal: AbortSignal | undefined, run: (writer: Connection) => T): Promise<T> {
    throwIfAborted(signal, this.#at(op, coll))
    try {
      return await (this.#queue as WriteQueue).push(() => {
        const writer = this.#writer as Connection
        this.#shapes.refresh(writer.database)
        return run(writer)
      }, signal)
    } catch (error) {
      throw mapError(error, this.#at(op, coll))
    }
  }

  /** Inside the write transaction: the documents that match, in order. */
  #matching(writer: Connection, coll: string, where: Predicate, order: Order, limit: number | undefined): Doc[] {
    if (!this.#hasTable(writer, coll)) return []
    const plan = this.#plan(coll, where, order, limit)
    return finish(
      writer.prepare(plan.sql).all(...plan.params).map((row) => decodeDoc(row['body'] as string)),
      plan,
      limit,
    )
  }

  #plan(coll: string, where: Predicate, order: Order, limit: number | undefined): Plan {
    const filter = compileFilter(where, coll, this.#shapes)
    const orderSql = order.length === 0 ? '' : compileOrder(order, coll, this.#shapes)
    this.#auto?.used(coll, filter.usage, orderSql === undefined ? undefined : order[0])
    const limited = limit !== undefined && filter.exact && orderSql !== undefined
    return {
      sql: `SELECT body FROM "c_${coll}" WHERE ${filter.sql}${orderSql ? ` ORDER BY ${orderSql}` : ''}${limited ? ' LIMIT ?' : ''}`,
      params: limited ? [...filter.params, limit] : filter.params,
      where: filter.exact ? undefined : where,
      order: orderSql === undefined ? order : undefined,
    }
  }

  /** A plan for a reader; undefined when the collection does not exist. Makes due automatic indexes first. */
  async #planned(coll: string, where: Predicate, order: Order, limit: number | undefined): Promise<Plan | undefined> {
    if (!(await this.#readableTable(coll))) return undefined
    const plan = this.#plan(coll, where, order, limit)
    const due = this.#auto?.due(coll, (table) => this.#readersOpen.rowsAbout(table))
    if (due !== undefined) for (const keys of due) await this.ensureIndex(coll, keys, {})
    return plan
  }

  async *#readDocs(coll: string, where: Predicate, order: Order, limit: number | undefined, signal: AbortSignal | undefined): AsyncGenerator<Doc, void, undefined> {
    for (;;) {
      const plan = await this.#planned(coll, where, order, limit)
      if (plan === undefined) return
      const version = this.#shapes.version
      let fresh = true
      // Another process may have stored the first array of a field since the shapes were read; the plan is made anew then.
      const stale = () => {
        if (!fresh) return false
        fresh = false
        return this.#readersOpen.shapesVersion() !== version
      }
      const docs = this.#rows(plan, limit, signal, stale)
      let again = false
      for await (const doc of docs) {
        if (doc === STALE) {
          again = true
          break
        }
        yield doc
      }
      if (!again) return
      this.#shapes.refresh((this.#writer as Connection).database)
    }
  }

  async *#rows(plan: Plan, limit: number | undefined, signal: AbortSignal | undefined, stale: () => boolean): AsyncGenerator<Doc | typeof STALE, void, undefined> {
    const batches = this.#readersOpen.batches(plan.sql, plan.params, limit !== undefined && plan.where === undefined && plan.order === undefined ? limit : undefined, signal)
    let left = limit ?? Number.POSITIVE_INFINITY
    const held: Doc[] = []
    for await (const bodies of batches) {
      if (stale()) {
        yield STALE
        return
      }
      for (const body of bodies) {
        const doc = decodeDoc(body)
        if (plan.where !== undefined && !matches(plan.where, doc)) continue
        if (plan.order !== undefined) {
          held.push(doc)
          continue
        }
        yield doc
        if (--left <= 0) return
      }
    }
    if (stale()) {
      yield STALE
      return
    }
    if (plan.order === undefined) return
    held.sort(compareDocs(plan.order))
    for (const doc of limit === undefined ? held : held.slice(0, limit)) yield doc
  }

  #encode(coll: string, doc: Doc): string {
    const body = encodeDoc(doc)
    if (body.length > CAN.maxDocBytes) {
      throw new HubError('INVALID', `Document '${doc._id}' has ${body.length} characters; at most ${CAN.maxDocBytes}.`, { at: this.#at('insert', coll), reason: 'DOCUMENT_TOO_LARGE' })
    }
    return body
  }

  #replace(writer: Connection, coll: string, doc: Doc): void {
    const body = this.#encode(coll, doc)
    this.#learn(writer, coll, doc)
    try {
      writer.prepare(`UPDATE "c_${coll}" SET body=? WHERE _id=?`).run(body, doc._id)
    } catch (error) {
      throw this.#constraint(error, coll, doc)
    }
  }

  /** Stores which fields hold arrays or objects, with the document. Known only once committed, by `refresh`. */
  #learn(writer: Connection, coll: string, doc: Doc): void {
    for (const shape of this.#shapes.unknown(coll, doc)) writer.prepare('INSERT OR IGNORE INTO th_shapes(coll,shape) VALUES(?,?)').run(coll, shape)
  }

  #constraint(error: unknown, coll: string, doc: Doc): unknown {
    if (sqliteCode(error) !== 19) return error
    return new HubError('EXISTS', `Document '${doc._id}' exists already in ${coll}, or shares a unique key with one that does.`, { at: this.#at('insert', coll), path: '_id', cause: error })
  }

  /** Inside a write transaction: makes the collection's table. */
  #table(writer: Connection, coll: string): void {
    if (this.#hasTable(writer, coll)) return
    writer.database.exec(`CREATE TABLE IF NOT EXISTS "c_${coll}"(_id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL)`)
  }

  #hasTable(writer: Connection, coll: string): boolean {
    if (this.#tables.has(coll)) return true
    const found = writer.prepare("SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?").get(`c_${coll}`) !== undefined
    // Tables are never dropped, so one that was seen committed stays; one made in this transaction is looked up again.
    if (found && !writer.database.isTransaction) this.#tables.add(coll)
    return found
  }

  async #readableTable(coll: string): Promise<boolean> {
    if (this.#tables.has(coll)) return true
    const rows = await this.#readersOpen.all("SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?", [`c_${coll}`], undefined)
    if (rows.length > 0) this.#tables.add(coll)
    return rows.length > 0
  }

  #at(op: string, coll: string): ErrorPlace {
    return { scheme: 'sqlite', op, target: `${this.#file} ${coll}` }
  }
}

const STALE = Symbol('stale')

function finish(docs: Doc[], plan: Plan, limit: number | undefined): Doc[] {
  let kept = plan.where === undefined ? docs : docs.filter((doc) => matches(plan.where as Predicate, doc))
  if (plan.order !== undefined) kept = kept.sort(compareDocs(plan.order))
  return limit === undefined ? kept : kept.slice(0, limit)
}
