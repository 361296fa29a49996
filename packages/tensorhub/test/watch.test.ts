import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { temporaryHub } from './temporary-hub.ts'

const PROGRAM = fileURLToPath(new URL('./watch-process.ts', import.meta.url))

/** How the program that watches `target` ended. */
function watching(target: string): Promise<{ code: number | null; printed: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [PROGRAM, target], (_error, printed) =>
      resolve({ code: child.exitCode, printed }),
    )
  })
}

describe('a program that only watches', { timeout: 120_000 }, () => {
  it('lives until an event comes, and ends after its loop, though it closed nothing', async () => {
    const hub = await temporaryHub()
    let ended: { code: number | null; printed: string } | undefined
    const child = watching(hub.folder).then((end) => {
      ended = end
    })
    while (ended === undefined) {
      await hub.saveTrainingLog({})
      await Promise.race([child, delay(100)])
    }
    expect(ended).toEqual({ code: 0, printed: 'insert\n' })
  })

  it('lives also on a driver whose waiting keeps nothing alive', async () => {
    expect(await watching('memory:')).toEqual({ code: 0, printed: 'insert\n' })
  })
})
