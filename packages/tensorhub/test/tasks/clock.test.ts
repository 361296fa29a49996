import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { shiftedClock } from '../faults/shifted-clock.ts'
import { temporaryFolder } from '../temporary-hub.ts'
import { script } from './script-folder.ts'

const HOUR = 3_600_000

describe('F17: the clock of a runner means nothing, that of the store everything', { timeout: 60_000 }, () => {
  it.each([2 * HOUR, -2 * HOUR])('a store that is %i ms ahead of its runners', async (ahead) => {
    let attempts = 0
    const hub = await TensorHub.connect({
      index: shiftedClock(memoryIndex(), ahead),
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: {
        handlers: {
          t: async () => {
            attempts++
            await new Promise((resolve) => setTimeout(resolve, 300))
            // Others look for expired leases all the time.
            expect(await hub.runTopTask('t')).toBe(false)
            return {}
          },
        },
      },
    })
    const storeNow = Date.now() + ahead
    const path = await script('export default () => ({})')
    await hub.createTask('t', path, { notBefore: new Date(storeNow + HOUR / 2), later: true })
    await hub.createTask('t', path, { notBefore: new Date(storeNow - 1000), lease: 10_000 })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', attempt: 1 })
    expect(attempts).toBe(1)
    const task = await hub.tasks.top({ later: { $exists: false } })
    for (const field of ['time', 'started_at', 'heartbeat_at', 'finished_at'])
      expect(Math.abs(Number(task?.[field]) - storeNow), field).toBeLessThan(HOUR / 2)
    expect(await hub.runTopTask('t')).toBe(false)
    expect(await hub.tasks.top({ later: true })).toMatchObject({ status: 'pending', attempts: 0 })
    await hub.close()
  })
})
