import { execFileSync } from 'node:child_process'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isHubError } from '@tensorhub/core'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { COLLECTIONS, namedKeys, openReal, type RealStore } from './real-store.ts'
import { noise } from './store.ts'

const KIB = 1024
const mount = join(tmpdir(), `tensorhub-full-${process.pid}`)

function mounted(size: string): boolean {
  try {
    execFileSync('mkdir', ['-p', mount])
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', mount], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const canMount = mounted('2m')
if (canMount) execFileSync('umount', [mount])
afterEach(async () => {
  execFileSync('umount', ['-q', mount])
  for (const end of ['', '-wal', '-shm']) await rm(`${mount}.db${end}`, { force: true })
})
afterAll(() => rm(mount, { recursive: true, force: true }))

const problems = async (store: RealStore) =>
  (await store.content.check({ collections: COLLECTIONS, readData: true })).problems

describe.runIf(canMount)('a full disk (F10; a tmpfs of 2 MiB; runs where the user may mount)', () => {
  it('20 sizes around the limit: STORAGE_FULL, the index unchanged, old data readable, and the same call succeeds when there is room', async () => {
    expect(mounted('2m')).toBe(true)
    await using store = await openReal(mount, { file: `${mount}.db` })
    const old = noise(300 * KIB, 1)
    await store.save('old', { old })
    const filler = join(mount, 'of-another-program')
    let full = 0
    let fits = 0
    for (let n = 0; n < 20; n++) {
      await writeFile(filler, new Uint8Array(1000 * KIB))
      // 300 + 1000 KiB are taken; about 740 KiB are left.
      const size = (500 + n * 25) * KIB
      const value = { a: noise(size / 2, 100 + n), b: noise(size / 2, 200 + n), file: n }
      const save = () =>
        n % 2 === 0 ? store.save(`new-${n}`, value) : store.save(`new-${n}`, new Blob([value.a, value.b]))
      try {
        await save()
        fits++
      } catch (error) {
        full++
        expect(error).toMatchObject({ code: 'STORAGE_FULL', retryable: true, at: { scheme: 'fs' } })
        expect((await store.docs()).map((doc) => doc._id)).toEqual(['old'])
        expect(await problems(store)).toEqual([])
        expect(await store.content.load((await store.docs())[0]?.content as never)).toStrictEqual({ old })
        await rm(filler)
        await save()
      }
      const saved = (await store.docs()).find((doc) => doc._id === `new-${n}`)
      const loaded = await store.content.load(saved?.content as never)
      if (n % 2 === 0) expect(loaded).toStrictEqual(value)
      else expect(Buffer.compare(loaded as Uint8Array, Buffer.concat([bytes(value.a), bytes(value.b)]))).toBe(0)
      await store.index.delete('things', { op: 'eq', path: ['_id'], value: `new-${n}` })
      await store.collect()
      expect(await store.keys()).toEqual(await namedKeys(store))
      expect(await readdir(join(mount, 'blobs', '#staging'))).toEqual([])
    }
    expect(full).toBeGreaterThan(3)
    expect(fits).toBeGreaterThan(3)
  })

  it('with the index on the same disk: always STORAGE_FULL, and the hub that is opened then has all that was acknowledged', async () => {
    expect(mounted('3m')).toBe(true)
    const acknowledged: string[] = []
    {
      await using store = await openReal(mount)
      for (let n = 0, refused = 0; refused < 12; n++) {
        try {
          await store.save(`doc-${n}`, {
            w: noise(((n * 37) % 90) * KIB + 66 * KIB, n),
            note: 'n'.repeat((n * 911) % 20_000),
          })
          acknowledged.push(`doc-${n}`)
        } catch (error) {
          if (!isHubError(error, 'STORAGE_FULL')) throw error
          refused++
        }
      }
      expect(acknowledged.length).toBeGreaterThan(5)
      expect((await store.docs()).map((doc) => doc._id).sort()).toEqual([...acknowledged].sort())
    }
    await using store = await openReal(mount)
    expect((await store.docs()).map((doc) => doc._id).sort()).toEqual([...acknowledged].sort())
    expect(await problems(store)).toEqual([])
  })
})

function bytes(array: Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}
