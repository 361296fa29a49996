import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openBlobs, openIndex } from '@tensorhub/core'
import { expect } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { LARGE, noise } from '../suite/values.ts'
import { HANDLERS, SCENARIOS } from './crash-scenarios.ts'
import type { Kill } from './killing-stores.ts'
import { shiftedClock } from './shifted-clock.ts'
import { driversOf, environmentOf, type StoreUrls } from './store-urls.ts'

const HOUR = 3_600_000

/** Runs a scenario in a process that dies at a change. */
export async function crash(
  urls: StoreUrls,
  scenario: string,
  kill: Kill,
  script: string,
): Promise<{ acknowledged: boolean; died: boolean }> {
  const program = fileURLToPath(new URL('./crash-process.ts', import.meta.url))
  const child = spawn(process.execPath, [program, scenario, JSON.stringify(kill), script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Hundreds of processes that import the same: without it most of the time goes into that.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'tensorhub-compile-cache'), ...process.env, ...environmentOf(urls) },
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  const end = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  if (end !== 0 && end !== 'SIGKILL')
    throw new Error(`${scenario}, killed ${kill.when} ${kill.at}, ended with ${String(end)}`)
  return { acknowledged: text === 'acknowledged', died: end === 'SIGKILL' }
}

/** The hub is whole; what was acknowledged is there, and what is there is right. @returns whether the save's record is visible. */
export async function holds(urls: StoreUrls, scenario: string, acknowledged: boolean): Promise<boolean> {
  await using hub = await TensorHub.connect({ ...urls, projectName: 'tutorial', collect: false })
  expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
  const old = await hub.datasets.count({ dataset_name: 'old' })
  if (scenario.startsWith('delete')) expect(acknowledged ? [0] : [0, 2]).toContain(old)
  else expect(old).toBe(2)
  if (scenario === 'create a task') {
    const created = await hub.tasks.count({ task_name: 'new' })
    expect(acknowledged ? [1] : [0, 1]).toContain(created)
  }
  if (scenario === 'claim and commit a task') {
    const task = await hub.tasks.top({ task_name: 't' })
    expect(acknowledged ? ['finished'] : ['pending', 'running', 'finished']).toContain(task?.status)
    if (task?.status === 'finished') expect(task).toMatchObject({ attempts: 1, epoch: 1, result: { a: 1 } })
  }
  const saved = SCENARIOS[scenario]?.saved
  if (saved === undefined) return false
  const [found, wanted] = await saved(hub)
  if (found === false && !acknowledged) return false
  expect(found).toStrictEqual(wanted)
  return true
}

/**
 * The hub as it is hours later, when what the crash held by a lease, a pin or a grace is free: what was there is there, what was interrupted can be done
 * again, and collections leave exactly the chunks that records name, and no leftover of a write; with no record left (`emptied`), nothing.
 */
export async function goesOn(urls: StoreUrls, script: string, emptied: boolean): Promise<void> {
  const { index, blobs } = await driversOf(urls)
  let hours = 2
  await using hub = await TensorHub.connect({
    index: shiftedClock(index, () => hours * HOUR),
    blobs,
    projectName: 'tutorial',
    collect: false,
  })
  expect(await hub.findTopDataset('kept')).toStrictEqual({ kept: noise(LARGE, 9), own: noise(LARGE, 10) })
  await hub.saveDataset(noise(LARGE, 12), 'again')
  await hub.createTask('new', script, { idempotencyKey: 'once' })
  expect(await hub.tasks.count({ task_name: 'new' })).toBe(1)
  while (await hub.checkUnfinishedTask('t')) {
    await hub.runTopTask('t', { scripts: HANDLERS })
    // Past the backoff of what was taken back.
    hours += 0.1
  }
  const task = await hub.tasks.top({ task_name: 't' })
  expect(task).toMatchObject({ status: 'finished', result: { a: 1 } })
  expect(task?.attempts).toBeLessThanOrEqual(2)
  expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
  await hub.deleteDatasets('again')

  for (hours of [60, 90]) await hub.gc()
  hours = 120
  const { chunks, problems, leftovers } = await hub.check({ readData: true })
  expect({ problems, leftovers }).toEqual({ problems: [], leftovers: { count: 0, bytes: 0 } })
  expect((await left(urls)).blobs.filter((key) => key.startsWith('c/'))).toHaveLength(chunks)
  if (!emptied) return
  await hub.deleteDatasets()
  await hub.deleteModel()
  await hub.deleteTasks()
  for (hours of [180, 210, 240]) await hub.gc()
  expect(await left(urls)).toEqual({ blobs: [], rows: 0 })
}

/** What the stores hold, past any hub. */
async function left(urls: StoreUrls): Promise<{ blobs: string[]; rows: number }> {
  const drivers = await driversOf(urls)
  await using index = openIndex(drivers.index)
  await using blobs = openBlobs(drivers.blobs)
  const keys: string[] = []
  for await (const blob of blobs.list('')) keys.push(blob.key)
  return { blobs: keys, rows: await index.count('_chunks', { op: 'everything' }) }
}
