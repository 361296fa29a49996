/**
 * The dispatcher. With `runner.ts` and `task-script.ts` it is the original's `examples/database` in TypeScript, on the real MNIST: networks
 * are trained by runner processes, which share work, data and results with this one through a hub alone.
 *
 *   node main.ts [--quick] [--url URL | --index URL --blobs URL] [--help]
 *
 * Ends with 1 when a task fails or an accuracy is too low, with 2 for unknown arguments.
 */
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { TensorHub } from 'tensorhub'
import { readDigitsWithBest } from './best-model.ts'
import { connect, toldOf } from './connect.ts'
import { type Mnist, readMnist } from './mnist.ts'
import { readOptions } from './options.ts'
import { DATASET, nameOf, type Plan, TASK } from './plan.ts'
import { ProgressDisplay } from './progress.ts'
import { printResults } from './results.ts'
import { Runners, RunnersLost } from './runners.ts'
import { watchTasks } from './watch-tasks.ts'

/** How long a task stays with a runner that is not heard of any more. */
const LEASE_SECONDS = 10

const { plan, hub: place, runners } = readOptions(process.argv.slice(2))

/** Aborts on Ctrl-C and its kin. They may come several times, since the programs between the terminal and this one pass them on. */
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    process.exitCode = 128 + constants.signals[signal]
    stop.abort(new Error(`${signal} received`))
  })
}
// Whoever read our output is gone, as in `npm run demo | head`.
process.stdout.on('error', (error) => stop.abort(error))

function step(text: string): void {
  console.log(`\n● ${text}`)
}

function secondsSince(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
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
  const start = performance.now()
  const { content } = await hub.saveDataset(mnist, DATASET, {
    description: 'handwritten digits',
    version: '1.0',
    signal: stop.signal,
  })
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  const size = `${megabytes(content.bytes)}, stored as ${megabytes(content.stored)}`
  step(`Saved the dataset '${DATASET}': 70,000 digits, ${size}, in ${secondsSince(start)}.`)
  return mnist
}

async function pushTasks(hub: TensorHub, { units, rows, epochs, batch, validationRows }: Plan): Promise<void> {
  const script = fileURLToPath(new URL('./task-script.ts', import.meta.url))
  for (const n of units) {
    await hub.createTask(TASK, script, {
      hyperParameters: { n_units1: n, n_units2: n, rows, validationRows, epochs, batch },
      savedResultKeys: ['test_accuracy'],
      description: nameOf(n),
      // Heartbeats come four to a lease and carry the progress that is shown below.
      lease: `${LEASE_SECONDS}s`,
    })
  }
  const each = `${rows.toLocaleString('en')} digits × ${epochs} ${epochs === 1 ? 'epoch' : 'epochs'} each`
  step(`Pushed ${units.length} tasks: ${units.map(nameOf).join(', ')}; ${each}.`)
}

/** Starts the runners, shows how the tasks go until all are over, and ends the runners. */
async function runTasks(hub: TensorHub): Promise<void> {
  const display = new ProgressDisplay()
  await using processes = new Runners(runners, place, (reason) =>
    display.note(`${reason} If it had a task, that is due again ${LEASE_SECONDS} s after its last heartbeat.`),
  )
  step(
    runners === 0
      ? 'Waiting for runners: node runner.ts'
      : `Started ${runners} runners (processes ${processes.pids.join(', ')}); they find the tasks in the hub.`,
  )
  await watchTasks(hub, display, AbortSignal.any([stop.signal, processes.lost]))
}

async function main(): Promise<void> {
  const start = performance.now()
  await using hub = await connect(place)
  console.log(`${hub}`)
  await deleteOldState(hub)
  const mnist = await saveDigits(hub)
  await pushTasks(hub, plan)
  await runTasks(hub)
  const good = await printResults(hub, plan)
  await readDigitsWithBest(hub, mnist.test)
  step(`${good ? 'All done' : 'Done, and not as it should be'} in ${secondsSince(start)}.`)
  if (!good) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  process.exitCode ??= 1
  if (stop.signal.aborted) console.error(`\nStopped: ${(stop.signal.reason as Error).message}. The runners have ended.`)
  else console.error(error instanceof RunnersLost ? `\n${error.message}` : toldOf(error))
}
