import { describe, expect, it } from 'vitest'
import { MIB, noise, openStore } from './store.ts'
import { everyKind } from './values.ts'

describe('saving and loading', () => {
  it('every kind of value, small (inline) and large (chunks)', async () => {
    const store = await openStore()
    const small = await store.save({ a: [1, 2], when: new Date(5) })
    expect(small.content.inline).toBeDefined()
    expect(await store.files()).toEqual([])
    expect(await store.content.load(small.content)).toStrictEqual({ a: [1, 2], when: new Date(5) })
    const value = { ...everyKind(), big: noise(MIB, 1), text: 'x'.repeat(50_000) }
    const doc = await store.save(value)
    expect(doc.content.inline).toBeUndefined()
    expect(await store.content.load(doc.content)).toStrictEqual(value)
    expect((await store.content.check({ collections: ['things'], readData: true })).problems).toEqual([])
  })

  it('100 MiB with hashing on threads, progress that rises to the total', async () => {
    const store = await openStore()
    const value = { w: noise(60 * MIB, 1), v: noise(40 * MIB, 2) }
    const told: number[] = []
    const doc = await store.save(value, { onProgress: (p) => told.push(p.bytes) })
    expect(told).toEqual([...told].sort((a, b) => a - b))
    expect(told.at(-1)).toBe(100 * MIB)
    const back = (await store.content.load(doc.content)) as typeof value
    expect(Buffer.compare(Buffer.from(back.w.buffer), Buffer.from(value.w.buffer))).toBe(0)
    expect(Buffer.compare(Buffer.from(back.v.buffer), Buffer.from(value.v.buffer))).toBe(0)
    const before = await store.files()
    const again = await store.save(value)
    expect(await store.files()).toEqual(before)
    expect(again.content.chunks).toEqual(doc.content.chunks)
  })

  it('a tensor that did not change costs nothing', async () => {
    const store = await openStore()
    const frozen = noise(4 * MIB, 1)
    await store.save({ frozen, head: noise(MIB, 2) })
    const before = (await store.files()).length
    const next = await store.save({ frozen, head: noise(MIB, 3) })
    expect((await store.files()).length).toBe(before + 1)
    const named = new Map((await store.content.blobsOf(next, {})).map(({ key, stored }) => [key, stored]))
    await store.index.delete('things', { op: 'eq', path: ['_id'], value: next._id })
    expect(await store.content.unnamed(named, { collections: ['things'] })).toEqual({ blobs: 1, bytes: MIB })
  })

  it('compresses what compresses', async () => {
    const store = await openStore()
    const labels = { dtype: 'uint8', shape: [MIB], data: new Uint8Array(MIB).map((_, i) => (i >> 8) % 10) }
    const doc = await store.save(labels)
    expect(doc.content.chunks[0]?.key).toMatch(/\.zstd$/)
    expect(doc.content.stored).toBeLessThan(MIB / 10)
    expect(await store.content.load(doc.content)).toStrictEqual(labels)
  })

  it('small tensors share a chunk', async () => {
    const store = await openStore()
    const layers = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`l${i}`, noise(1004, i)]))
    const doc = await store.save(layers)
    expect(doc.content.chunks.length).toBe(1)
    expect(await store.content.load(doc.content)).toStrictEqual(layers)
  })

  it('a manifest too large for its document is a blob of its own, and is collected with it', async () => {
    const store = await openStore()
    const many = Object.fromEntries(Array.from({ length: 6000 }, (_, i) => [`layer-${i}`, new Float32Array([i])]))
    const doc = await store.save(many)
    expect(doc.content).toHaveProperty('manifest.key')
    expect((await store.files()).some((key) => key.startsWith('m/'))).toBe(true)
    expect(await store.content.load(doc.content)).toStrictEqual(many)
    await store.content.gc({ collections: ['things'], grace: 0, allowShortGrace: true })
    expect(await store.content.load(doc.content)).toStrictEqual(many)
    await store.index.delete('things', { op: 'everything' })
    for (let i = 0; i < 3; i++) {
      await new Promise((turn) => setTimeout(turn, 2))
      await store.content.gc({ collections: ['things'], grace: 0, allowShortGrace: true })
    }
    expect(await store.files()).toEqual([])
    expect(await store.index.count('_chunks', { op: 'everything' })).toBe(0)
  })

  it('a grace below an hour needs saying so; a dry run deletes nothing', async () => {
    const store = await openStore()
    await expect(store.content.gc({ collections: ['things'], grace: 1000 })).rejects.toMatchObject({
      code: 'INVALID',
      path: 'grace',
    })
    await store.save(noise(MIB, 1))
    await store.index.delete('things', { op: 'everything' })
    await new Promise((turn) => setTimeout(turn, 2))
    const report = await store.content.gc({ collections: ['things'], grace: 0, allowShortGrace: true, dryRun: true })
    expect(report.condemned).toBe(1)
    expect((await store.files()).length).toBe(1)
  })

  it('an unknown version is refused by name', async () => {
    const store = await openStore()
    const doc = await store.save([1])
    await expect(
      store.content.load(JSON.parse(JSON.stringify(doc.content).replace('"v":1', '"v":2'))),
    ).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  })
})

