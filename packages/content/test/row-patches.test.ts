import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FullManifest, Manifest } from '../src/index.ts'
import { random } from './simulation/scheduler.ts'
import { MIB, noise, type Opened, openStore } from './store.ts'

const WIDTH = 784
const COLLECTIONS = ['things']

/** Bytes of images, as a dataset has them: 8-bit noise. */
function images(rows: number, seed: number) {
  return {
    dtype: 'uint8' as const,
    shape: [rows, WIDTH],
    data: new Uint8Array(noise(rows * WIDTH, seed).buffer).slice(),
  }
}

function change(value: ReturnType<typeof images>, rows: Iterable<number>, seed: number) {
  const data = value.data.slice()
  let n = 0
  for (const row of rows) data.fill(((seed + n++) % 200) + 1, row * WIDTH, (row + 1) * WIDTH)
  return { ...value, data }
}

function added(before: FullManifest, after: FullManifest): number {
  const known = new Set(before.chunks.map((chunk) => chunk.key))
  return after.chunks.filter((chunk) => !known.has(chunk.key)).reduce((sum, chunk) => sum + chunk.stored, 0)
}

function sample(rows: number, share: number, seed: number): number[] {
  const chance = random(seed)
  return Array.from({ length: rows }, (_, row) => row).filter(() => chance() < share)
}

type Images = ReturnType<typeof images>

/** Millions of elements: compared as memory, not one by one. */
function expectSame(actual: unknown, expected: Images): void {
  const { data, ...rest } = actual as Images
  expect(rest).toStrictEqual({ dtype: expected.dtype, shape: expected.shape })
  expect(data).toBeInstanceOf(Uint8Array)
  expect(Buffer.compare(data, expected.data)).toBe(0)
}

async function gone(store: Opened): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await new Promise((turn) => setTimeout(turn, 3))
    await store.content.gc({ collections: COLLECTIONS, grace: 0, allowShortGrace: true })
  }
}

