import { createHash } from 'node:crypto'
import { HubError, type Order, throwIfAborted } from '@tensorhub/core'
import { AutoIndex, INDEX_FROM, MOST_INDEXES } from './auto-index.ts'
import { mapError } from './errors.ts'
import { fieldSql } from './expressions.ts'
import type { Judge, Judgement } from './judge.ts'
import type { OpenFile } from './open-file.ts'
import type { Plan } from './plans.ts'
import { MANY } from './reads.ts'
import { sqlName } from './sql-name.ts'
import { withLock } from './with-lock.ts'

/** Makes expression indexes: those asked for, and those that queries deserve. */
export class Indexes {
  readonly #file: OpenFile
  readonly #judge: Judge
  readonly #auto: AutoIndex | undefined

  constructor(file: OpenFile, judge: Judge, auto: boolean) {
    this.#file = file
    this.#judge = judge
    this.#auto = auto ? new AutoIndex() : undefined
  }

  async make(coll: string, keys: Order, unique: boolean, signal: AbortSignal | undefined): Promise<void> {
    const file = this.#file
    const at = file.at('ensureIndex', coll)
    const columns = columnsOf(keys, unique, (path) => {
      return new HubError(
        'INVALID',
        `The path '${path}' cannot be indexed: only names of letters, digits, _, - and spaces.`,
        { at, path },
      )
    })
    const name = nameOf(coll, keys, unique)
    const create = `CREATE ${unique ? 'UNIQUE ' : ''}INDEX IF NOT EXISTS "${name}" ON "c_${sqlName(coll)}"(${columns.join(',')})`
    throwIfAborted(signal, at)
    // Looked up without the write lock: a hub asks for all its indexes at every start.
    const found = await file.readers.all("SELECT 1 FROM sqlite_schema WHERE type='index' AND name=?", [name], signal)
    if (found.length > 0) return
    if (!(await file.isReadable(coll)) || file.readers.rowsAbout(coll) <= MANY) {
      await file.write('ensureIndex', coll, signal, (writer) => {
        file.makeTable(coll)
        writer.database.exec(create)
      })
    } else {
      try {
        await file.queue.alone(() => withLock(() => file.scanner.write(create), file.lockTimeout))
      } catch (error) {
        throw mapError(error, at)
      }
    }
    this.#judge.forget()
  }

  /**
   * Counts a query, and makes the indexes that enough queries asked for. The query that comes third waits for it, the event loop does not. Where it
   * fails (no space, a lock held too long) the query goes on without: it was answered before, and the index is tried again three queries later.
   */
  async used(coll: string, plan: Plan, order: Order): Promise<Judgement | undefined> {
    if (this.#auto === undefined) return undefined
    const judgement = await this.#judge.of(coll, plan)
    if (judgement.served === true || judgement.quick || judgement.rows <= INDEX_FROM) return judgement
    this.#auto.used(coll, plan.usage, plan.order === undefined ? order : [], plan.terms !== undefined)
    for (const { key, keys } of this.#auto.due(coll)) {
      try {
        if ((await this.#count(coll)) < MOST_INDEXES) await this.make(coll, keys, false, undefined)
      } catch (error) {
        this.#auto.failed(coll, key)
        const why = error instanceof Error ? error.message : String(error)
        process.emitWarning(
          `No index of ${coll} was made for '${keys.map(({ path }) => path.join('.')).join(', ')}': ${why}`,
          {
            type: 'TensorHubWarning',
            code: 'TENSORHUB_INDEX',
            detail: 'Queries are answered all the same, by reading every document.',
          },
        )
      }
    }
    return judgement
  }

  /** Indexes of a collection, whoever made them and when: other processes and former runs count too. */
  async #count(coll: string): Promise<number> {
    const rows = await this.#file.readers.all(
      "SELECT count(*) AS n FROM sqlite_schema WHERE type='index' AND tbl_name=? AND sql IS NOT NULL",
      [`c_${sqlName(coll)}`],
      undefined,
    )
    return rows[0]?.['n'] as number
  }
}

function columnsOf(keys: Order, unique: boolean, refuse: (path: string) => HubError): string[] {
  const columns = keys.map(({ path, dir }) => {
    const field = fieldSql(path)
    if (field === undefined) throw refuse(path.join('.'))
    const word = dir === 1 ? '' : ' DESC'
    if (field.rank === '3') return `_id${word}`
    // In a unique index a missing field counts as one value, as in MongoDB; SQL's NULLs would all differ.
    return unique
      ? `${field.rank}${word},coalesce(${field.value},x'00')${word}`
      : `${field.rank}${word},${field.value}${word}`
  })
  // Ties are ordered by `_id`, downwards here: read backwards it serves `-accuracy, _id`, the order of "the best first".
  if (!unique && !keys.some(({ path }) => path[0] === '_id')) columns.push('_id DESC')
  return columns
}

function nameOf(coll: string, keys: Order, unique: boolean): string {
  const hash = createHash('sha256').update(JSON.stringify(keys.map((key) => [key.path, key.dir])))
  return `${unique ? 'u' : 'i'}_${sqlName(coll)}_${hash.digest('hex').slice(0, 16)}`
}
