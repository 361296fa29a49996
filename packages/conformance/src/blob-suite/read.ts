import { type ByteRange, isHubError } from '@tensorhub/core'
import { check, equal, rejects } from '../expect.ts'
import type { BlobTest } from './bench.ts'
import { bytesOf, sameBytes } from './bytes.ts'

export const readTests: readonly BlobTest[] = [
  [
    'read: a missing blob is NOT_FOUND before the first byte, from every call',
    async (bench) => {
      const p = bench.prefix()
      await bench.store.write(`${p}there`, 'a')
      // One is a sibling, one lies under a blob as if it were a folder, one is the folder of a blob.
      for (const key of [`${p}x`, `${p}there/x`, p.slice(0, -1), `${p}ther`]) {
        await rejects(() => bench.store.stat(key), 'NOT_FOUND', `stat of ${key}`)
        await rejects(() => bench.store.read(key), 'NOT_FOUND', `read of ${key}`)
        await rejects(() => bench.store.read(key, { range: { offset: 5 } }), 'NOT_FOUND', `a range of ${key}`)
        await rejects(
          () => bench.store.readInto(key, new Uint8Array(1), { offset: 0 }),
          'NOT_FOUND',
          `readInto of ${key}`,
        )
        equal(await bench.store.exists(key), false, `exists of ${key}`)
      }
    },
  ],
  [
    'read: ranges are exact at every border, and read into given memory too',
    async (bench) => {
      const p = bench.prefix()
      const size = (await bench.part()) * 2 + 17
      const bytes = bytesOf(size, 4)
      await bench.store.write(`${p}x`, bytes)
      const ranges: ByteRange[] = [
        { offset: 0 },
        { offset: 0, length: 0 },
        { offset: 0, length: 1 },
        { offset: 1 },
        { offset: 1, length: 1 },
        { offset: 100, length: 70_000 },
        { offset: size - 1 },
        { offset: size - 1, length: 1 },
        { offset: size - 1, length: 100 },
        { offset: size - 70_000, length: 70_000 },
        { offset: 0, length: size },
        { offset: 0, length: size + 1 },
      ]
      for (const range of ranges) {
        const what = `the range ${JSON.stringify(range)}`
        const expected = bytes.subarray(
          range.offset,
          range.length === undefined ? size : Math.min(size, range.offset + range.length),
        )
        sameBytes(await bench.store.bytes(`${p}x`, { range }), expected, what)
        const { info, body } = await bench.store.read(`${p}x`, { range })
        equal(info.size, size, `${what}: the size of the blob`)
        await body.cancel()
        const into = new Uint8Array(expected.byteLength + 2).fill(99)
        await bench.store.readInto(`${p}x`, into.subarray(1, -1), { offset: range.offset })
        sameBytes(into.subarray(1, -1), expected, `${what}, read into memory`)
        equal([into[0], into.at(-1)], [99, 99], `${what}: the memory beside`)
      }
    },
  ],
  [
    'read: a range that begins at or beyond the end is RANGE; a malformed one INVALID; offset 0 of an empty blob is empty',
    async (bench) => {
      const p = bench.prefix()
      await bench.store.write(`${p}x`, bytesOf(100))
      await bench.store.write(`${p}empty`, '')
      for (const range of [{ offset: 100 }, { offset: 101, length: 1 }, { offset: 1e9 }]) {
        await rejects(
          () => bench.store.bytes(`${p}x`, { range }),
          'RANGE',
          `the range ${JSON.stringify(range)} of 100 bytes`,
        )
      }
      await rejects(
        () => bench.store.bytes(`${p}empty`, { range: { offset: 1 } }),
        'RANGE',
        'offset 1 of an empty blob',
      )
      equal((await bench.store.bytes(`${p}empty`, { range: { offset: 0 } })).byteLength, 0, 'offset 0 of an empty blob')
      await rejects(
        () => bench.store.readInto(`${p}x`, new Uint8Array(50), { offset: 60 }),
        'RANGE',
        'reading 50 bytes from 60 of 100 into memory',
      )
      for (const range of [{ offset: -1 }, { offset: 0.5 }, { offset: 0, length: -1 }, { offset: Number.NaN }]) {
        await rejects(() => bench.store.bytes(`${p}x`, { range }), 'INVALID', `the range ${JSON.stringify(range)}`)
      }
    },
  ],
  [
    'read: ifVersion gives the version asked for, or CONFLICT',
    async (bench) => {
      const p = bench.prefix()
      const first = await bench.store.write(`${p}x`, bytesOf(1000, 1))
      sameBytes(
        await bench.store.bytes(`${p}x`, { ifVersion: first.version }),
        bytesOf(1000, 1),
        'the version asked for',
      )
      const second = await bench.store.write(`${p}x`, bytesOf(1000, 2))
      await rejects(() => bench.store.read(`${p}x`, { ifVersion: first.version }), 'CONFLICT', 'an old version')
      await rejects(
        () => bench.store.read(`${p}x`, { ifVersion: first.version, range: { offset: 10, length: 5 } }),
        'CONFLICT',
        'a range of an old version',
      )
      await rejects(
        () => bench.store.readInto(`${p}x`, new Uint8Array(5), { offset: 0, ifVersion: first.version }),
        'CONFLICT',
        'an old version into memory',
      )
      sameBytes(await bench.store.bytes(`${p}x`, { ifVersion: second.version }), bytesOf(1000, 2), 'the new version')
    },
  ],
  [
    'read: 200 bodies cancelled unread, or after one piece, free what they hold',
    async (bench) => {
      const p = bench.prefix()
      const bytes = bytesOf((await bench.part()) + 5, 6)
      await bench.store.write(`${p}x`, bytes)
      for (let i = 0; i < 200; i++) {
        const { body } = await bench.store.read(`${p}x`)
        if (i % 2 === 0) await body.cancel()
        else {
          const reader = body.getReader()
          check((await reader.read()).done === false, 'a first piece')
          await reader.cancel()
        }
      }
      sameBytes(await bench.store.bytes(`${p}x`), bytes, 'the content afterwards')
    },
  ],
  [
    'read: a body being read while the blob is overwritten gives the old content or fails, never a mixture',
    async (bench) => {
      const p = bench.prefix()
      const size = (await bench.part()) * 2
      const old = bytesOf(size, 1)
      await bench.store.write(`${p}x`, old)
      const { body } = await bench.store.read(`${p}x`)
      const reader = body.getReader()
      const pieces = [(await reader.read()).value as Uint8Array]
      await bench.store.write(`${p}x`, bytesOf(size, 2))
      try {
        for (;;) {
          const { done, value } = await reader.read()
          if (done) break
          pieces.push(value)
        }
      } catch (error) {
        check(isHubError(error), `a body that fails errs with a HubError, got ${String(error)}`)
        return
      }
      sameBytes(
        new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer()),
        old,
        'the body begun before the overwrite',
      )
    },
  ],
  [
    'read: 30 at once',
    async (bench) => {
      const p = bench.prefix()
      const bytes = bytesOf(300_000, 8)
      await bench.store.write(`${p}x`, bytes)
      const all = await Promise.all(
        Array.from({ length: 30 }, (_, i) => bench.store.bytes(`${p}x`, { range: { offset: i * 1000 } })),
      )
      for (const [i, part] of all.entries()) sameBytes(part, bytes.subarray(i * 1000), `reader ${i}`)
    },
  ],
]
