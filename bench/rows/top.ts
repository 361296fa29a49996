import { join } from 'node:path'
import { parseFilter, parseSort } from '@tensorhub/core'
import { type ModelRecord, type OpenFilter, TensorHub } from 'tensorhub'
// The baseline is the very SQL that the driver makes, without the driver.
import { compileFilter, compileOrder } from '../../packages/sqlite/src/filter.ts'
import { Shapes } from '../../packages/sqlite/src/shapes.ts'
import { copyOfIndex, openDurable } from '../baseline-file.ts'
import { type Paired, paired, type Row, timed } from '../paired.ts'
import { MODELS_OPTIONS, modelsHub } from './models-hub.ts'

/** Few calls a round, so that other programs of the machine disturb some rounds rather than a part of each. */
const CALLS = 100
const WARM_UPS = 500

interface TopCase {
  readonly name: string
  readonly filter: OpenFilter<ModelRecord>
  readonly sort: Readonly<Record<string, 1 | -1>>
}

const CASES: readonly TopCase[] = [
  { name: 'best by accuracy', filter: {}, sort: { accuracy: -1 } },
  { name: 'best below a value', filter: { accuracy: { $lt: 0.5 } }, sort: { accuracy: -1 } },
  { name: 'newest of a run', filter: { run: 'r7' }, sort: {} },
  { name: 'newest of a name that all have and a run', filter: { model_name: 'mlp', run: 'r7' }, sort: {} },
]
/** Upwards, models without the tag come last, so that the question is another one than the baseline's: it only has to stay flat. */
const FLAT_CASES: readonly TopCase[] = [...CASES, { name: 'least by accuracy', filter: {}, sort: { accuracy: 1 } }]

async function topCalls(hub: TensorHub, { filter, sort }: TopCase): Promise<void> {
  for (let i = 0; i < CALLS; i++) {
    if ((await hub.models.top(filter, { sort })) === undefined) throw new Error('no model was found')
  }
}

/** The same calls in the driver's own SQL. */
function baselineOf(file: string, { filter, sort }: TopCase): { run(): void; close(): void } {
  const shapes = new Shapes()
  const where = compileFilter(parseFilter({ project_name: MODELS_OPTIONS.projectName, ...filter }), 'models', shapes)
  const order = compileOrder(parseSort({ ...sort, _id: -1 }), 'models', shapes, where.terms)
  const database = openDurable(file)
  const statement = database.prepare(`SELECT body FROM c_models WHERE ${where.sql} ORDER BY ${order} LIMIT 1`)
  return {
    run: () => {
      for (let i = 0; i < CALLS; i++) JSON.parse(statement.get(...where.params)?.['body'] as string)
    },
    close: () => database.close(),
  }
}

const microseconds = (ms: number) => `${((ms / CALLS) * 1000).toFixed(1)} µs`

export const topRow: Row = {
  name: 'top',
  path: '`models.top` by tag in 100,000 (the record, no content)',
  baseline: "the driver's own indexed SQL + `JSON.parse`",
  bar: '≥ 0.5×',
  async run({ folder, quick }) {
    const hubFolder = join(folder, 'hub')
    await modelsHub(hubFolder, quick ? 1000 : 100_000)
    const file = await copyOfIndex(hubFolder, 'baseline.db')
    const hub = await TensorHub.connect(hubFolder, MODELS_OPTIONS)
    const results: { name: string; measured: Paired }[] = []
    for (const one of CASES) {
      const baseline = baselineOf(file, one)
      const measured = await paired(
        quick ? 3 : 101,
        () => timed(() => topCalls(hub, one)),
        () => timed(baseline.run),
        quick ? 1 : WARM_UPS,
      )
      baseline.close()
      results.push({ name: one.name, measured })
    }
    await hub.close()
    const worst = Math.min(...results.map(({ measured }) => measured.ratio))
    return {
      figure: `${worst.toFixed(2)}×`,
      held: worst >= 0.5,
      detail: results
        .map(
          ({ name, measured }) =>
            `${name} ${measured.ratio.toFixed(2)}× (${microseconds(measured.ours)} against ${microseconds(measured.baseline)})`,
        )
        .join('; '),
    }
  },
}

export const flatTopRow: Row = {
  name: 'top-flat',
  path: '`models.top` by tag, 10³ → 10⁶ documents',
  baseline: 'the same call in 10³ documents',
  bar: '≤ 2 × the time',
  async run({ folder, quick }) {
    const few = join(folder, 'few')
    const many = join(folder, 'many')
    const count = quick ? 10_000 : 1_000_000
    await modelsHub(few, 1000)
    await modelsHub(many, count)
    const small = await TensorHub.connect(few, MODELS_OPTIONS)
    const large = await TensorHub.connect(many, MODELS_OPTIONS)
    const results: { name: string; measured: Paired }[] = []
    for (const one of FLAT_CASES) {
      const measured = await paired(
        quick ? 3 : 101,
        () => timed(() => topCalls(large, one)),
        () => timed(() => topCalls(small, one)),
        quick ? 1 : WARM_UPS,
      )
      results.push({ name: one.name, measured })
    }
    await small.close()
    await large.close()
    const worst = Math.max(...results.map(({ measured }) => 1 / measured.ratio))
    return {
      figure: `${worst.toFixed(2)} × the time`,
      held: worst <= 2,
      detail: results
        .map(
          ({ name, measured }) =>
            `${name} ${microseconds(measured.baseline)} in 1,000, ${microseconds(measured.ours)} in ${count.toLocaleString('en')}`,
        )
        .join('; '),
    }
  },
}
