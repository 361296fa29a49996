import { mkdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { collectAll } from '../suite/receipts.ts'
import { noise } from '../suite/values.ts'
import { smallDisk } from './small-disk.ts'

const MIB = 1024 * 1024

/** Fills what is left of a disk. @returns the file, to be removed again. */
async function fill(folder: string): Promise<string> {
  const file = join(folder, 'ballast')
  for (const piece of [64 * 1024, 4096]) {
    try {
      for (;;) await writeFile(file, new Uint8Array(piece), { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  return file
}

describe('F10: a full disk', () => {
  it.for([0, 1, 2])(
    'saves fail with STORAGE_FULL, what was there is whole, and after freeing space they succeed (size %i)',
    async (extra, test) => {
      await using disk = await mounted(12 * MIB + extra * 300 * 1024, test)
      const hub = await TensorHub.connect(join(disk.folder, 'hub'), { projectName: 'tutorial', collect: false })
      try {
        const stored: number[] = []
        for (let i = 0; ; i++) {
          try {
            await hub.saveDataset({ i, data: noise(MIB, i + 1) }, 'numbers', { i })
            stored.push(i)
          } catch (error) {
            expect(error).toMatchObject({ code: 'STORAGE_FULL', message: expect.stringMatching(/space|full/i) })
            break
          }
        }
        expect(stored.length).toBeGreaterThan(3)
        expect(await hub.datasets.count()).toBe(stored.length)
        for (const i of stored)
          expect(await hub.findTopDataset('numbers', { i })).toStrictEqual({ i, data: noise(MIB, i + 1) })
        expect((await hub.check({ readData: true })).problems).toEqual([])
        expect(await hub.deleteDatasets({ i: { $lte: 2 } })).toEqual({ documents: 3, blobs: 3, bytes: 3 * MIB })
        await collectAll(hub)
        const next = stored.length
        await hub.saveDataset({ i: next, data: noise(MIB, next + 1) }, 'numbers', { i: next })
        expect(await hub.findTopDataset('numbers')).toStrictEqual({ i: next, data: noise(MIB, next + 1) })
        expect((await hub.check({ readData: true })).problems).toEqual([])
      } finally {
        await hub.close()
      }
    },
  )

  it('logs and deletes on a disk without a byte left', async (test) => {
    await using disk = await mounted(6 * MIB, test)
    const hub = await TensorHub.connect(join(disk.folder, 'hub'), { projectName: 'tutorial', collect: false })
    try {
      await hub.saveTrainingLog({ step: 0 })
      const ballast = await fill(disk.folder)
      let acknowledged = 1
      let failure: unknown
      // The database's log file has room in its last page, and takes what fits.
      for (let step = 1; failure === undefined; step++) {
        try {
          await hub.saveTrainingLog({ step, text: 'x'.repeat(2000) })
          acknowledged++
        } catch (error) {
          failure = error
        }
      }
      expect(failure).toMatchObject({ code: 'STORAGE_FULL' })
      expect((await hub.findTrainingLogs()).map((log) => log.step)).toEqual(
        Array.from({ length: acknowledged }, (_, i) => i),
      )
      await unlink(ballast)
      await hub.saveTrainingLog({ step: 'again' })
      expect(await hub.logs.count()).toBe(acknowledged + 1)
    } finally {
      await hub.close()
    }
  })

  it('a hub that cannot even be made says so, and can be made once there is room', async (test) => {
    await using disk = await mounted(2 * MIB, test)
    const folder = join(disk.folder, 'hub')
    await mkdir(folder)
    const ballast = await fill(disk.folder)
    await expect(TensorHub.connect(folder, { projectName: 'tutorial' })).rejects.toMatchObject({ code: 'STORAGE_FULL' })
    await unlink(ballast)
    await using hub = await TensorHub.connect(folder, { projectName: 'tutorial' })
    await hub.saveTrainingLog({ step: 1 })
    expect(await hub.logs.count()).toBe(1)
  })
})

/** A disk, or the end of the test with the machine's reason. */
async function mounted(bytes: number, test: TestContext): Promise<{ folder: string } & AsyncDisposable> {
  const disk = await smallDisk(bytes)
  if ('reason' in disk) test.skip(`This test needs a real full disk, and ${disk.reason}`)
  return disk as Exclude<typeof disk, { reason: string }>
}
