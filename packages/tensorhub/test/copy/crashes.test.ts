import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openBlobs, openIndex } from '@tensorhub/core'
import { afterAll, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { embeddedDrivers } from '../faults/embedded-stores.ts'
import { type Kill, MOMENTS } from '../faults/killing-stores.ts'
import { FULL } from '../faults/scale.ts'
import { shiftedClock } from '../faults/shifted-clock.ts'
import { LARGE, noise } from '../suite/values.ts'

const HOUR = 3_600_000
/** A kill loses nothing of what the kernel holds, so a file system in memory shows the same as a disk, without waiting for one. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})
const newFolder = async () => {
  const folder = await mkdtemp(join(MEMORY, 'tensorhub-copy-'))
  folders.push(folder)
  return folder
}
const open = (folder: string) => TensorHub.connect(folder, { projectName: 'tutorial', collect: false })

async function crash(from: string, to: string, kill: Kill): Promise<{ acknowledged: boolean; died: boolean }> {
  const program = fileURLToPath(new URL('./crash-process.ts', import.meta.url))
  const child = spawn(process.execPath, [program, from, to, String(kill.at), kill.when], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  const end = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  if (end !== 0 && end !== 'SIGKILL') throw new Error(`the copy killed at ${kill.at} ended with ${String(end)}`)
  return { acknowledged: text === 'acknowledged', died: end === 'SIGKILL' }
}

const manyTensors = () => Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i]))

/** Values of each shape; `m` shares a chunk with `x`. */
async function prepare(): Promise<string> {
  const folder = await newFolder()
  await using hub = await open(folder)
  await hub.saveDataset({ a: noise(LARGE, 1), b: noise(LARGE, 2) }, 'x')
  await hub.saveDataset([1, 2, 3], 'small')
  await hub.saveDataset(manyTensors(), 'many')
  await hub.saveModel({ a: noise(LARGE, 1), c: noise(LARGE, 3) }, 'm', { epoch: 1 })
  for (let step = 0; step < 5; step++) await hub.saveTrainingLog({ step })
  return folder
}

const DATASETS: Readonly<Record<string, () => unknown>> = {
  x: () => ({ a: noise(LARGE, 1), b: noise(LARGE, 2) }),
  small: () => [1, 2, 3],
  many: manyTensors,
}

/** What is there is whole and right. @returns how many documents there are. */
async function whole(folder: string): Promise<number> {
  await using hub = await open(folder)
  expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
  for (const [name, value] of Object.entries(DATASETS)) {
    const found = await hub.findTopDataset(name)
    if (found !== false) expect(found).toStrictEqual(value())
  }
  const model = await hub.findTopModel('m')
  if (model !== false) expect({ ...(model as object) }).toStrictEqual({ a: noise(LARGE, 1), c: noise(LARGE, 3) })
  return (await hub.datasets.count()) + (await hub.models.count()) + (await hub.logs.count())
}

/** Past pins and graces, collections leave exactly what the documents stand on. */
async function noLeaks(folder: string): Promise<void> {
  const drivers = embeddedDrivers(folder)
  for (const hours of [60, 90]) {
    const { index, blobs } = embeddedDrivers(folder)
    await using hub = await TensorHub.connect({
      index: shiftedClock(index, hours * HOUR),
      blobs,
      projectName: 'tutorial',
    })
    await hub.gc()
  }
  await using index = openIndex(drivers.index)
  await using blobs = openBlobs(drivers.blobs)
  const keys: string[] = []
  for await (const blob of blobs.list('')) keys.push(blob.key)
  // a, b, c, the smalls and the tree of `many`, its manifest.
  expect(keys.filter((key) => key.startsWith('m/'))).toHaveLength(1)
  expect(await index.count('_chunks', { op: 'everything' })).toBe(keys.length)
}

it('a copy killed at every change of the destination: what is there is whole, the next run goes on, nothing leaks', {
  timeout: 600_000,
}, async () => {
  const from = await prepare()
  const all = { points: 0, partly: 0 }
  let died = true
  for (let at = 1; died; at++) {
    for (const when of FULL ? MOMENTS : [at % 2 === 1 ? ('during' as const) : ('after' as const)]) {
      const to = await newFolder()
      await (await open(to)).close()
      const crashed = await crash(from, to, { at, when })
      died = crashed.died
      expect(crashed.acknowledged).toBe(!died)
      const there = await whole(to)
      if (died) all.points++
      if (there > 0 && there < 9) all.partly++
      await using hub = await open(from)
      const receipt = await hub.copyTo(to)
      expect(receipt).toMatchObject({ documents: 9 - there, skipped: there })
      expect(await whole(to)).toBe(9)
      expect(await hub.copyTo(to)).toMatchObject({ documents: 0, skipped: 9, chunks: 0, bytes: 0 })
      if (at % 5 === 0 || !died) await noLeaks(to)
      await rm(to, { recursive: true })
      if (!died) break
    }
  }
  console.log(JSON.stringify(all))
  expect(all.points).toBeGreaterThan(15)
  expect(all.partly).toBeGreaterThan(3)
})
