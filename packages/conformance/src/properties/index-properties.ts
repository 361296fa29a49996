import {
  type Doc,
  encodeCursor,
  type IndexStore,
  matches,
  parseFilter,
  parseSort,
  project,
  withTieBreak,
} from '@tensorhub/core'
import fc from 'fast-check'
import { check, collect, equal, rejects, sameDocs, show } from '../expect.ts'
import type { IndexHarness } from '../harness.ts'
import { IndexBench } from '../index-suite/bench.ts'
import type { Runner } from '../runner.ts'
import { Model } from './model.ts'
import { type Step, stepsOf } from './queries.ts'
import { documents } from './values.ts'

export interface PropertyOptions {
  /** Generated queries and changes; default TENSORHUB_CONFORMANCE_CASES, else 2,000. */
  readonly cases?: number
  /** Default TENSORHUB_CONFORMANCE_SEED, else the time. Printed in the title and in every failure. */
  readonly seed?: number
}

/** Steps against one set of documents. */
const STEPS = 25

/**
 * Holds an index driver to `matches()`, `compareDocs` and `applyChange` on generated documents, filters, sorts, pages and changes. A failure is
 * shrunk, and tells the seed that replays it.
 */
export function indexProperties(name: string, harness: IndexHarness, runner: Runner, o: PropertyOptions = {}): void {
  const cases = o.cases ?? wholeNumber('TENSORHUB_CONFORMANCE_CASES') ?? 2000
  const seed = o.seed ?? wholeNumber('TENSORHUB_CONFORMANCE_SEED') ?? Date.now() % 2 ** 31
  runner.describe(`index properties: ${name}`, () => {
    const bench = new IndexBench(harness)
    runner.beforeAll(() => bench.start())
    runner.afterAll(() => bench.end())
    runner.it(
      `${cases} generated queries and changes answer as the model does (TENSORHUB_CONFORMANCE_SEED=${seed})`,
      async () => {
        const scene = documents.chain((docs) => fc.tuple(fc.constant(docs), stepsOf(docs, STEPS)))
        const property = fc.asyncProperty(scene, ([docs, steps]) => play(bench, docs, steps))
        await fc.assert(property, { numRuns: Math.ceil(cases / STEPS), seed })
      },
      60_000 + cases * 200,
    )
  })
}

async function play(bench: IndexBench, docs: readonly Doc[], steps: readonly Step[]): Promise<void> {
  const c = bench.coll()
  const model = new Model(docs)
  await bench.store.insert(c, docs)
  const { transactions } = await bench.can()
  for (const step of steps) {
    try {
      await take(bench.store, c, model, step, transactions)
    } catch (error) {
      throw new Error(
        `${show(step)} over ${show(model.docs)}: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      )
    }
  }
  sameDocs(
    await collect(bench.store.find(c, { op: 'everything' })),
    model.find({ op: 'everything' }, withTieBreak([])) ?? [],
    'the collection at the end',
  )
  await bench.store.delete(c, { op: 'everything' })
}

async function take(store: IndexStore, c: string, model: Model, step: Step, transactions: boolean): Promise<void> {
  const where = parseFilter(step.filter)
  switch (step.kind) {
    case 'find': {
      const order = parseSort(step.sort)
      const expected = model.find(where, withTieBreak(order))
      const { limit } = step
      const fields = step.fields?.map((path) => path.split('.'))
      const finding = () =>
        collect(
          store.find(c, where, { order, ...(limit === undefined ? {} : { limit }), ...(fields ? { fields } : {}) }),
        )
      equal(await store.count(c, where), model.docs.filter((doc) => matches(where, doc)).length, 'count')
      if (expected === undefined) return refusedOrder(store, c, model, step)
      sameDocs(
        await finding(),
        expected.slice(0, limit).map((doc) => (fields ? project(doc, fields) : doc)),
        'find',
      )
      await direct(store, c, model, where)
      return
    }
    case 'pages': {
      const order = parseSort(step.sort)
      const total = withTieBreak(order)
      const expected = model.find(where, total)
      if (expected === undefined) return
      const paged: Doc[] = []
      for (let after: string | undefined; ; ) {
        const page = await collect(
          store.find(c, where, { order, limit: step.size, ...(after === undefined ? {} : { after }) }),
        )
        paged.push(...page)
        if (page.length < step.size || paged.length > expected.length) break
        after = encodeCursor(total, page.at(-1) as Doc)
      }
      sameDocs(paged, expected, `pages of ${step.size}`)
      return
    }
    case 'update': {
      const targets = model.docs.filter((doc) => matches(where, doc))
      const changed = model.change(targets, step.change)
      if (changed !== undefined) {
        equal(await store.update(c, where, step.change), targets.length, 'how many update changed')
        return
      }
      await rejects(() => store.update(c, where, step.change), 'INVALID', 'an update that cannot be made')
      // Without transactions the documents before the impossible one may have been changed.
      if (!transactions) model.docs = await collect(store.find(c, { op: 'everything' }))
      return
    }
    case 'takeOne': {
      const order = parseSort(step.sort)
      const found = model.find(where, withTieBreak(order))
      if (found === undefined) return
      const first = found[0]
      if (first === undefined) {
        equal(await store.takeOne(c, where, step.change, { order }), null, 'takeOne of nothing')
        return
      }
      const changed = model.change([first], step.change)
      if (changed === undefined) {
        await rejects(
          () => store.takeOne(c, where, step.change, { order }),
          'INVALID',
          'a takeOne whose change cannot be made',
        )
        return
      }
      const taken = await store.takeOne(c, where, step.change, { order })
      check(taken !== null, 'takeOne gave null although a document matches')
      sameDocs([taken], changed, 'takeOne')
      return
    }
    case 'delete':
      equal(await store.delete(c, where), model.delete(where), 'how many delete deleted')
  }
}

/** Where two of the matching documents' sort keys are arrays, the sort is INVALID on every store. */
async function refusedOrder(store: IndexStore, c: string, model: Model, step: Step & { kind: 'find' }): Promise<void> {
  const where = parseFilter(step.filter)
  if (model.docs.filter((doc) => matches(where, doc)).length < 2) return
  await rejects(() => collect(store.find(c, where, { order: parseSort(step.sort) })), 'INVALID', 'a sort by two arrays')
}

/** What the driver itself gives, without core's post-filter: a superset, and exact where it says so. */
async function direct(
  store: IndexStore,
  c: string,
  model: Model,
  where: ReturnType<typeof parseFilter>,
): Promise<void> {
  const { driver } = store
  const order = withTieBreak([])
  const exact = driver.exact?.(c, where, order) ?? { where: true, order: true }
  const given = (await collect(driver.find(c, where, { order: exact.order ? order : [] }))).map((doc) => doc._id)
  equal(new Set(given).size, given.length, 'how many different documents the driver gives')
  const expected = (model.find(where, order) ?? []).map((doc) => doc._id)
  if (exact.where && exact.order) equal(given, expected, 'what the driver gives')
  else for (const id of expected) check(given.includes(id), `the driver leaves out ${id}, which matches`)
}

function wholeNumber(name: string): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === '') return undefined
  const n = Number(text)
  if (!Number.isSafeInteger(n) || n < 0) throw new Error(`${name} must be a whole number, not '${text}'.`)
  return n
}
