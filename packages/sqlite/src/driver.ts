import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import {
  abortError,
  applyChange,
  type Call,
  type Change,
  compareDocs,
  type Doc,
  decodeDoc,
  type ErrorPlace,
  encodeDoc,
  HubError,
  type IndexCan,
  type IndexDriver,
  type IndexEvent,
  matches,
  type Order,
  type Path,
  type Predicate,
  project,
  throwIfAborted,
} from '@tensorhub/core'
import { AutoIndex, INDEX_FROM } from './auto-index.ts'
import { Connection } from './connection.ts'
import { mapError, sqliteCode } from './errors.ts'
import { fieldSql } from './expressions.ts'
import { compileFilter, compileOrder, type SqlValue, type Usage } from './filter.ts'
import { filterShape } from './filter-shape.ts'
import type { SqliteOptions } from './options.ts'
import { BATCH_ROWS, Readers } from './readers.ts'
import { Scanner } from './scanner.ts'
import { openSchema } from './schema.ts'
import { Shapes } from './shapes.ts'
import { Commits, watchChanges } from './watch.ts'
import { withLock } from './with-lock.ts'
import { WriteQueue } from './write-queue.ts'

/** Over so many documents a statement that no index serves whole runs on the worker thread; and what was found out about one holds so long (ms). */
const MANY = 5000
const PLAN_AGE = 10_000
/** A statement of few ties is answered by the worker within so many ms; the next ones run here. */
const QUICK = 5

const CAN: IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: true, uniqueKeys: true, watch: true }

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
  /** The index terms that would serve the whole filter; see CompiledFilter. */
  readonly terms: ReadonlySet<string> | undefined
  readonly limited: boolean
  readonly usage: Usage
}

/** What was found out about a statement, for a while. */
interface Judgement {
  /** Whether an index serves it whole; `ties`: all but the order of documents that are equal in the last sort key before `_id`. */
  readonly served: boolean | 'ties'
  /** Set once the worker found that the ties are few. */
  quick: boolean
  readonly rows: number
  readonly until: number
}

class SqliteIndex implements IndexDriver {
  readonly scheme = 'sqlite'
  readonly can = CAN
  readonly #file: string
  readonly #lockTimeout: number
  readonly #shapes = new Shapes()
  readonly #tables = new Set<string>()
  readonly #auto: AutoIndex | undefined
  readonly #given: DatabaseSync | undefined
  readonly #commits = new Commits()
  readonly #judged = new Map<string, Judgement>()
  readonly #plans = new Map<string, Plan>()
  #plansOf = 0
  #writer: Connection | undefined
  #readers: Readers | undefined
  #scanner: Scanner | undefined
  #queue: WriteQueue | undefined

  constructor(options: SqliteOptions) {
    const { file, database, lockTimeout = 30_000, autoIndex = true, ...unknown } = options
    const extra = Object.keys(unknown)[0]
    if (extra !== undefined)
      throw refused(`sqlite() has no option '${extra}'; it knows file, database, lockTimeout, autoIndex.`, extra)
    if ((file === undefined) === (database === undefined))
      throw refused('sqlite() needs either the path of a file or an open database.', 'file')
    const path = file ?? database?.location()
    if (typeof path !== 'string' || path === '' || path === ':memory:') {
      throw refused(
        'sqlite() keeps documents in a file; for an index in memory use memoryIndex() of @tensorhub/memory.',
        file === undefined ? 'database' : 'file',
      )
    }
    this.#file = resolve(path)
    this.#given = database
    this.#lockTimeout = lockTimeout
    this.#auto = autoIndex ? new AutoIndex() : undefined
  }

  native(): unknown {
    return this.#writer?.database
  }

  async open(): Promise<undefined> {
    const at = { scheme: 'sqlite', op: 'open', target: this.#file }
    try {
      this.#writer = await withLock(() => new Connection(this.#given ?? this.#file, false), this.#lockTimeout)
      await openSchema(this.#writer, this.#lockTimeout, at)
      this.#shapes.refresh(this.#writer)
      this.#readers = await withLock(() => new Readers(this.#file), this.#lockTimeout)
      this.#scanner = new Scanner(this.#file)
      this.#queue = new WriteQueue(this.#writer, this.#lockTimeout, {
        begun: () => this.#shapes.refresh(this.#writer as Connection),
        rolledBack: () => this.#shapes.rolledBack(),
        committed: () => this.#commits.committed(),
      })
      return undefined
    } catch (error) {
      this.#writer?.close()
      this.#writer = undefined
      throw mapError(error, at)
    }
  }