describe('rows', () => {
  it('of a value that is kept in its document are those of a large one', async () => {
    const store = await openStore()
    const value = (rows: number) => ({
      name: 'xy',
      x: { dtype: 'float32' as const, shape: [rows, 2], data: new Float32Array(rows * 2).map((_, i) => i) },
      // Short lists of numbers belong to the structure.
      size: [28, 28, 1],
      z: new BigInt64Array(rows).map((_, i) => BigInt(i)),
    })
    const [small, large] = [await store.save(value(8)), await store.save(value(5000))]
    expect(small.content.inline).toBeDefined()
    expect(large.content.inline).toBeUndefined()
    for (const options of [
      { start: 2, end: 5 },
      { start: 0, end: 0 },
      { start: 1, end: 3, tensor: 't/0' },
      { start: 1, end: 3, tensor: 1 },
    ]) {
      expect(await store.content.rows(small.content, options)).toStrictEqual(
        await store.content.rows(large.content, options),
      )
    }
    expect(await store.content.rows(small.content, { start: 6, end: 99 })).toStrictEqual({
      name: 'xy',
      x: { dtype: 'float32', shape: [2, 2], data: new Float32Array([12, 13, 14, 15]) },
      size: [28, 28, 1],
      z: new BigInt64Array([6n, 7n]),
    })
    await expect(store.content.rows(small.content, { start: 0, end: 1, tensor: 9 })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    const file = await store.save(new Blob([new Uint8Array(20_000)]))
    await expect(store.content.rows(file.content, { start: 0, end: 1 })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('opaque file'),
    })
  })

  const ROWS = 20_000
  const WIDTH = 784
  it('a range of rows reads only its chunks; a contiguous 1 % change stores 1–2 %', async () => {
    const store = await openStore()
    const images = { dtype: 'float32' as const, shape: [ROWS, WIDTH], data: noise(ROWS * WIDTH * 4, 1) }
    const labels = new Uint8Array(ROWS).map((_, i) => i % 10)
    const doc = await store.save({ images, labels })
    const part = (await store.content.rows(doc.content, { start: 150, end: 160 })) as {
      images: typeof images
      labels: Uint8Array
    }
    expect(part.images.shape).toEqual([10, WIDTH])
    expect(part.images.data).toEqual(images.data.slice(150 * WIDTH, 160 * WIDTH))
    expect(part.labels).toEqual(labels.slice(150, 160))
    expect(await store.content.rows(doc.content, { start: ROWS - 1, end: ROWS + 5, tensor: 't/0' })).toMatchObject({
      shape: [1, WIDTH],
    })

    images.data.set(noise((ROWS / 100) * WIDTH * 4, 2), 5000 * WIDTH)
    const changed = await store.save({ images, labels })
    const known = new Set(doc.content.chunks.map((chunk) => chunk.key))
    const added = changed.content.chunks
      .filter((chunk) => !known.has(chunk.key))
      .reduce((sum, chunk) => sum + chunk.stored, 0)
    expect(added / changed.content.stored).toBeGreaterThan(0.009)
    expect(added / changed.content.stored).toBeLessThan(0.025)
  })
})

describe('opaque files', () => {
  async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }

  it('streams in and out; an insertion in the middle stores only its neighbourhood', async () => {
    const store = await openStore()
    const bytes = new Uint8Array(noise(40 * MIB, 3).buffer)
    const doc = await store.save(pieces(bytes, 77_777))
    expect(doc.content.format).toBe('file')
    const out: Uint8Array[] = []
    for await (const piece of store.content.stream(doc.content)) out.push(piece)
    expect(Buffer.compare(Buffer.concat(out), bytes)).toBe(0)
    const longer = Buffer.concat([bytes.subarray(0, 20 * MIB), Buffer.from('inserted'), bytes.subarray(20 * MIB)])
    const next = await store.save(new Blob([longer]))
    const known = new Set(doc.content.chunks.map((chunk) => chunk.id))
    const fresh = next.content.chunks.filter((chunk) => !known.has(chunk.id))
    expect(fresh.length).toBeLessThanOrEqual(3)
    expect(Buffer.compare((await store.content.load(next.content)) as Uint8Array, longer)).toBe(0)
  })

  it('an empty file is a file', async () => {
    const store = await openStore()
    const doc = await store.save(new Blob([]))
    expect(await store.content.load(doc.content)).toEqual(new Uint8Array(0))
  })

  it('a source that fails leaves nothing to see', async () => {
    const store = await openStore()
    async function* broken() {
      yield new Uint8Array(3 * MIB)
      throw new Error('the camera was unplugged')
    }
    await expect(store.save(broken())).rejects.toThrow('unplugged')
    expect(await store.index.count('things', { op: 'everything' })).toBe(0)
  })
})
