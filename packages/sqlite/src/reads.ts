import { compareDocs, type Doc, decodeDoc, matches, type Order, type Predicate } from '@tensorhub/core'
import type { Indexes } from './indexes.ts'
import type { Judge } from './judge.ts'
import type { OpenFile } from './open-file.ts'
import type { Plan, Plans } from './plans.ts'
import { BATCH_ROWS } from './readers.ts'

/** Over so many documents a statement that no index serves whole runs on the worker thread. */
export const MANY = 5000
/** A statement of few ties is answered by the worker within so many ms; the next ones run here. */
const QUICK = 5

/** Reads documents: at once where an index serves few of them, in batches otherwise, on the worker's connection where many rows must be visited. */
export class Reads {
  readonly #file: OpenFile
  readonly #plans: Plans
  readonly #judge: Judge
  readonly #indexes: Indexes

  constructor(file: OpenFile, plans: Plans, judge: Judge, indexes: Indexes) {
    this.#file = file
    this.#plans = plans
    this.#judge = judge
    this.#indexes = indexes
  }

  /** A plan for a reader; undefined when the collection does not exist. Makes due automatic indexes first. */
  async planned(coll: string, where: Predicate, order: Order, limit: number | undefined): Promise<Plan | undefined> {
    if (!(await this.#file.isReadable(coll))) return undefined
    const plan = this.#plans.of(coll, where, order, limit)
    await this.#indexes.used(coll, plan, order)
    return plan
  }

  /** The short way of a small read that an index serves: one synchronous step. Undefined where more care is needed. */
  now(coll: string, where: Predicate, order: Order, limit: number | undefined): Doc[] | undefined {
    const { readers, shapes } = this.#file
    if (limit === undefined || limit > BATCH_ROWS || !this.#file.isKnown(coll)) return undefined
    const plan = this.#plans.of(coll, where, order, limit)
    const judgement = this.#judge.known(plan)
    if (!plan.limited || judgement === undefined) return undefined
    if (judgement.served !== true && !judgement.quick) return undefined
    const rows = readers.now(plan.checked, plan.params)
    if (rows === undefined) return undefined
    const version = rows.length === 0 ? readers.shapesVersion() : rows[0]?.[1]
    return version === shapes.version ? rows.map((row) => decodeDoc(row[0] as string)) : undefined
  }

  async count(coll: string, where: Predicate, signal: AbortSignal | undefined): Promise<number> {
    const plan = await this.planned(coll, where, [], undefined)
    if (plan === undefined) return 0
    if (plan.where === undefined) {
      const { readers, scanner, shapes } = this.#file
      const { version } = shapes
      const sql = `SELECT count(*) AS n FROM (${plan.sql})`
      const n =
        readers.rowsAbout(coll) > MANY
          ? await scanner.count(sql, plan.params, signal)
          : ((await readers.all(sql, plan.params, signal))[0]?.['n'] as number)
      // Another process may have stored the first array of a field meanwhile; then the plan is made anew, below.
      if (readers.shapesVersion() === version) return n
      shapes.refresh(this.#file.writer)
    }
    let n = 0
    for await (const _doc of this.docs(coll, where, [], undefined, signal)) n++
    return n
  }

  async *docs(
    coll: string,
    where: Predicate,
    order: Order,
    limit: number | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Doc, void, undefined> {
    const { readers, shapes, writer } = this.#file
    for (;;) {
      const plan = await this.planned(coll, where, order, limit)
      if (plan === undefined) return
      const { version } = shapes
      let fresh = true
      // Another process may have stored the first array of a field since the shapes were read; the plan is made anew then.
      const stale = () => {
        if (!fresh) return false
        fresh = false
        return readers.shapesVersion() !== version
      }
      let again = false
      for await (const doc of this.#rows(coll, plan, limit, signal, stale)) {
        if (doc === STALE) {
          again = true
          break
        }
        yield doc
      }
      if (!again) return
      shapes.refresh(writer)
    }
  }

  async *#rows(
    coll: string,
    plan: Plan,
    limit: number | undefined,
    signal: AbortSignal | undefined,
    stale: () => boolean,
  ): AsyncGenerator<Doc | typeof STALE, void, undefined> {
    const judgement = await this.#judge.of(coll, plan)
    const elsewhere = judgement.served !== true && !judgement.quick && judgement.rows > MANY
    const started = performance.now()
    const batches = elsewhere
      ? this.#file.scanner.batches(plan.sql, plan.params, signal)
      : this.#file.readers.batches(plan.sql, plan.params, plan.limited ? limit : undefined, signal)
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
}

const STALE = Symbol('stale')