  async close(): Promise<void> {
    await this.#queue?.idle()
    await this.#scanner?.close()
    this.#readers?.close()
    this.#writer?.close()
    this.#queue = this.#scanner = this.#readers = this.#writer = undefined
  }

  async now(o: Call): Promise<Date> {
    throwIfAborted(o.signal)
    return new Date()
  }

  ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean }): Promise<void> {
    const columns = keys.map(({ path, dir }) => {
      const field = fieldSql(path)
      if (field === undefined)
        throw new HubError(
          'INVALID',
          `The path '${path.join('.')}' cannot be indexed: only names of letters, digits, _, - and spaces.`,
          { at: this.#at('ensureIndex', coll), path: path.join('.') },
        )
      const word = dir === 1 ? '' : ' DESC'
      if (field.rank === '3') return `_id${word}`
      // In a unique index a missing field counts as one value, as in MongoDB; SQL's NULLs would all differ.
      return o.unique === true
        ? `${field.rank}${word},coalesce(${field.value},x'00')${word}`
        : `${field.rank}${word},${field.value}${word}`
    })
    // Ties are ordered by `_id`, downwards here: read backwards it serves `-accuracy, _id`, the order of "the best first".
    if (o.unique !== true && !keys.some(({ path }) => path[0] === '_id')) columns.push('_id DESC')
    const kind = o.unique === true ? 'u' : 'i'
    const name = `${kind}_${coll}_${createHash('sha256')
      .update(JSON.stringify(keys.map((key) => [key.path, key.dir])))
      .digest('hex')
      .slice(0, 16)}`
    const create = `CREATE ${o.unique === true ? 'UNIQUE ' : ''}INDEX IF NOT EXISTS "${name}" ON "c_${coll}"(${columns.join(',')})`
    return this.#makeIndex(coll, name, create, o.signal)
  }

  async #makeIndex(coll: string, name: string, create: string, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal, this.#at('ensureIndex', coll))
    // Looked up without the write lock: a hub asks for all its indexes at every start.
    const found = await this.#readersOpen.all(
      "SELECT 1 FROM sqlite_schema WHERE type='index' AND name=?",
      [name],
      signal,
    )
    if (found.length > 0) return
    if (!(await this.#readableTable(coll)) || this.#readersOpen.rowsAbout(coll) <= MANY) {
      await this.#write('ensureIndex', coll, signal, (writer) => {
        this.#table(writer, coll)
        writer.database.exec(create)
      })
    } else {
      try {
        await (this.#queue as WriteQueue).alone(() =>
          withLock(() => (this.#scanner as Scanner).write(create), this.#lockTimeout),
        )
      } catch (error) {
        throw mapError(error, this.#at('ensureIndex', coll))
      }
    }
    this.#judged.clear()
  }

  async insert(coll: string, docs: readonly Doc[], o: Call): Promise<void> {
    const rows = docs.map((doc) => ({ doc, body: this.#encode(coll, doc) }))
    await this.#write(
      'insert',
      coll,
      o.signal,
      (writer) => {
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
      },
      docs.length === 1,
    )
    // Tables are never dropped: one that was seen committed stays.
    this.#tables.add(coll)
  }

  async *find(
    coll: string,
    where: Predicate,
    o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
  ): AsyncGenerator<Doc, void, undefined> {
    throwIfAborted(o.signal)
    try {
      const few = this.#readNow(coll, where, o.order, o.limit)
      if (few !== undefined) {
        for (const doc of few) yield o.fields ? project(doc, o.fields) : doc
        return
      }
      for await (const doc of this.#readDocs(coll, where, o.order, o.limit, o.signal))
        yield o.fields ? project(doc, o.fields) : doc
    } catch (error) {
      throw mapError(error, this.#at('find', coll))
    }
  }

  /** The short way of a small read that an index serves: one synchronous step. Undefined where more care is needed. */
  #readNow(coll: string, where: Predicate, order: Order, limit: number | undefined): Doc[] | undefined {
    if (limit === undefined || limit > BATCH_ROWS || !this.#tables.has(coll)) return undefined
    const plan = this.#plan(coll, where, order, limit)
    const judgement = this.#judged.get(plan.sql)
    if (!plan.limited || judgement === undefined || performance.now() > judgement.until) return undefined
    if (judgement.served !== true && !judgement.quick) return undefined
    const bodies = this.#readersOpen.now(plan.sql, plan.params)
    if (bodies === undefined || this.#readersOpen.shapesVersion() !== this.#shapes.version) return undefined
    return bodies.map(decodeDoc)
  }

  async count(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    try {
      const plan = await this.#planned(coll, where, [], undefined)
      if (plan === undefined) return 0
      if (plan.where === undefined) {
        const sql = `SELECT count(*) AS n FROM (${plan.sql})`
        if (this.#readersOpen.rowsAbout(coll) > MANY)
          return await (this.#scanner as Scanner).count(sql, plan.params, o.signal)
        const rows = await this.#readersOpen.all(sql, plan.params, o.signal)
        return rows[0]?.['n'] as number
      }
      let n = 0
      for await (const _doc of this.#readDocs(coll, where, [], undefined, o.signal)) n++
      return n
    } catch (error) {
      throw mapError(error, this.#at('count', coll))
    }
  }

  async update(coll: string, where: Predicate, change: Change, o: Call): Promise<number> {
    await this.#planned(coll, where, [], undefined)
    return this.#write('update', coll, o.signal, (writer) => {
      const docs = this.#matching(writer, coll, where, [], undefined)
      // All are computed before any is stored, so that an impossible change changes nothing.
      const changed = docs.map((doc) => applyChange(doc, change))
      for (const doc of changed) this.#replace(writer, coll, doc)
      return docs.length
    })
  }

  async takeOne(coll: string, where: Predicate, change: Change, o: Call & { order: Order }): Promise<Doc | null> {
    await this.#planned(coll, where, o.order, 1)
    return this.#write('takeOne', coll, o.signal, (writer) => {
      const [doc] = this.#matching(writer, coll, where, o.order, 1)
      if (doc === undefined) return null
      const changed = applyChange(doc, change)
      this.#replace(writer, coll, changed)
      return changed
    })
  }

  async delete(coll: string, where: Predicate, o: Call): Promise<number> {
    await this.#planned(coll, where, [], undefined)
    return this.#write('delete', coll, o.signal, (writer) => {
      if (!this.#hasTable(writer, coll)) return 0
      const filter = compileFilter(where, coll, this.#shapes)
      if (filter.exact)
        return Number(writer.prepare(`DELETE FROM "c_${coll}" WHERE ${filter.sql}`).run(...filter.params).changes)
      const docs = this.#matching(writer, coll, where, [], undefined)
      const remove = writer.prepare(`DELETE FROM "c_${coll}" WHERE _id=?`)
      for (const doc of docs) remove.run(doc._id)
      return docs.length
    })
  }

  async *watch(coll: string, where: Predicate, o: Call): AsyncGenerator<IndexEvent, void, undefined> {
    throwIfAborted(o.signal)
    try {
      const read = () =>
        this.find(coll, where, { order: [], fields: [['_id'], ['_rev']], ...(o.signal ? { signal: o.signal } : {}) })
      yield* watchChanges(read, () => this.#readersOpen.dataVersion(), this.#commits, o.signal)
    } catch (error) {
      if (o.signal?.aborted) throw abortError(o.signal, this.#at('watch', coll))
      throw mapError(error, this.#at('watch', coll))
    }
  }

  /** How a query would be run: SQLite's own words, for tests and for `explain`. */
  async explain(coll: string, where: Predicate, order: Order, limit?: number): Promise<string[]> {
    if (!(await this.#readableTable(coll))) return []
    const plan = this.#plan(coll, where, order, limit)
    return this.#readersOpen.explain(plan.sql, plan.params)
  }

  get #readersOpen(): Readers {
    return this.#readers as Readers
  }

  async #write<T>(
    op: string,
    coll: string,
    signal: AbortSignal | undefined,
    run: (writer: Connection) => T,
    single = false,
  ): Promise<T> {
    throwIfAborted(signal, this.#at(op, coll))
    try {
      return await (this.#queue as WriteQueue).push(
        () => {
          return run(this.#writer as Connection)
        },
        signal,
        single,
      )
    } catch (error) {
      throw mapError(error, this.#at(op, coll))
    }
  }

  /** Inside the write transaction: the documents that match, in order. */
  #matching(writer: Connection, coll: string, where: Predicate, order: Order, limit: number | undefined): Doc[] {
    if (!this.#hasTable(writer, coll)) return []
    const plan = this.#plan(coll, where, order, limit)
    return finish(
      writer
        .prepare(plan.sql)
        .all(...plan.params)
        .map((row) => decodeDoc(row['body'] as string)),
      plan,
      limit,
    )
  }

  #plan(coll: string, where: Predicate, order: Order, limit: number | undefined): Plan {
    if (this.#plansOf !== this.#shapes.generation) {
      this.#plans.clear()
      this.#plansOf = this.#shapes.generation
    }
    const values: SqlValue[] = []
    let shape = filterShape(where, values)
    if (shape !== undefined) {
      shape += `${coll}\u0000${limit ?? ''}`
      for (const key of order) shape += `${key.dir === 1 ? '+' : '-'}${key.path.join('.')}\u0000`
      const known = this.#plans.get(shape)
      if (known !== undefined) {
        return { ...known, params: values, where: known.where && where, order: known.order && order }
      }
    }
    const plan = this.#compile(coll, where, order, limit)
    // Where elements of arrays are compared too, values stand more than once.
    if (shape !== undefined && plan.params.length === values.length) {
      if (this.#plans.size >= 500) this.#plans.clear()
      this.#plans.set(shape, plan)
    }
    return plan
  }

  #compile(coll: string, where: Predicate, order: Order, limit: number | undefined): Plan {
    const filter = compileFilter(where, coll, this.#shapes)
    const orderSql = order.length === 0 ? '' : compileOrder(order, coll, this.#shapes, filter.terms)
    const limited = limit !== undefined && filter.exact && orderSql !== undefined
    // The limit is a literal: SQLite looks at a bound one when it plans, and so prepares the statement anew for each call (measured: 10 times slower).
    return {
      sql: `SELECT body FROM "c_${coll}" WHERE ${filter.sql}${orderSql ? ` ORDER BY ${orderSql}` : ''}${limited ? ` LIMIT ${Math.trunc(limit)}` : ''}`,
      params: filter.params,
      where: filter.exact ? undefined : where,
      order: orderSql === undefined ? order : undefined,
      terms: filter.terms,
      limited,
      usage: filter.usage,
    }
  }

  /** A plan for a reader; undefined when the collection does not exist. Makes due automatic indexes first. */
  async #planned(coll: string, where: Predicate, order: Order, limit: number | undefined): Promise<Plan | undefined> {
    if (!(await this.#readableTable(coll))) return undefined
    const plan = this.#plan(coll, where, order, limit)
    if (this.#auto === undefined) return plan
    const judgement = await this.#judge(coll, plan)
    const { served, rows } = judgement
    if (served !== true && !judgement.quick && rows > INDEX_FROM) {
      this.#auto.used(coll, plan.usage, plan.order === undefined ? order : [])
      await this.#makeDueIndexes(coll, this.#auto)
    }
    return plan
  }

  /**
   * Makes the indexes that enough queries asked for. The query that comes third waits for it, the event loop does not. Where it fails (no space,
   * a lock held too long) the query goes on without: it was answered before, and the index is tried again three queries later.
   */
  async #makeDueIndexes(coll: string, auto: AutoIndex): Promise<void> {
    for (const { key, keys } of auto.due(coll)) {
      try {
        await this.ensureIndex(coll, keys, {})
      } catch (error) {
        auto.failed(coll, key, error)
      }
    }
  }

  /** Whether an index serves a statement whole. One that none serves may visit many rows for each it gives: over many it runs on the worker. */
  async #judge(coll: string, plan: Plan): Promise<Judgement> {
    const known = this.#judged.get(plan.sql)
    if (known !== undefined && performance.now() < known.until) return known
    const judgement: Judgement = {
      quick: false,
      served: servedByIndex(await this.#readersOpen.explain(plan.sql, plan.params), plan),
      rows: this.#readersOpen.rowsAbout(coll),
      until: performance.now() + PLAN_AGE,
    }
    if (this.#judged.size > 500) this.#judged.clear()
    this.#judged.set(plan.sql, judgement)
    return judgement
  }

  async *#readDocs(
    coll: string,
    where: Predicate,
    order: Order,
    limit: number | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Doc, void, undefined> {
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
      const docs = this.#rows(coll, plan, limit, signal, stale)
      let again = false
      for await (const doc of docs) {
        if (doc === STALE) {
          again = true
          break
        }
        yield doc
      }
      if (!again) return
      this.#shapes.refresh(this.#writer as Connection)
    }
  }

  async *#rows(
    coll: string,
    plan: Plan,
    limit: number | undefined,
    signal: AbortSignal | undefined,
    stale: () => boolean,
  ): AsyncGenerator<Doc | typeof STALE, void, undefined> {
    const judgement = await this.#judge(coll, plan)
    const elsewhere = judgement.served !== true && !judgement.quick && judgement.rows > MANY
    const started = performance.now()
    const batches = elsewhere
      ? (this.#scanner as Scanner).batches(plan.sql, plan.params, signal)
      : this.#readersOpen.batches(plan.sql, plan.params, plan.limited ? limit : undefined, signal)
    let left = limit ?? Number.POSITIVE_INFINITY
    let held: Doc[] = []
    for await (const bodies of batches) {
      if (elsewhere && judgement.served === 'ties' && performance.now() - started < QUICK) judgement.quick = true
      if (stale()) {
        yield STALE
        return
      }
      for (const body of bodies) {
        const doc = decodeDoc(body)
        if (plan.where !== undefined && !matches(plan.where, doc)) continue
        if (plan.order !== undefined) {
          held.push(doc)
          // With a limit only so many are kept, at an amortised cost of n log(limit).
          if (limit !== undefined && held.length >= 2 * limit + 64)
            held = held.sort(compareDocs(plan.order)).slice(0, limit)
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
    if (body.length * 3 > CAN.maxDocBytes && Buffer.byteLength(body) > CAN.maxDocBytes) {
      throw new HubError(
        'INVALID',
        `Document '${doc._id}' has ${Buffer.byteLength(body)} bytes; at most ${CAN.maxDocBytes}.`,
        { at: this.#at('insert', coll), reason: 'DOCUMENT_TOO_LARGE' },
      )
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

  /** Stores which fields hold arrays or objects, in the transaction of the document. */
  #learn(writer: Connection, coll: string, doc: Doc): void {
    const fresh = this.#shapes.unknown(coll, doc)
    if (fresh.length === 0) return
    for (const shape of fresh)
      writer.prepare('INSERT OR IGNORE INTO th_shapes(coll,shape) VALUES(?,?)').run(coll, shape)
    this.#shapes.refresh(writer)
  }

  #constraint(error: unknown, coll: string, doc: Doc): unknown {
    if (sqliteCode(error) !== 19) return error
    return new HubError(
      'EXISTS',
      `Document '${doc._id}' exists already in ${coll}, or shares a unique key with one that does.`,
      { at: this.#at('insert', coll), path: '_id', cause: error },
    )
  }

  /** Inside a write transaction: makes the collection's table. */
  #table(writer: Connection, coll: string): void {
    if (this.#hasTable(writer, coll)) return
    writer.database.exec(`CREATE TABLE IF NOT EXISTS "c_${coll}"(_id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL)`)
  }

  #hasTable(writer: Connection, coll: string): boolean {
    if (this.#tables.has(coll)) return true
    return writer.prepare("SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?").get(`c_${coll}`) !== undefined
  }

  async #readableTable(coll: string): Promise<boolean> {
    if (this.#tables.has(coll)) return true
    const rows = await this.#readersOpen.all(
      "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?",
      [`c_${coll}`],
      undefined,
    )
    if (rows.length > 0) this.#tables.add(coll)
    return rows.length > 0
  }

  #at(op: string, coll: string): ErrorPlace {
    return { scheme: 'sqlite', op, target: `${this.#file} ${coll}` }
  }
}

const STALE = Symbol('stale')

function refused(message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'sqlite', op: 'open' }, path })
}

/** Reads SQLite's plan (https://www.sqlite.org/eqp.html): one step, whose index constrains every term of the filter and
 * gives the order, that of ties included. */
function servedByIndex(details: readonly string[], plan: Plan): boolean | 'ties' {
  const [step, ...others] = details
  if (step === undefined || plan.terms === undefined) return false
  const ties = plan.limited && others.length === 1 && others[0] === 'USE TEMP B-TREE FOR LAST TERM OF ORDER BY'
  if (others.length > 0 && !ties) return false
  const constrained = /^SEARCH \S+ USING (?:COVERING )?INDEX \S+ \((.*)\)$/.exec(step)?.[1]
  const whole =
    plan.terms.size === 0 ||
    constrained === '_id=?' ||
    (constrained !== undefined && constrained.split(' AND ').length >= plan.terms.size)
  return whole && ties ? 'ties' : whole
}

function finish(docs: Doc[], plan: Plan, limit: number | undefined): Doc[] {
  let kept = plan.where === undefined ? docs : docs.filter((doc) => matches(plan.where as Predicate, doc))
  if (plan.order !== undefined) kept = kept.sort(compareDocs(plan.order))
  return limit === undefined ? kept : kept.slice(0, limit)
}
