/**
 * A task runner: takes the first task that is due, runs it, and looks again. Start as many as you like, on as many machines as reach the hub:
 *
 *   node runner.ts [--url URL | --index URL --blobs URL]
 *
 * It ends on SIGINT and SIGTERM, and with the program that started it; the task it was at is pending again.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { isHubError } from 'tensorhub'
import { connect, toldOf } from './connect.ts'
import { HUB_OPTIONS, hubPlace } from './options.ts'
import { TASK } from './plan.ts'

/** How long an idle runner waits before it looks again, in ms. */
const IDLE = 500

const { values } = parseArgs({ options: HUB_OPTIONS })
const place = hubPlace(values)
// The packages that a task's script imports are looked up from the runner's folder.
process.chdir(import.meta.dirname)

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => stop.abort(new Error(`${signal} received`)))
// Only when main.ts started this: its end closes the channel.
process.on('disconnect', () => stop.abort(new Error('the dispatcher has ended')))

try {
  await using hub = await connect(place)
  console.log(`Runner ${process.pid} waits for tasks '${TASK}' in ${hub}`)
  while (!stop.signal.aborted) {
    const outcome = await hub.runTopTask(TASK, { signal: stop.signal })
    if (outcome === false) await wait(IDLE, undefined, { signal: stop.signal })
    else console.log(outcome.task.description, outcome.status, outcome.error?.message ?? outcome.result ?? '')
  }
} catch (error) {
  if (!stop.signal.aborted && !isHubError(error, 'ABORTED')) {
    process.exitCode = 1
    console.error(toldOf(error))
  }
} finally {
  if (process.connected) process.disconnect()
}
