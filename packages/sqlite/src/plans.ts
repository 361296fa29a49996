import { compareDocs, type Doc, matches, type Order, type Predicate } from '@tensorhub/core'
import { fieldSql } from './expressions.ts'
import { compileFilter, compileOrder, type SqlValue, type Usage } from './filter.ts'
import { filterShape } from './filter-shape.ts'
import { SHAPES_VERSION, type Shapes } from './shapes.ts'
import { sqlName } from './sql-name.ts'

/** What one statement needs: the rows, and what is left to JavaScript. */
export interface Plan {
  readonly sql: string
  /** The same, with the version of the shapes (shapes.ts) that the rows were read under: one statement costs less than two. */
  readonly checked: string
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

/** Plans kept. */
const MOST = 500

/** Compiles queries to statements; one that comes again with other values is not compiled again. */
export class Plans {
  readonly #shapes: Shapes
  readonly #plans = new Map<string, Plan>()
  /** By collection and path. */
  readonly #scalars = new Map<string, Map<string, boolean>>()
  #generation = 0

  constructor(shapes: Shapes) {
    this.#shapes = shapes
  }

  of(coll: string, where: Predicate, order: Order, limit: number | undefined): Plan {
    if (this.#generation !== this.#shapes.generation) {
      this.#plans.clear()
      this.#scalars.clear()
      this.#generation = this.#shapes.generation
    }
    const values: SqlValue[] = []
    let shape = filterShape(where, values, (path) => this.#isScalar(coll, path))
    if (shape === undefined) return this.#compile(coll, where, order, limit)
    shape += `${coll}\u0000${limit ?? ''}`
    for (const key of order) shape += `${key.dir === 1 ? '+' : '-'}${key.path.join('.')}\u0000`
    const known = this.#plans.get(shape)
    if (known !== undefined)
      return { ...known, params: values, where: known.where && where, order: known.order && order }
    const plan = this.#compile(coll, where, order, limit)
    if (this.#plans.size >= MOST) this.#plans.clear()
    this.#plans.set(shape, plan)
    return plan
  }

  /** Whether a comparison of this field is one SQL comparison with one value: no array was ever seen in it or on the way, and SQL can name it. */
  #isScalar(coll: string, path: string): boolean {
    let paths = this.#scalars.get(coll)
    if (paths === undefined) {
      paths = new Map()
      this.#scalars.set(coll, paths)
    }
    let scalar = paths.get(path)
    if (scalar === undefined) {
      const steps = path.split('.')
      scalar =
        fieldSql(steps) !== undefined &&
        steps.every((_, i) => !this.#shapes.holdsArray(coll, steps.slice(0, i + 1).join('.')))
      if (paths.size >= MOST) paths.clear()
      paths.set(path, scalar)
    }
    return scalar
  }

  #compile(coll: string, where: Predicate, order: Order, limit: number | undefined): Plan {
    const filter = compileFilter(where, coll, this.#shapes)
    const orderSql = order.length === 0 ? '' : compileOrder(order, coll, this.#shapes, filter.terms)
    const limited = limit !== undefined && filter.exact && orderSql !== undefined
    // The limit is a literal: SQLite looks at a bound one when it plans, and so prepares the statement anew for each call (measured: 10 times slower).
    const rest = `FROM "c_${sqlName(coll)}" WHERE ${filter.sql}${orderSql ? ` ORDER BY ${orderSql}` : ''}${limited ? ` LIMIT ${Math.trunc(limit)}` : ''}`
    return {
      sql: `SELECT body ${rest}`,
      checked: `SELECT body,(${SHAPES_VERSION}) AS v ${rest}`,
      params: filter.params,
      where: filter.exact ? undefined : where,
      order: orderSql === undefined ? order : undefined,
      terms: filter.terms,
      limited,
      usage: filter.usage,
    }
  }
}

/** Does what a plan leaves to JavaScript. */
export function finish(docs: Doc[], plan: Plan, limit: number | undefined): Doc[] {
  let kept = plan.where === undefined ? docs : docs.filter((doc) => matches(plan.where as Predicate, doc))
  if (plan.order !== undefined) kept = kept.sort(compareDocs(plan.order))
  return limit === undefined ? kept : kept.slice(0, limit)
}
