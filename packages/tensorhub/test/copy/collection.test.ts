import { expect, it } from 'vitest'
import { fastBlobs, fastIndex } from '../../../content/test/processes/fast-clock.ts'
import { TensorHub } from '../../src/index.ts'
import { embeddedDrivers } from '../faults/embedded-stores.ts'
import { newFolder } from '../suite/store-pair.ts'
import { LARGE, noise } from '../suite/values.ts'

/** A day of the destination's time in 0.4 seconds: pins lapse while chunks are on their way. */
const SCALE = (24 * 3600) / 0.4

it('collectors at the destination beside copies, its day 0.4 s long: no document misses a chunk', {
  timeout: 600_000,
}, async () => {
  const from = await newFolder()
  await using hub = await TensorHub.connect(from, { projectName: 'tutorial', collect: false })
  const values = Array.from({ length: 24 }, (_, i) => ({ shared: noise(LARGE, i % 3), own: noise(LARGE, 100 + i) }))
  for (const [i, value] of values.entries()) await hub.saveDataset(value, `d${i}`)
  const drivers = embeddedDrivers(await newFolder())
  await using destination = await TensorHub.connect({
    index: fastIndex(SCALE)(drivers.index),
    blobs: fastBlobs(SCALE)(drivers.blobs),
    projectName: 'tutorial',
  })
  let going = true
  let freed = 0
  const collecting = (async () => {
    while (going) {
      freed += (await destination.gc()).freed
      await new Promise((turn) => setTimeout(turn, 20))
    }
  })()
  const end = performance.now() + 6000
  let copied = 0
  for (let round = 0; performance.now() < end; round++) {
    try {
      copied += (await hub.copyTo(destination)).documents
    } catch (error) {
      // A copy that was too slow for such short days may be told to begin again.
      expect(error).toMatchObject({ code: 'CONFLICT', retryable: true })
    }
    // So that there is something to copy, and something to collect.
    await destination.datasets.delete({ dataset_name: { $in: [0, 1, 7].map((n) => `d${(round + n) % 24}`) } })
    // At once, when the chunks are still pinned; and so late that they are being collected, or gone.
    await new Promise((turn) => setTimeout(turn, (round % 4) * 250))
  }
  for (let tries = 0; ; tries++) {
    try {
      copied += (await hub.copyTo(destination)).documents
      break
    } catch (error) {
      if (tries > 50) throw error
    }
  }
  going = false
  await collecting
  expect(copied).toBeGreaterThan(30)
  expect(freed).toBeGreaterThan(0)
  expect((await destination.check({ readData: true })).problems).toEqual([])
  for (const [i, value] of values.entries()) expect(await destination.findTopDataset(`d${i}`)).toStrictEqual(value)
  console.log(JSON.stringify({ copied, freed }))
})
