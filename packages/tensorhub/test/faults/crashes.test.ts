import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openBlobs, openIndex } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { newFolder } from '../suite/store-pair.ts'
import { LARGE, noise } from '../suite/values.ts'
import { embeddedDrivers } from './embedded-stores.ts'
import { type Kill, MOMENTS } from './killing-stores.ts'
import { FULL } from './scale.ts'
import { shiftedClock } from './shifted-clock.ts'

const HOUR = 3_600_000
/** A kill loses nothing of what the kernel holds, so a file system in memory shows the same as a disk, without waiting for one. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
/** The moments at one change: all of them, or by turns. (Before a change is after the one before it, but for what runs beside.) */
const momentsAt = (at: number) => (FULL ? MOMENTS : [at % 2 === 1 ? ('during' as const) : ('after' as const)])

/** Runs a scenario in a process that dies at a change. */
async function crash(folder: string, scenario: string, kill: Kill): Promise<{ acknowledged: boolean; died: boolean }> {
  const program = fileURLToPath(new URL('./crash-process.ts', import.meta.url))
  const child = spawn(process.execPath, [program, folder, scenario, String(kill.at), kill.when], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  const end = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  if (end !== 0 && end !== 'SIGKILL') throw new Error(`${scenario} at ${kill.at} ended with ${String(end)}`)
  return { acknowledged: text === 'acknowledged', died: end === 'SIGKILL' }
}

/** The hub of a folder as it is some hours later, when what a crash held by a pin or a grace is free. */
async function later<T>(folder: string, hours: number, use: (hub: TensorHub) => Promise<T>): Promise<T> {
  const { index, blobs } = embeddedDrivers(folder)
  await using hub = await TensorHub.connect({
    index: shiftedClock(index, hours * HOUR),
    blobs,
    projectName: 'tutorial',
  })
  return await use(hub)
}

/** What every folder holds before the crash: records whose chunks are shared, some of them deleted already. */
async function prepare(): Promise<string> {
  const folder = await newFolder()
  await using hub = await TensorHub.connect(folder, { projectName: 'tutorial', collect: false })
  await hub.saveDataset({ kept: noise(LARGE, 9), own: noise(LARGE, 10) }, 'kept')
  await hub.saveDataset({ kept: noise(LARGE, 9), own: noise(LARGE, 11) }, 'old')
  await hub.saveDataset(7, 'old')
  await hub.saveDataset(noise(LARGE, 12), 'gone')
  await hub.deleteDatasets('gone')
  return folder
}

const film = Buffer.concat(Array.from({ length: 3 }, (_, i) => new Uint8Array(noise(1024 * 1024, 40 + i).buffer)))

/** What each scenario's record is when it is there, and which method finds it. Deletes and collections add none. */
const SAVED: Readonly<Record<string, (hub: TensorHub) => Promise<[found: unknown, wanted: unknown]>>> = {
  'save dataset': async (hub) => [
    await hub.findTopDataset('new'),
    { a: noise(LARGE, 1), b: noise(LARGE, 2), kept: noise(LARGE, 9) },
  ],
  'save dataset, a stream': async (hub) => [await hub.findTopDataset('new'), new Uint8Array(film)],
  'save dataset, small': async (hub) => [await hub.findTopDataset('new'), [1, 2, 3]],
  'save model': async (hub) => [
    await hub.findTopModel('new'),
    { architecture: 'mlp', weights: [noise(LARGE, 9), noise(LARGE, 3)] },
  ],
  'save model, its manifest a blob': async (hub) => [
    await hub.findTopModel('new'),
    Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i])),
  ],
}

describe('F6, B17: a process killed at every change of a store', { timeout: 600_000 }, () => {
  it.each([...Object.keys(SAVED), 'delete', 'delete with a collection behind it', 'gc'])(
    'while it does: %s',
    async (scenario) => {
      const origin = await prepare()
      const all = { points: 0, acknowledged: 0, visible: 0 }
      let died = true
      for (let at = 1; died; at++) {
        for (const when of momentsAt(at)) {
          const folder = await mkdtemp(join(MEMORY, 'tensorhub-crash-'))
          await cp(origin, folder, { recursive: true })
          const crashed = await crash(folder, scenario, { at, when })
          died = crashed.died
          if (died) all.points++
          if (crashed.acknowledged) all.acknowledged++
          if (await holds(folder, scenario, crashed.acknowledged)) all.visible++
          await later(folder, 2, async (hub) => {
            // What was interrupted can be done again, and what was there is there.
            expect(await hub.findTopDataset('kept')).toStrictEqual({ kept: noise(LARGE, 9), own: noise(LARGE, 10) })
            await hub.saveDataset(noise(LARGE, 12), 'again')
            expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
            await hub.deleteDatasets('again')
          })
          await noLeaks(folder, FULL || !died || scenario.endsWith('its manifest a blob'))
          await rm(folder, { recursive: true })
          if (!died) break
        }
      }
      expect(all.points).toBeGreaterThan(0)
      expect(all.acknowledged).toBeGreaterThan(0)
      // A save whose document was written, and whose answer was not heard, may be seen: whole.
      if (scenario in SAVED) expect(all.visible).toBeGreaterThanOrEqual(all.acknowledged)
    },
  )
})

/** The folder is whole; what was acknowledged is there, and what is there is right. @returns whether the save's record is visible. */
async function holds(folder: string, scenario: string, acknowledged: boolean): Promise<boolean> {
  await using hub = await TensorHub.connect(folder, { projectName: 'tutorial', collect: false })
  expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
  const old = await hub.datasets.count({ dataset_name: 'old' })
  const saved = SAVED[scenario]
  if (saved === undefined) {
    if (scenario.startsWith('delete')) expect(acknowledged ? [0] : [0, 2]).toContain(old)
    else expect(old).toBe(2)
    return false
  }
  expect(old).toBe(2)
  const [found, wanted] = await saved(hub)
  if (found === false && !acknowledged) return false
  expect(found).toStrictEqual(wanted)
  return true
}

/** Past the pins and the graces, collections leave exactly the chunks that records name; and with no record left (`emptied`), nothing. */
async function noLeaks(folder: string, emptied: boolean): Promise<void> {
  for (const hours of [60, 90]) await later(folder, hours, (hub) => hub.gc())
  const { chunks, problems } = await later(folder, 120, (hub) => hub.check({ readData: true }))
  expect(problems).toEqual([])
  expect((await left(folder)).blobs.filter((key) => key.startsWith('c/'))).toHaveLength(chunks)
  if (!emptied) return
  await later(folder, 121, async (hub) => {
    await hub.deleteDatasets()
    await hub.deleteModel()
  })
  for (const hours of [180, 210, 240]) await later(folder, hours, (hub) => hub.gc())
  expect(await left(folder)).toEqual({ blobs: [], rows: 0 })
}

/** What the stores hold, past any hub. */
async function left(folder: string): Promise<{ blobs: string[]; rows: number }> {
  const drivers = embeddedDrivers(folder)
  await using index = openIndex(drivers.index)
  await using blobs = openBlobs(drivers.blobs)
  const keys: string[] = []
  for await (const blob of blobs.list('')) keys.push(blob.key)
  return { blobs: keys, rows: await index.count('_chunks', { op: 'everything' }) }
}
