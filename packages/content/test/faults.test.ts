import { execFileSync } from 'node:child_process'
import { readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ManifestChunk } from '../src/index.ts'
import { MIB, noise, openStore } from './store.ts'

/** The fs driver's file of a chunk: keys in lower case get the ending `.b`. */
function fileOf(store: { folder: string }, chunk: ManifestChunk): string {
  return join(store.folder, `${chunk.key}.b`)
}

describe('damaged chunks (F12, F13)', () => {
  const lengths: [string, (size: number) => number][] = [
    ['0', () => 0],
    ['1', () => 1],
    ['half', (size) => size >> 1],
    ['all but one', (size) => size - 1],
  ]
  for (const compressible of [false, true]) {
    const value = () =>
      compressible
        ? { dtype: 'uint8', shape: [MIB], data: new Uint8Array(MIB).map((_, i) => (i >> 6) % 7) }
        : noise(MIB, 1)
    const kind = compressible ? 'zstd' : 'raw'
    it.each(lengths)(`${kind} cut to %s bytes: INTEGRITY naming the key`, async (_name, length) => {
      const store = await openStore()
      const doc = await store.save(value())
      const chunk = doc.content.chunks[0] as ManifestChunk
      expect(chunk.key.endsWith(kind)).toBe(true)
      await truncate(fileOf(store, chunk), length(chunk.stored))
      await expect(store.content.load(doc.content)).rejects.toMatchObject({
        code: 'INTEGRITY',
        at: { target: chunk.key },
      })
      expect((await store.content.check({ collections: ['things'] })).problems).toMatchObject([
        { _id: doc._id, key: chunk.key, code: 'INTEGRITY' },
      ])
    })

    it(`${kind} with one bit flipped anywhere: INTEGRITY, and check({ readData }) finds it`, async () => {
      const store = await openStore()
      const doc = await store.save(value())
      const chunk = doc.content.chunks[0] as ManifestChunk
      const path = fileOf(store, chunk)
      const good = await readFile(path)
      for (let n = 0; n < 40; n++) {
        const bit = Math.floor(((n + 0.5) / 40) * good.length * 8)
        const bad = Buffer.from(good)
        bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
        await writeFile(path, bad)
        await expect(store.content.load(doc.content)).rejects.toMatchObject({ code: 'INTEGRITY' })
      }
      expect((await store.content.check({ collections: ['things'], readData: true })).problems).toMatchObject([
        { key: chunk.key, code: 'INTEGRITY' },
      ])
      await writeFile(path, good)
      expect((await store.content.check({ collections: ['things'], readData: true })).problems).toEqual([])
    })
  }

  it('a missing chunk, a missing row', async () => {
    const store = await openStore()
    const doc = await store.save(noise(MIB, 1))
    const chunk = doc.content.chunks[0] as ManifestChunk
    await store.index.delete('_chunks', { op: 'everything' })
    expect((await store.content.check({ collections: ['things'] })).problems).toMatchObject([
      { code: 'INTEGRITY', key: chunk.key },
    ])
    // Even then collection spares what a document names.
    await store.content.gc({ collections: ['things'], grace: 0, allowShortGrace: true })
    expect(await store.content.load(doc.content)).toEqual(noise(MIB, 1))
    await unlink(fileOf(store, chunk))
    await expect(store.content.load(doc.content)).rejects.toMatchObject({
      code: 'INTEGRITY',
      at: { target: chunk.key },
    })
  })
})

describe('abort', () => {
  it('at any call of the blob store: nothing to see, and a later save works', async () => {
    for (let stopAt = 1; stopAt <= 8; stopAt++) {
      const stop = new AbortController()
      let calls = 0
      const store = await openStore(undefined, (driver) => {
        const writeBytes = driver.writeBytes?.bind(driver)
        return Object.assign(driver, {
          writeBytes: async (...args: Parameters<NonNullable<typeof writeBytes>>) => {
            if (++calls === stopAt) stop.abort(new Error('the user left'))
            return writeBytes?.(...args)
          },
        })
      })
      const value = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`t${i}`, noise(MIB, i + 1)]))
      await expect(store.save(value, { signal: stop.signal })).rejects.toMatchObject({ code: 'ABORTED' })
      expect(await store.index.count('things', { op: 'everything' })).toBe(0)
      const doc = await store.save(value)
      expect(await store.content.load(doc.content)).toStrictEqual(value)
    }
  })

  it('a load stops', async () => {
    const store = await openStore()
    const doc = await store.save(noise(8 * MIB, 1))
    await expect(store.content.load(doc.content, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })
})

const tmpfs = mountTmpfs()
/** A file system of 24 MiB, where this user may mount one. */
function mountTmpfs(): string | undefined {
  const folder = `/tmp/tensorhub-full-${process.pid}`
  try {
    execFileSync('mkdir', ['-p', folder])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder], { stdio: 'ignore' })
    return folder
  } catch {
    return undefined
  }
}

describe.runIf(tmpfs !== undefined)('a full disk (a tmpfs of 24 MiB; runs where the user may mount)', () => {
  it('STORAGE_FULL, nothing lost, and it works again when there is room', async () => {
    const folder = tmpfs as string
    try {
      const store = await openStore(join(folder, 'blobs'))
      const first = await store.save(noise(8 * MIB, 1))
      await expect(store.save({ a: noise(10 * MIB, 2), b: noise(10 * MIB, 3) })).rejects.toMatchObject({
        code: 'STORAGE_FULL',
      })
      expect(await store.index.count('things', { op: 'everything' })).toBe(1)
      expect(await store.content.load(first.content)).toEqual(noise(8 * MIB, 1))
      expect((await store.content.check({ collections: ['things'], readData: true })).problems).toEqual([])
      await new Promise((turn) => setTimeout(turn, 5))
      for (let i = 0; i < 3; i++) await store.content.gc({ collections: ['things'], grace: 0, allowShortGrace: true })
      const next = await store.save(noise(10 * MIB, 2))
      expect(await store.content.load(next.content)).toEqual(noise(10 * MIB, 2))
    } finally {
      execFileSync('umount', [folder])
      await rm(folder, { recursive: true, force: true })
    }
  })
})
