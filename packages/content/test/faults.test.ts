import { readFile, truncate, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ManifestChunk } from '../src/index.ts'
import { random } from './simulation/scheduler.ts'
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

  it('one random bit flipped in each of 500 chunks (F13): all found by reading and by check, none besides', async () => {
    const store = await openStore()
    const seed = Date.now() % 1_000_000
    console.log(`seed ${seed}`)
    const chance = random(seed)
    const docs = []
    for (let n = 0; n < 500; n++) {
      const compressible = () => {
        const data = new Uint8Array(70_000).map((_, i) => (i >> 5) % 7)
        data.set([n & 255, n >> 8])
        return { dtype: 'uint8', shape: [data.length], data }
      }
      docs.push(await store.save(n % 2 === 0 ? noise(66_000, n + 1) : compressible()))
    }
    const chunks = docs.map((doc) => doc.content.chunks[0] as ManifestChunk)
    expect(new Set(chunks.map((chunk) => chunk.key)).size).toBe(500)
    const check = () => store.content.check({ collections: ['things'], readData: true })
    expect((await check()).problems).toEqual([])
    // Half of them first: the others must not be blamed.
    for (const half of [0, 1]) {
      for (const [i, chunk] of chunks.entries()) {
        if (i % 2 !== half) continue
        const path = fileOf(store, chunk)
        const bytes = await readFile(path)
        const bit = Math.floor(chance() * bytes.length * 8)
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
        await writeFile(path, bytes)
      }
      const damaged = docs.filter((_, i) => half === 1 || i % 2 === 0)
      expect((await check()).problems.map((problem) => problem._id).sort()).toEqual(
        damaged.map((doc) => doc._id).sort(),
      )
      let found = 0
      for (const doc of docs) {
        const error: unknown = await store.content.load(doc.content).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        if (error === undefined) continue
        expect(error).toMatchObject({ code: 'INTEGRITY', at: { target: doc.content.chunks[0]?.key } })
        found++
      }
      expect(found).toBe(damaged.length)
    }
  })

  it('a document that is deleted with its chunks while it is checked is no problem', async () => {
    const store = await openStore(
      undefined,
      (driver) =>
        new Proxy(driver, {
          get(target, name) {
            const member: unknown = Reflect.get(target, name, target)
            if (name !== 'stat') return typeof member === 'function' ? member.bind(target) : member
            return async (...args: Parameters<typeof driver.stat>) => {
              await store.index.delete('things', { op: 'everything' })
              await target.delete([args[0]], {})
              return target.stat(...args)
            }
          },
        }),
    )
    await store.save(noise(MIB, 1))
    expect(await store.content.check({ collections: ['things'] })).toMatchObject({ chunks: 1, problems: [] })
  })

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
  const value = () => ({
    ...Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`t${i}`, noise(MIB, i + 1)])),
    small: 1,
  })
  async function* file(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let i = 0; i < 5; i++) yield new Uint8Array(noise(MIB, i + 10).buffer)
  }

  // The signal aborts as the n-th call of either store begins, for every n until the save is through.
  it.each<[string, () => unknown]>([
    ['value', value],
    ['file', file],
    ['inside', () => [1]],
  ])(
    'at any call of the stores, %s: ABORTED and nothing to see, or saved whole; a later save works, leaks are collected',
    async (name, make) => {
      let aborted = 0
      for (let stopAt = 1, through = false; !through; stopAt++) {
        const stop = new AbortController()
        let calls = 0
        const counted = <D extends object>(driver: D): D =>
          new Proxy(driver, {
            get(target, name) {
              const member: unknown = Reflect.get(target, name, target)
              if (typeof member !== 'function' || ['open', 'close', 'exact', 'native'].includes(String(name)))
                return typeof member === 'function' ? member.bind(target) : member
              return (...args: unknown[]): unknown => {
                if (++calls === stopAt) stop.abort(new Error('the user left'))
                return Reflect.apply(member, target, args)
              }
            },
          })
        const store = await openStore(undefined, counted, counted)
        const outcome = await store.save(make(), { signal: stop.signal }).then(
          () => undefined,
          (error: unknown) => error,
        )
        through = calls < stopAt
        const documents = await store.index.count('things', { op: 'everything' })
        if (outcome === undefined) expect(documents).toBe(1)
        else {
          aborted++
          expect(outcome).toMatchObject({ code: 'ABORTED', name: 'AbortError' })
          expect(documents).toBe(0)
        }
        const doc = await store.save(make())
        if (make !== file) expect(await store.content.load(doc.content)).toStrictEqual(make())
        await store.index.delete('things', { op: 'everything' })
        for (let i = 0; i < 4; i++) {
          await new Promise((turn) => setTimeout(turn, 3))
          await store.content.gc({ collections: ['things'], grace: 0, allowShortGrace: true })
        }
        expect(await store.files()).toEqual([])
      }
      // A value inside its document is one call, which is not interrupted.
      expect(aborted > 0).toBe(name !== 'inside')
    },
  )

  it('a silent source does not hold an aborted save, and is told to stop', async () => {
    const store = await openStore()
    const stop = new AbortController()
    let cancelled: unknown
    const silent = new ReadableStream<Uint8Array>({
      pull: () => new Promise(() => undefined),
      cancel: (reason) => {
        cancelled = reason
      },
    })
    const save = store.save(silent, { signal: stop.signal })
    setTimeout(() => stop.abort(new Error('the user left')), 20)
    await expect(save).rejects.toMatchObject({ code: 'ABORTED' })
    expect(cancelled).toBeDefined()
    expect(await store.index.count('things', { op: 'everything' })).toBe(0)
  })

  it('a load stops, at the beginning and half-way, as a whole and as a stream', async () => {
    const store = await openStore()
    const doc = await store.save({ a: noise(8 * MIB, 1), b: noise(8 * MIB, 2) })
    await expect(store.content.load(doc.content, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    })
    const stop = new AbortController()
    const load = store.content.load(doc.content, { signal: stop.signal, onProgress: () => stop.abort() })
    await expect(load).rejects.toMatchObject({ code: 'ABORTED' })
    const saved = await store.save(file())
    const half = new AbortController()
    const reader = store.content.stream(saved.content, { signal: half.signal }).getReader()
    await reader.read()
    half.abort()
    await expect(
      (async () => {
        for (;;) if ((await reader.read()).done) return
      })(),
    ).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

it('what an interrupted write left is counted by check, freed by a collection, and damages nothing', async () => {
  const store = await openStore()
  await store.save(noise(MIB, 1))
  const left = join(store.folder, '#staging', 'left')
  await writeFile(left, new Uint8Array(1234))
  const check = (grace?: number) =>
    store.content.check({ collections: ['things'], ...(grace === undefined ? {} : { grace }) })
  // What is young may still be written.
  expect(await check()).toMatchObject({ problems: [], leftovers: { count: 0, bytes: 0 } })
  const twoDays = new Date(Date.now() - 48 * 60 * 60 * 1000)
  await utimes(left, twoDays, twoDays)
  expect(await check()).toMatchObject({ problems: [], leftovers: { count: 1, bytes: 1234 } })
  expect(await check(72 * 60 * 60 * 1000)).toMatchObject({ leftovers: { count: 0, bytes: 0 } })
  await expect(check(-1)).rejects.toMatchObject({ code: 'INVALID', path: 'grace' })
  expect(await store.content.gc({ collections: ['things'] })).toMatchObject({ freed: 1, bytes: 1234 })
  expect(await check()).toMatchObject({ problems: [], leftovers: { count: 0, bytes: 0 } })
})
