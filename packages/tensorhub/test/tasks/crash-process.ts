import { join } from 'node:path'
import { HubError } from '@tensorhub/core'
import { TensorHub } from '../../src/index.ts'
import { embeddedDrivers } from '../faults/embedded-stores.ts'
import { type Kill, KillingStores } from '../faults/killing-stores.ts'

/**
 * Does one thing with tasks and dies at a numbered change of a store: `node crash-process.ts <folder> <scenario> <at> <when> <script>`. Prints a JSON line
 * once the thing is acknowledged. Everything before `arm` is the scenario's preparation.
 */
const [folder, scenario, at, when, script] = process.argv.slice(2) as [string, string, string, Kill['when'], string]
const stores = new KillingStores(at === '0' ? undefined : { at: Number(at), when })
const drivers = embeddedDrivers(folder)
const hub = await TensorHub.connect({
  index: stores.index(drivers.index),
  blobs: stores.blobs(drivers.blobs),
  projectName: 'tutorial',
  workDir: join(folder, 'work'),
  scripts: 'any',
})
const failing = {
  handlers: { t: () => Promise.reject(new HubError('INVALID', 'no', { at: { scheme: 't', op: 't' } })) },
}

/** What a scenario prepares, and what it then does and acknowledges. */
const SCENARIOS: Readonly<Record<string, () => Promise<() => Promise<unknown>>>> = {
  create: async () => () => hub.createTask('t', script, { idempotencyKey: 'once' }),
  run: async () => {
    await hub.createTask('t', script)
    return () => hub.runTopTask('t')
  },
  'run by a handler': async () => {
    await hub.createTask('t', script, { lease: 5000 })
    return () => hub.runTopTask('t', { scripts: { handlers: { t: () => ({ a: 1 }) } } })
  },
  'fail and retry': async () => {
    await hub.createTask('t', script)
    return () => hub.runTopTask('t', { scripts: failing })
  },
  'fail for good': async () => {
    await hub.createTask('t', script, { maxAttempts: 1 })
    return () => hub.runTopTask('t', { scripts: failing })
  },
  cancel: async () => {
    await hub.createTask('t', script)
    return () => hub.tasks.cancel({ task_name: 't' })
  },
  requeue: async () => {
    await hub.createTask('t', script)
    await hub.tasks.cancel({ task_name: 't' })
    return () => hub.tasks.requeue({ task_name: 't' })
  },
  delete: async () => {
    await hub.createTask('t', script)
    return () => hub.deleteTasks('t')
  },
}

const act = await (SCENARIOS[scenario] as () => Promise<() => Promise<unknown>>)()
stores.arm()
const outcome = (await act()) as { status?: string } | false
process.stdout.write(`${JSON.stringify({ status: outcome === false ? 'none' : (outcome.status ?? 'done') })}\n`)
await hub.close()
