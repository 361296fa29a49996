import type { Plan } from './plans.ts'
import type { Readers } from './readers.ts'

/** What was found out about a statement holds so long, in ms. */
const PLAN_AGE = 10_000
/** Statements remembered. */
const MOST = 500

/** What was found out about a statement, for a while. */
export interface Judgement {
  /** Whether an index serves it whole; `ties`: all but the order of documents that are equal in the last sort key before `_id`. */
  readonly served: boolean | 'ties'
  /** Set once the worker found that the ties are few. */
  quick: boolean
  /** About how many documents the collection has. */
  readonly rows: number
  readonly until: number
}

/** Finds out whether an index serves a statement whole. One that none serves may visit many rows for each it gives. */
export class Judge {
  readonly #readers: Readers
  readonly #judged = new Map<string, Judgement>()

  constructor(readers: Readers) {
    this.#readers = readers
  }

  async of(coll: string, plan: Plan): Promise<Judgement> {
    const known = this.known(plan)
    if (known !== undefined) return known
    const judgement: Judgement = {
      quick: false,
      served: servedByIndex(await this.#readers.explain(plan.sql, plan.params), plan),
      rows: this.#readers.rowsAbout(coll),
      until: performance.now() + PLAN_AGE,
    }
    if (this.#judged.size > MOST) this.#judged.clear()
    this.#judged.set(plan.sql, judgement)
    return judgement
  }

  /** What is known without asking. */
  known(plan: Plan): Judgement | undefined {
    const known = this.#judged.get(plan.sql)
    return known !== undefined && performance.now() < known.until ? known : undefined
  }

  /** After an index was made. */
  forget(): void {
    this.#judged.clear()
  }
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
