/**
 * The original's `examples/database` in TypeScript, on the real MNIST: three multi-layer perceptrons trained by two runner processes, which
 * share work, data and results through a hub alone.
 *
 *   node main.ts [--quick] [--url URL]
 *
 * Without `--url` the hub is embedded, in the folder `.tensorhub` beside this file. Ends with 1 when a task fails or an accuracy is too low.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { LayersModel } from '@tensorflow/tfjs'
import { loadTf, toTf } from '@tensorhub/tfjs'
import type { TensorHub } from 'tensorhub'
import { connect } from './connect.ts'
import { drawDigits } from './draw.ts'
import { type Mnist, PIXELS, readMnist, SIDE } from './mnist.ts'
import { DATASET, FULL, MODEL, type Plan, QUICK, SIZES, TASK } from './plan.ts'
import { ProgressDisplay } from './progress.ts'
import { printResults } from './results.ts'
import { Runners } from './runners.ts'
import { watchTasks } from './watch-tasks.ts'

const RUNNERS = 2
const DRAWN = 6

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, url: { type: 'string' } } })
const plan = values.quick ? QUICK : FULL

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new Error(`${signal} received`)))
}

function step(text: string): void {
  console.log(`\n● ${text}`)
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

/** Deletes what an earlier run left: with no filter, everything of its kind in this project. */
async function deleteOldState(hub: TensorHub): Promise<void> {
  await hub.deleteTasks()
  await hub.deleteTrainingLog()
  await hub.deleteValidationLog()
  await hub.deleteTestingLog()
  await hub.deleteModel()
  await hub.deleteDatasets()
}

async function saveDigits(hub: TensorHub): Promise<Mnist> {
  const mnist = await readMnist()
  const since = performance.now()
  const { content } = await hub.saveDataset(mnist, DATASET, {
    description: 'handwritten digits',
    version: '1.0',
    signal: stop.signal,
  })
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  step(
    `Saved the dataset '${DATASET}': 70,000 digits, ${megabytes(content.bytes)}, stored as ${megabytes(content.stored)}, in ${seconds(since)}.`,
  )
  return mnist
}

async function pushTasks(hub: TensorHub, { rows, epochs, batch, validationRows }: Plan): Promise<void> {
  const script = fileURLToPath(new URL('./task-script.ts', import.meta.url))
  for (const units of SIZES) {
    await hub.createTask(TASK, script, {
      hyperParameters: { n_units1: units, n_units2: units, rows, validationRows, epochs, batch },
      savedResultKeys: ['test_accuracy'],
      description: `${units}-${units}`,
      // Heartbeats come four to a lease and carry the progress that is shown below.
      lease: '10s',
    })
  }
  step(
    `Pushed ${SIZES.length} tasks: ${SIZES.map((units) => `${units}-${units}`).join(', ')}; ${rows.toLocaleString('en')} digits × ${epochs} epochs each.`,
  )
}

/** Loads the best model as any service would, by a query, and lets it read test digits. */
async function readDigitsWithBest(hub: TensorHub, { test }: Mnist): Promise<void> {
  const { tf } = await loadTf<typeof import('@tensorflow/tfjs')>({ prefer: 'wasm', log: () => {} })
  const since = performance.now()
  const model = (await hub.findTopModel({ modelName: MODEL, sort: [['test_accuracy', -1]] })) as
    | (LayersModel & { _name: string; _test_accuracy: number })
    | false
  if (model === false) throw new Error('The tasks have finished and the hub has no model.')
  step(
    `Loaded the best model from the hub in ${seconds(since)}: ${model._name}, test accuracy ${model._test_accuracy.toFixed(4)}. It reads:`,
  )
  const start = Math.floor(Math.random() * (test.labels.data.length - DRAWN))
  const images = Array.from({ length: DRAWN }, (_, i) =>
    test.images.data.subarray((start + i) * PIXELS, (start + i + 1) * PIXELS),
  )
  const input = toTf(tf, {
    dtype: 'uint8',
    shape: [DRAWN, SIDE * SIDE],
    data: test.images.data.subarray(start * PIXELS, (start + DRAWN) * PIXELS),
  })
  const output = model.predict(tf.div(input as ReturnType<typeof tf.tensor>, 255)) as ReturnType<typeof tf.tensor>
  const probabilities = (await output.array()) as number[][]
  const captions = probabilities.map((row, i) => {
    const read = row.indexOf(Math.max(...row))
    return `${read} (${Math.round((row[read] ?? 0) * 100)} %)${read === test.labels.data[start + i] ? '' : ` not ${test.labels.data[start + i]}!`}`
  })
  console.log(`\n${drawDigits(images, captions, process.stdout.columns ?? 100)}`)
}

async function main(): Promise<void> {
  const began = performance.now()
  await using hub = await connect(values.url)
  console.log(`${hub}`)
  await deleteOldState(hub)
  const mnist = await saveDigits(hub)
  await pushTasks(hub, plan)

  const runners = new Runners(RUNNERS, values.url, (reason) => console.error(`\n${reason}`))
  try {
    step(`Started ${RUNNERS} runners (processes ${runners.pids.join(' and ')}); they find the tasks in the hub.`)
    await Promise.race([watchTasks(hub, new ProgressDisplay(), stop.signal), runners.failed])
  } finally {
    await runners.stop()
  }

  const good = await printResults(hub, plan)
  await readDigitsWithBest(hub, mnist)
  step(`${good ? 'All done' : 'Done, and not as it should be'} in ${seconds(began)}.`)
  if (!good) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  process.exitCode = 1
  if (stop.signal.aborted) console.error(`\nStopped: ${(stop.signal.reason as Error).message}.`)
  else console.error(error)
}
