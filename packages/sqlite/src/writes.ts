import {
  applyChange,
  type Change,
  type Doc,
  decodeDoc,
  encodeDoc,
  HubError,
  type Order,
  type Predicate,
} from '@tensorhub/core'
import type { Connection } from './connection.ts'
import { sqliteCode } from './errors.ts'
import { compileFilter } from './filter.ts'
import type { OpenFile } from './open-file.ts'
import { finish, type Plans } from './plans.ts'
import { sqlName } from './sql-name.ts'
import type { NewRow } from './write-queue.ts'

/** Changes of documents, each one synchronous step inside the write transaction. */
export class Writes {
  readonly #file: OpenFile
  readonly #plans: Plans
  readonly #maxDocBytes: number
  readonly #inserts = new Map<string, { readonly into: string; readonly one: string }>()

  constructor(file: OpenFile, plans: Plans, maxDocBytes: number) {
    this.#file = file
    this.#plans = plans
    this.#maxDocBytes = maxDocBytes
  }

  async insert(coll: string, docs: readonly Doc[], signal: AbortSignal | undefined): Promise<void> {
    const bodies = docs.map((doc) => this.#encode(coll, doc))
    const { into, one } = this.#insertInto(coll)
    const run = (writer: Connection) => {
      this.#file.makeTable(coll)
      const insert = writer.prepare(one)
      for (let i = 0; i < docs.length; i++) {
        const doc = docs[i] as Doc
        this.#learn(writer, coll, doc)
        try {
          insert.run(doc._id, bodies[i] as string)
        } catch (error) {
          throw this.#constraint(error, coll, doc)
        }
      }
    }
    await (docs.length === 1
      ? this.#file.write('insert', coll, signal, run, true, this.#row(coll, into, docs[0] as Doc, bodies[0] as string))
      : this.#file.write('insert', coll, signal, run))
    this.#file.nowKnown(coll)
  }

  #row(coll: string, into: string, doc: Doc, body: string): NewRow {
    const prepare = () => {
      this.#file.makeTable(coll)
      this.#learn(this.#file.writer, coll, doc)
    }
    return { into, values: [doc._id, body], prepare }
  }

  /** The statement's text; the same string each time, so that its hash is computed once. */
  #insertInto(coll: string): { readonly into: string; readonly one: string } {
    let sql = this.#inserts.get(coll)
    if (sql === undefined) {
      const into = `INSERT INTO "c_${sqlName(coll)}"(_id,body) VALUES`
      sql = { into, one: `${into}(?,?)` }
      this.#inserts.set(coll, sql)
    }
    return sql
  }

  update(coll: string, where: Predicate, change: Change, signal: AbortSignal | undefined): Promise<number> {
    return this.#file.write('update', coll, signal, (writer) => {
      const docs = this.#matching(writer, coll, where, [], undefined)
      // All are computed before any is stored, so that an impossible change changes nothing.
      const changed = docs.map((doc) => applyChange(doc, change))
      for (const doc of changed) this.#replace(writer, coll, doc)
      return docs.length
    })
  }

  takeOne(
    coll: string,
    where: Predicate,
    change: Change,
    order: Order,
    signal: AbortSignal | undefined,
  ): Promise<Doc | null> {
    return this.#file.write('takeOne', coll, signal, (writer) => {
      const [doc] = this.#matching(writer, coll, where, order, 1)
      if (doc === undefined) return null
      const changed = applyChange(doc, change)
      this.#replace(writer, coll, changed)
      return changed
    })
  }

  delete(coll: string, where: Predicate, signal: AbortSignal | undefined): Promise<number> {
    return this.#file.write('delete', coll, signal, (writer) => {
      if (!this.#file.hasTable(coll)) return 0
      const filter = compileFilter(where, coll, this.#file.shapes)
      if (filter.exact)
        return Number(
          writer.prepare(`DELETE FROM "c_${sqlName(coll)}" WHERE ${filter.sql}`).run(...filter.params).changes,
        )
      const docs = this.#matching(writer, coll, where, [], undefined)
      const remove = writer.prepare(`DELETE FROM "c_${sqlName(coll)}" WHERE _id=?`)
      for (const doc of docs) remove.run(doc._id)
      return docs.length
    })
  }

  /** The documents that match, in order. */
  #matching(writer: Connection, coll: string, where: Predicate, order: Order, limit: number | undefined): Doc[] {
    if (!this.#file.hasTable(coll)) return []
    const plan = this.#plans.of(coll, where, order, limit)
    const rows = writer.prepare(plan.sql).all(...plan.params)
    return finish(
      rows.map((row) => decodeDoc(row['body'] as string)),
      plan,
      limit,
    )
  }

  #encode(coll: string, doc: Doc): string {
    const body = encodeDoc(doc)
    if (body.length * 3 > this.#maxDocBytes && Buffer.byteLength(body) > this.#maxDocBytes) {
      throw new HubError(
        'INVALID',
        `Document '${doc._id}' has ${Buffer.byteLength(body)} bytes; at most ${this.#maxDocBytes}.`,
        { at: this.#file.at('insert', coll), reason: 'DOCUMENT_TOO_LARGE' },
      )
    }
    return body
  }

  #replace(writer: Connection, coll: string, doc: Doc): void {
    const body = this.#encode(coll, doc)
    this.#learn(writer, coll, doc)
    try {
      writer.prepare(`UPDATE "c_${sqlName(coll)}" SET body=? WHERE _id=?`).run(body, doc._id)
    } catch (error) {
      throw this.#constraint(error, coll, doc)
    }
  }

  /** Stores which fields hold arrays or objects, in the transaction of the document. */
  #learn(writer: Connection, coll: string, doc: Doc): void {
    const { shapes } = this.#file
    const fresh = shapes.unknown(coll, doc)
    if (fresh.length === 0) return
    for (const shape of fresh)
      writer.prepare('INSERT OR IGNORE INTO th_shapes(coll,shape) VALUES(?,?)').run(coll, shape)
    shapes.refresh(writer)
  }

  #constraint(error: unknown, coll: string, doc: Doc): unknown {
    if (sqliteCode(error) !== 19) return error
    return new HubError(
      'EXISTS',
      `Document '${doc._id}' exists already in ${coll}, or shares a unique key with one that does.`,
      { at: this.#file.at('insert', coll), path: '_id', cause: error },
    )
  }
}