describe('a new version of a dataset', () => {
  const ROWS = 20_000

  it.each<[string, number[], number]>([
    ['1 % of the rows, scattered', sample(ROWS, 0.01, 1), 0.015],
    ['1 % of the rows, together', Array.from({ length: 200 }, (_, i) => 5000 + i), 0.015],
    ['one row', [7777], 0.001],
    ['nothing', [], 0],
  ])('stores what changed: %s', async (_name, rows, most) => {
    const store = await openStore()
    const first = images(ROWS, 1)
    const labels = new Uint8Array(ROWS).map((_, i) => i % 10)
    const one = await store.save({ images: first, labels })
    const second = change(first, rows, 3)
    const two = await store.save({ images: second, labels }, { base: one.content })
    expect(added(one.content, two.content) / one.content.stored).toBeLessThanOrEqual(most)
    expect(two.content.bytes).toBe(one.content.bytes)
    const expectBoth = async (content: Manifest, expected: Images) => {
      const both = (await store.content.load(content)) as { images: Images; labels: Uint8Array }
      expectSame(both.images, expected)
      expect(Buffer.compare(both.labels, labels)).toBe(0)
    }
    await expectBoth(two.content, second)
    await expectBoth(one.content, first)
    expect((await store.content.check({ collections: COLLECTIONS, readData: true })).problems).toEqual([])
    const part = (await store.content.rows(two.content, { start: 4990, end: 5300, tensor: 't/0' })) as typeof first
    expectSame(part, { ...second, shape: [310, WIDTH], data: second.data.slice(4990 * WIDTH, 5300 * WIDTH) })
    // The first version may go; what the second took over from it stays.
    await store.index.delete('things', { op: 'eq', path: ['_id'], value: one._id })
    await gone(store)
    await expectBoth(two.content, second)
  })

  it('with rows appended stores those and the slice they came behind', async () => {
    const store = await openStore()
    const first = images(ROWS, 1)
    const one = await store.save(first)
    const more = images(ROWS + 200, 1)
    more.data.set(first.data)
    const two = await store.save(more, { base: one.content })
    expect(added(one.content, two.content) / one.content.stored).toBeLessThan(0.03)
    expectSame(await store.content.load(two.content), more)
  })

  it('that is another value altogether is stored as it is', async () => {
    const store = await openStore()
    const one = await store.save(images(ROWS, 1))
    const two = await store.save(images(ROWS, 2), { base: one.content })
    expectSame(await store.content.load(two.content), images(ROWS, 2))
    const inside = { dtype: 'float32', shape: [2, 2], data: noise(16, 1) }
    const three = await store.save(inside, { base: one.content })
    expect(await store.content.load(three.content)).toStrictEqual(inside)
    const four = await store.save({ x: images(5000, 1) }, { base: three.content })
    const file = await store.save(new Blob([new Uint8Array(MIB)]), { base: four.content })
    const five = await store.save(images(ROWS, 3), { base: file.content })
    expectSame(await store.content.load(five.content), images(ROWS, 3))
  })

  it('many versions on: what one slice lies in stays few chunks, and every version stays right', async () => {
    const store = await openStore()
    let value = images(6000, 1)
    let doc = await store.save(value)
    const versions = [{ value, content: doc.content as Manifest }]
    for (let n = 1; n <= 20; n++) {
      value = change(value, sample(6000, 0.01, n), n)
      doc = await store.save(value, { base: doc.content })
      versions.push({ value, content: doc.content })
    }
    const [tensor] = doc.content.tensors
    let at = 0
    const perSlice = new Map<number, Set<number>>()
    for (const [chunk, , length] of tensor?.at ?? []) {
      const slice = Math.floor(at / 2 ** 18)
      perSlice.set(slice, (perSlice.get(slice) ?? new Set()).add(chunk))
      at += length
    }
    // A slice of whole rows is a little less than 256 KiB, so a window of that size meets two.
    for (const chunks of perSlice.values()) expect(chunks.size).toBeLessThanOrEqual(16)
    for (const version of versions) expectSame(await store.content.load(version.content), version.value)
    await store.index.delete('things', { op: 'ne', path: ['_id'], value: doc._id })
    await gone(store)
    expectSame(await store.content.load(doc.content), value)
    const named = new Set((await store.content.blobsOf(doc, {})).map((blob) => blob.key))
    expect(await store.files()).toEqual([...named].sort())
  })

  it('whose base is gone, or damaged, is stored whole', async () => {
    const store = await openStore()
    const first = images(ROWS, 1)
    const one = await store.save(first)
    await store.index.delete('things', { op: 'everything' })
    await gone(store)
    expect(await store.files()).toEqual([])
    const second = change(first, [1, 500], 2)
    const two = await store.save(second, { base: one.content })
    expectSame(await store.content.load(two.content), second)
    const three = await store.save(second, { base: { v: 9 } as unknown as Manifest })
    expect(three.content.chunks).toEqual(two.content.chunks)
  })

  it('progress rises to the whole, though little is stored', async () => {
    const store = await openStore()
    const first = images(ROWS, 1)
    const one = await store.save(first)
    const told: number[] = []
    await store.save(change(first, sample(ROWS, 0.01, 2), 2), {
      base: one.content,
      onProgress: (p) => told.push(p.bytes),
    })
    expect(told).toEqual([...told].sort((a, b) => a - b))
    expect(told.at(-1)).toBe(ROWS * WIDTH)
  })

  it('any change of any rows, over three versions (generated)', async () => {
    const store = await openStore()
    const row = fc.nat(4999)
    const rows = fc.oneof(
      fc.array(row, { maxLength: 60 }),
      fc.tuple(row, fc.nat(900)).map(([from, n]) => Array.from({ length: n }, (_, i) => Math.min(4999, from + i))),
    )
    await fc.assert(
      fc.asyncProperty(rows, rows, row, async (a, b, start) => {
        const first = images(5000, 1)
        const second = change(first, a, 5)
        const third = change(second, b, 9)
        let { content } = await store.save(first)
        for (const value of [second, third]) {
          content = (await store.save(value, { base: content })).content
          expectSame(await store.content.load(content), value)
          const part = (await store.content.rows(content, { start, end: start + 100 })) as typeof first
          const data = value.data.slice(start * WIDTH, (start + 100) * WIDTH)
          expectSame(part, { ...value, shape: [data.length / WIDTH, WIDTH], data })
        }
      }),
      { numRuns: 25 },
    )
  })
})
