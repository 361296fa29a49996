import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FullManifest, ManifestTensor } from '../src/index.ts'
import { MIB, noise, openStore } from './store.ts'

const codeOf = (error: unknown) => (error as { code?: string }).code

describe('manifests that are not what a writer wrote', () => {
  it('a value inside its document is verified too', async () => {
    const store = await openStore()
    const doc = await store.save({ accuracy: 0.5, labels: new Uint8Array(100).fill(3) })
    const inline = Buffer.from(doc.content.inline as string, 'base64')
    for (const at of [0, 9, inline.length >> 1, inline.length - 1]) {
      const bad = Buffer.from(inline)
      bad[at] = (bad[at] as number) ^ 1
      const content: FullManifest = { ...(doc.content as FullManifest), inline: bad.toString('base64') }
      await expect(store.content.load(content)).rejects.toMatchObject({ code: 'INTEGRITY', reason: 'INLINE_DAMAGED' })
      await expect(store.content.rows(content, { start: 0, end: 1 })).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    await store.index.update('things', { op: 'everything' }, { set: { 'content.inline': '' } })
    expect((await store.content.check({ collections: ['things'] })).problems).toMatchObject([
      { _id: doc._id, code: 'INTEGRITY' },
    ])
  })

  it.each<[string, (m: FullManifest) => unknown, string]>([
    ['another version', (m) => ({ ...m, v: 2 }), 'UNSUPPORTED'],
    ['a version that is no number', (m) => ({ ...m, v: '1' }), 'UNSUPPORTED'],
    ['no version', ({ v: _v, ...m }) => m, 'INTEGRITY'],
    ['nothing', () => null, 'INTEGRITY'],
    ['a list', () => [], 'INTEGRITY'],
    [
      'a key outside the chunks',
      (m) => ({ ...m, chunks: m.chunks.map((c) => ({ ...c, key: '../index.db' })) }),
      'INTEGRITY',
    ],
    [
      "another chunk's key",
      (m) => ({ ...m, chunks: m.chunks.map((c) => ({ ...c, id: `sha256:${'0'.repeat(64)}` })) }),
      'INTEGRITY',
    ],
    [
      'an unknown codec',
      (m) => ({ ...m, chunks: m.chunks.map((c) => ({ ...c, key: c.key.replace('.raw', '.lz9') })) }),
      'UNSUPPORTED',
    ],
    [
      'a chunk of a pebibyte',
      (m) => ({ ...m, chunks: m.chunks.map((c) => ({ ...c, size: 2 ** 50, stored: 2 ** 50 })) }),
      'INVALID',
    ],
    [
      'a tensor of a pebibyte',
      (m) => ({ ...m, tensors: m.tensors.map((t) => ({ ...t, shape: [2 ** 48] })) }),
      'INTEGRITY',
    ],
    [
      'a tensor beyond its chunk',
      (m) => ({ ...m, tensors: m.tensors.map((t) => ({ ...t, at: [[0, 8, MIB]] })) }),
      'INTEGRITY',
    ],
    ['a place that is no list', (m) => ({ ...m, tensors: m.tensors.map((t) => ({ ...t, at: [null] })) }), 'INTEGRITY'],
    ['one tensor twice', (m) => ({ ...m, tensors: [...m.tensors, ...m.tensors] }), 'INTEGRITY'],
    ['a version that no text can be made of', (m) => ({ ...m, v: { toString: 1 } }), 'UNSUPPORTED'],
    ['a tree that names a tensor so', (m) => ({ ...m, tree: '{"$t":{"toString":1}}' }), 'INTEGRITY'],
    ['a tree that names an array so', (m) => ({ ...m, tree: '{"$t":"t/0","as":{"toString":1}}' }), 'INTEGRITY'],
    ['a reference that is null', (m) => ({ ...m, manifest: null }), 'INTEGRITY'],
    ['a tree that names what is not there', (m) => ({ ...m, tree: '{"$t":"t/9"}' }), 'INTEGRITY'],
  ])('%s', async (_name, change, code) => {
    const store = await openStore()
    const doc = await store.save(noise(MIB, 1))
    const content = change(JSON.parse(JSON.stringify(doc.content)) as FullManifest) as FullManifest
    await expect(store.content.load(content)).rejects.toMatchObject({ code })
  })

  it('a file that is parts of its chunks, in any order', async () => {
    const store = await openStore()
    const bytes = new Uint8Array(noise(MIB, 1).buffer)
    const doc = await store.save(new Blob([bytes]))
    const file = doc.content.tensors[0] as ManifestTensor
    const at = [
      [0, 1000, 20],
      [0, 10, 5],
    ] as const
    const content = { ...(doc.content as FullManifest), tensors: [{ ...file, shape: [25], at }] }
    expect(await store.content.load(content)).toEqual(
      Uint8Array.from([...bytes.subarray(1000, 1020), ...bytes.subarray(10, 15)]),
    )
  })

  it('any part replaced by anything: a typed error or the value, never a crash (generated)', async () => {
    const store = await openStore()
    const value = { w: noise(MIB, 1), labels: new Int16Array(40_000), note: 'x'.repeat(9000) }
    const doc = await store.save(value)
    const text = JSON.stringify(doc.content)
    type Json = Record<string, unknown>
    const places: string[][] = []
    const walk = (part: unknown, path: string[]) => {
      if (path.length > 0) places.push(path)
      if (typeof part === 'object' && part !== null)
        for (const [key, inner] of Object.entries(part)) walk(inner, [...path, key])
    }
    walk(JSON.parse(text), [])
    const junk = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        -1,
        0,
        1,
        2 ** 31,
        2 ** 52,
        1e300,
        0.5,
        '',
        'raw',
        true,
        [],
        {},
        [[]],
        [[0, 0, 0]],
      ),
      fc.jsonValue({ maxDepth: 2 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), junk, async (path, instead) => {
        const content = JSON.parse(text) as Json
        let holder = content
        for (const step of path.slice(0, -1)) holder = holder[step] as Json
        holder[path.at(-1) as string] = instead
        try {
          await store.content.load(content as unknown as FullManifest)
          await store.content.rows(content as unknown as FullManifest, { start: 0, end: 3, tensor: 't/0' })
        } catch (error) {
          expect(['INTEGRITY', 'UNSUPPORTED', 'INVALID', 'NOT_FOUND']).toContain(codeOf(error))
        }
      }),
      { numRuns: 1000 },
    )
  })
})
