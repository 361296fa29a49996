import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { newFolder } from '../suite/store-pair.ts'
import { prepare, SCENARIOS } from './crash-scenarios.ts'
import { crash, goesOn, holds } from './crashed-hub.ts'
import { MOMENTS } from './killing-stores.ts'
import { largeScript } from './large-script.ts'
import { FULL } from './scale.ts'

/** A kill loses nothing of what the kernel holds, so a file system in memory shows the same as a disk, without waiting for one. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
/** The moments at one change: all of them, or by turns. (Before a change is after the one before it, but for what runs beside.) */
const momentsAt = (at: number) => (FULL ? MOMENTS : [at % 2 === 1 ? ('during' as const) : ('after' as const)])
/** The stores of an embedded hub's folder. */
const urlsOf = (folder: string) => ({
  index: `sqlite://${join(folder, 'index.db')}`,
  blobs: pathToFileURL(join(folder, 'blobs')).href,
})
/** Those of tasks are held in tasks/crashes.test.ts. */
const OF_CONTENT = Object.keys(SCENARIOS).filter((name) => !name.endsWith('task'))

describe('F6, B17: a process killed at every change of a store', { timeout: 600_000 }, () => {
  it.each(OF_CONTENT)('while it does: %s', async (scenario) => {
    const script = await largeScript()
    const origin = await newFolder()
    const prepared = await TensorHub.connect(origin, { projectName: 'tutorial', collect: false })
    await prepare(prepared, script)
    await prepared.close()
    const all = { points: 0, acknowledged: 0, visible: 0 }
    let died = true
    for (let at = 1; died; at++) {
      for (const when of momentsAt(at)) {
        const folder = await mkdtemp(join(MEMORY, 'tensorhub-crash-'))
        await cp(origin, folder, { recursive: true })
        const urls = urlsOf(folder)
        const crashed = await crash(urls, scenario, { at, when }, script)
        died = crashed.died
        if (died) all.points++
        if (crashed.acknowledged) all.acknowledged++
        if (await holds(urls, scenario, crashed.acknowledged)) all.visible++
        await goesOn(urls, script, FULL || !died || scenario.endsWith('its manifest a blob'))
        await rm(folder, { recursive: true })
        if (!died) break
      }
    }
    expect(all.points).toBeGreaterThan(0)
    expect(all.acknowledged).toBeGreaterThan(0)
    // A save whose document was written, and whose answer was not heard, may be seen: whole.
    if (SCENARIOS[scenario]?.saved !== undefined) expect(all.visible).toBeGreaterThanOrEqual(all.acknowledged)
  })
})
