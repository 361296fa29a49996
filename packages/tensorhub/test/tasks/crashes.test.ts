import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { embeddedDrivers } from '../faults/embedded-stores.ts'
import { type Kill, MOMENTS } from '../faults/killing-stores.ts'
import { FULL } from '../faults/scale.ts'
import { shiftedClock } from '../faults/shifted-clock.ts'
import { temporaryFolder } from '../temporary-hub.ts'
import { scriptFolder } from './script-folder.ts'

const HOUR = 3_600_000
/** Before a change is after the one before it, but for what runs beside. */
const WHEN = FULL ? MOMENTS : (['during', 'after'] as const)
/** What stores or removes content; the others only change the document. */
const OF_CONTENT = ['create', 'delete']

/** Runs a scenario in a process that dies at a change. @returns what it acknowledged, if it came so far, and whether it died. */
async function crash(folder: string, scenario: string, kill: Kill, script: string) {
  const child = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./crash-process.ts', import.meta.url)),
      folder,
      scenario,
      String(kill.at),
      kill.when,
      script,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  const end = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  if (end !== 0 && end !== 'SIGKILL') throw new Error(`${scenario} at ${kill.at} ended with ${String(end)}`)
  const acknowledged = text === '' ? undefined : (JSON.parse(text) as { status: string })
  return { acknowledged: acknowledged?.status, died: end === 'SIGKILL' }
}

/** The hub of a folder as it is some hours later: what a crash held by a lease, a pin or a grace is free. */
async function later<T>(folder: string, hours: number, use: (hub: TensorHub) => Promise<T>): Promise<T> {
  const { index, blobs } = embeddedDrivers(folder)
  const hub = await TensorHub.connect({
    index: shiftedClock(index, hours * HOUR),
    blobs,
    projectName: 'tutorial',
    workDir: join(folder, 'work'),
    scripts: 'any',
  })
  try {
    return await use(hub)
  } finally {
    await hub.close()
  }
}

/** What must be true of the folder whenever the process died. `acknowledged` is what it said before it died. */
const PROMISES: Readonly<
  Record<string, (hub: TensorHub, acknowledged: string | undefined, script: string) => Promise<void>>
> = {
  create: async (hub, acknowledged, script) => {
    const before = await hub.tasks.count()
    expect(before === 1 || acknowledged === undefined).toBe(true)
    await hub.createTask('t', script, { idempotencyKey: 'once' })
    expect(await hub.tasks.count()).toBe(1)
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { size: 200_000 }, attempt: 1 })
  },
  run: runsOnce({ size: 200_000 }),
  'run by a handler': runsOnce({ a: 1 }),
  'fail and retry': async (hub, acknowledged) => {
    if (acknowledged !== undefined) {
      expect(acknowledged).toBe('retrying')
      expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 1, infra_failures: 0 })
    }
    expect(await hub.checkUnfinishedTask('t')).toBe(true)
    const outcome = await runDue(hub)
    expect(outcome).toMatchObject({ status: 'finished', result: { size: 200_000 } })
    expect((await hub.tasks.top())?.attempts).toBeLessThanOrEqual(2)
  },
  'fail for good': async (hub, acknowledged) => {
    expect(await hub.checkUnfinishedTask('t')).toBe(
      acknowledged === undefined && (await hub.tasks.top())?.attempts === 0,
    )
    await runDue(hub)
    const task = await hub.tasks.top()
    expect(task?.attempts).toBe(1)
    expect(task?.status === 'failed' || acknowledged === undefined).toBe(true)
  },
  cancel: async (hub, acknowledged) => {
    const task = await hub.tasks.top()
    expect(task?.status === 'cancelled' || (acknowledged === undefined && task?.status === 'pending')).toBe(true)
    await hub.tasks.cancel({ task_name: 't' })
    expect(await hub.tasks.top()).toMatchObject({ status: 'cancelled', attempts: 0 })
  },
  requeue: async (hub, acknowledged) => {
    const task = await hub.tasks.top()
    expect(task?.status === 'pending' || (acknowledged === undefined && task?.status === 'cancelled')).toBe(true)
    await hub.tasks.requeue({ task_name: 't' })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', attempt: 1 })
  },
  delete: async (hub, acknowledged) => {
    const left = await hub.tasks.count()
    expect(left === 0 || acknowledged === undefined).toBe(true)
    await hub.deleteTasks()
    expect(await hub.tasks.count()).toBe(0)
  },
}

function runsOnce(result: Record<string, unknown>) {
  return async (hub: TensorHub, acknowledged: string | undefined) => {
    const before = await hub.tasks.top()
    if (acknowledged !== undefined) {
      expect(acknowledged).toBe('finished')
      expect(before).toMatchObject({ status: 'finished', attempts: 1, epoch: 1 })
    }
    await runDue(hub, Object.hasOwn(result, 'a') ? result : undefined)
    const after = await hub.tasks.top()
    expect(after).toMatchObject({ status: 'finished', result })
    if (before?.status === 'finished') expect(after?._rev).toBe(before._rev)
    expect(after?.attempts).toBeLessThanOrEqual(2)
  }
}

/** Runs what is due, in the time after the crash, until nothing is. */
async function runDue(hub: TensorHub, result?: Record<string, unknown>) {
  let last: Awaited<ReturnType<TensorHub['runTopTask']>> = false
  const scripts = result === undefined ? 'any' : { handlers: { t: () => result } }
  while (await hub.checkUnfinishedTask('t')) {
    const outcome = await hub.runTopTask('t', { scripts })
    if (outcome !== false) last = outcome
  }
  return last
}

describe('F6: a process killed at every change of a store', { timeout: 600_000 }, () => {
  // At once: they wait for disks and processes more than they compute.
  it.concurrent.each(Object.keys(PROMISES))('while it does: %s', async (scenario) => {
    // Larger than what is kept in the document, so that the script is a blob.
    const script = (
      await scriptFolder({
        'main.mjs': "import { text } from './data.mjs'\nexport default () => ({ size: text.length })",
        'data.mjs': `export const text = '${'x'.repeat(200_000)}'`,
      })
    )('main.mjs')
    let died = true
    let points = 0
    for (let at = 1; died; at++) {
      for (const when of WHEN) {
        const folder = await temporaryFolder()
        await (await TensorHub.connect(folder, { projectName: 'tutorial' })).close()
        const crashed = await crash(folder, scenario, { at, when }, script)
        died = crashed.died
        if (died) points++
        await later(folder, 1, async (hub) => {
          expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
          await (PROMISES[scenario] as (typeof PROMISES)[string])(hub, crashed.acknowledged, script)
          expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
          await hub.deleteTasks()
        })
        if (OF_CONTENT.includes(scenario)) await noLeaks(folder)
        if (!died) break
      }
    }
    expect(points).toBeGreaterThan(0)
  })
})

/** Nothing refers to anything any more: collections past the pins and the graces leave no blob and no row. */
async function noLeaks(folder: string): Promise<void> {
  for (const hours of [60, 90, 120]) await later(folder, hours, (hub) => hub.gc())
  const { index, blobs } = embeddedDrivers(folder)
  await index.open?.({})
  await blobs.open?.({})
  try {
    for await (const blob of blobs.list('', {})) throw new Error(`the blob ${blob.key} leaked`)
    expect(await index.count('_chunks', { op: 'everything' }, {})).toBe(0)
  } finally {
    await index.close?.()
    await blobs.close?.()
  }
}
