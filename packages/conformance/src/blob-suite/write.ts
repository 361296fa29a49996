import { type BlobBody, type BlobInfo, HubError, type WriteOptions } from '@tensorhub/core'
import { check, collect, equal, eventually, rejects } from '../expect.ts'
import type { BlobTest } from './bench.ts'
import { bytesOf, sameBytes, sha256, streamOf } from './bytes.ts'

/** How a body may be given: in memory, as a stream of known length, as one of unknown length. */
const WAYS = ['bytes', 'known size', 'unknown size'] as const

function body(
  way: (typeof WAYS)[number],
  bytes: Uint8Array,
): [Uint8Array | ReadableStream<Uint8Array>, Pick<WriteOptions, 'size'>] {
  if (way === 'bytes') return [bytes, {}]
  return [streamOf(bytes), way === 'known size' ? { size: bytes.byteLength } : {}]
}

/** A source that fails after some bytes. */
function failing(after: number, error: Error): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    pull(controller) {
      if (sent >= after) return controller.error(error)
      const piece = bytesOf(Math.min(64 * 1024, after - sent), 9)
      sent += piece.byteLength
      controller.enqueue(piece)
    },
  })
}

export const writeTests: readonly BlobTest[] = [
  [
    'write: every size and way comes back the same, through a second driver too',
    async (bench) => {
      const p = bench.prefix()
      const again = await bench.again()
      for (const size of await bench.sizes()) {
        for (const way of WAYS) {
          const key = `${p}${size}-${way.replace(' ', '-')}`
          const bytes = bytesOf(size, size + 1)
          const [data, options] = body(way, bytes)
          const info = await bench.store.write(key, data, options)
          equal([info.key, info.size], [key, size], `what write gives for ${size} bytes, ${way}`)
          check(typeof info.version === 'string' && info.version !== '', 'write gives a version')
          check(
            info.modified instanceof Date && Math.abs(info.modified.getTime() - Date.now()) < 600_000,
            'write gives the time of modification',
          )
          for (const store of [bench.store, again]) {
            sameBytes(await store.bytes(key), bytes, `${size} bytes, ${way}`)
            const stat = await store.stat(key)
            equal(
              [stat.key, stat.size, stat.version],
              [key, size, info.version],
              `what stat gives for ${size} bytes, ${way}`,
            )
          }
        }
      }
      await bench.noLeftovers('after writes')
    },
  ],
  [
    'write: strings, Blobs, iterables, empty pieces and given hashes are taken; the caller may reuse its memory',
    async (bench) => {
      const p = bench.prefix()
      await bench.store.write(`${p}s`, 'é😀')
      sameBytes(await bench.store.bytes(`${p}s`), new TextEncoder().encode('é😀'), 'a string')
      await bench.store.write(`${p}b`, new Blob(['ab', 'c']))
      sameBytes(await bench.store.bytes(`${p}b`), new TextEncoder().encode('abc'), 'a Blob')
      const pieces = async function* () {
        for (const n of [1, 0, 2, 0]) yield bytesOf(n, n)
      }
      await bench.store.write(`${p}i`, pieces())
      equal((await bench.store.bytes(`${p}i`)).byteLength, 3, 'an iterable with empty pieces')
      const bytes = bytesOf(1000)
      await bench.store.write(`${p}h`, bytes, { sha256: sha256(bytes) })
      const kept = bytes.slice()
      bytes.fill(0)
      sameBytes(await bench.store.bytes(`${p}h`), kept, 'bytes whose memory was reused')
      const read = await bench.store.bytes(`${p}h`)
      read.fill(7)
      sameBytes(await bench.store.bytes(`${p}h`), kept, 'bytes after a reader changed its copy')
    },
  ],
  [
    'write: a size that is not the body’s is INVALID, and nothing is visible',
    async (bench) => {
      const p = bench.prefix()
      const part = await bench.part()
      for (const size of [10, part + 1, 2 * part]) {
        for (const wrong of [size - 1, size + 1, size + part]) {
          await rejects(
            () => bench.store.write(`${p}x`, streamOf(bytesOf(size)), { size: wrong }),
            'INVALID',
            `${size} bytes said to be ${wrong}`,
          )
        }
      }
      await rejects(
        () => bench.store.write(`${p}x`, bytesOf(10), { size: 9 }),
        'INVALID',
        '10 bytes in memory said to be 9',
      )
      for (const size of [-1, 1.5, Number.NaN])
        await rejects(() => bench.store.write(`${p}x`, 'a', { size }), 'INVALID', `size ${size}`)
      equal(await bench.keys(p), [], 'the keys afterwards')
      await bench.noLeftovers('after wrong sizes')
    },
  ],
  [
    'write: a body of something other than bytes is INVALID, and nothing is visible',
    async (bench) => {
      const p = bench.prefix()
      const odd: AsyncIterable<unknown> = ReadableStream.from(['text'])
      await rejects(() => bench.store.write(`${p}x`, odd as BlobBody), 'INVALID', 'a stream of strings')
      equal(await bench.keys(p), [], 'the keys afterwards')
    },
  ],
  [
    'write: a source that fails part way leaves the old content, and nothing else',
    async (bench) => {
      const p = bench.prefix()
      const part = await bench.part()
      const old = bytesOf(1000, 3)
      await bench.store.write(`${p}old`, old)
      const failure = new HubError('INTEGRITY', 'The source failed.', { at: { scheme: 'test', op: 'read' } })
      for (const after of [0, 1, part + 1, 2 * part + 1]) {
        for (const key of [`${p}old`, `${p}new`]) {
          await rejects(
            () => bench.store.write(key, failing(after, failure)),
            'INTEGRITY',
            `a source of unknown size that fails after ${after}`,
          )
          await rejects(
            () => bench.store.write(key, failing(after, failure), { size: 4 * part }),
            'INTEGRITY',
            `a source of known size that fails after ${after}`,
          )
        }
      }
      equal(await bench.keys(p), [`${p}old`], 'the keys afterwards')
      sameBytes(await bench.store.bytes(`${p}old`), old, 'the old content')
      await bench.noLeftovers('after failing sources')
    },
  ],
  [
    'write: an abort part way leaves the old content, and nothing else',
    async (bench) => {
      const p = bench.prefix()
      const part = await bench.part()
      const old = bytesOf(1000, 3)
      await bench.store.write(`${p}old`, old)
      for (const after of [0, 1, part + 1, 2 * part + 1]) {
        for (const key of [`${p}old`, `${p}new`]) {
          const stop = new AbortController()
          let sent = 0
          let cancelled = false
          const source = new ReadableStream<Uint8Array>(
            {
              async pull(controller) {
                if (sent >= after) {
                  stop.abort()
                  // The source has no more and says nothing: only the abort can end the write.
                  return new Promise<void>(() => undefined)
                }
                const piece = bytesOf(Math.min(64 * 1024, after - sent), 9)
                sent += piece.byteLength
                controller.enqueue(piece)
              },
              cancel() {
                cancelled = true
              },
            },
            { highWaterMark: 0 },
          )
          await rejects(
            () => bench.store.write(key, source, { signal: stop.signal }),
            'ABORTED',
            `a write aborted after ${after}`,
          )
          await eventually(async () =>
            check(cancelled, `the source of a write aborted after ${after} was not cancelled`),
          )
        }
      }
      equal(await bench.keys(p), [`${p}old`], 'the keys afterwards')
      sameBytes(await bench.store.bytes(`${p}old`), old, 'the old content')
      await bench.noLeftovers('after aborts')
    },
  ],
  [
    'write: nothing is visible before the write is done',
    async (bench) => {
      const p = bench.prefix()
      const part = await bench.part()
      const again = await bench.again()
      let sent = 0
      let checks = 0
      const source = async function* () {
        while (sent < 3 * part) {
          const piece = bytesOf(Math.min(256 * 1024, 3 * part - sent), 5)
          sent += piece.byteLength
          yield piece
          if (checks < 5) {
            checks++
            equal(await bench.keys(p, again), [], 'the keys during a write')
            await rejects(() => again.stat(`${p}x`), 'NOT_FOUND', 'stat during a write')
          }
        }
      }
      await bench.store.write(`${p}x`, source())
      equal(await bench.keys(p, again), [`${p}x`], 'the keys after the write')
    },
  ],
  [
    'write: overwritten three times, the last is read; the version changes each time; deleted once nothing is left',
    async (bench) => {
      const p = bench.prefix()
      const part = await bench.part()
      const versions: string[] = []
      let last: Uint8Array = new Uint8Array()
      for (const [i, size] of [10, 2 * part + 1, 10].entries()) {
        last = bytesOf(size, i + 20)
        versions.push((await bench.store.write(`${p}x`, streamOf(last))).version)
      }
      equal(new Set(versions).size, 3, 'how many versions differ')
      sameBytes(await (await bench.again()).bytes(`${p}x`), last, 'the last content')
      equal((await bench.keys(p)).length, 1, 'how many keys')
      await bench.store.delete([`${p}x`])
      equal(await bench.keys(p), [], 'the keys after the delete')
      await rejects(() => bench.store.read(`${p}x`), 'NOT_FOUND', 'reading what was deleted')
      await bench.noLeftovers('after overwrites')
    },
  ],
  [
    'ifAbsent: holds at every size and way, and the refused write changes nothing',
    async (bench) => {
      const p = bench.prefix()
      const { ifAbsent } = await bench.can()
      for (const size of await bench.sizes()) {
        for (const way of WAYS) {
          const key = `${p}${size}-${way.replace(' ', '-')}`
          const first = bytesOf(size, 1)
          const write = (bytes: Uint8Array) => {
            const [data, options] = body(way, bytes)
            return bench.store.write(key, data, { ...options, when: { ifAbsent: true } })
          }
          if (!ifAbsent) {
            await rejects(() => write(first), 'UNSUPPORTED', 'ifAbsent where it is not supported')
            continue
          }
          await write(first)
          await rejects(() => write(bytesOf(size, 2)), 'EXISTS', `ifAbsent over a blob: ${size} bytes, ${way}`)
          sameBytes(await bench.store.bytes(key), first, `the first content: ${size} bytes, ${way}`)
        }
      }
      if (!ifAbsent) equal(await bench.keys(p), [], 'the keys after refused writes')
      await bench.noLeftovers('after refused writes')
    },
  ],
  [
    'ifVersion: holds at every size and way, and the refused write changes nothing',
    async (bench) => {
      const p = bench.prefix()
      const { ifVersion } = await bench.can()
      for (const size of await bench.sizes()) {
        for (const way of WAYS) {
          const key = `${p}${size}-${way.replace(' ', '-')}`
          const old = await bench.store.write(key, bytesOf(5, 1))
          const write = (seed: number, version: string) => {
            const [data, options] = body(way, bytesOf(size, seed))
            return bench.store.write(key, data, { ...options, when: { ifVersion: version } })
          }
          if (!ifVersion) {
            await rejects(() => write(2, old.version), 'UNSUPPORTED', 'ifVersion where it is not supported')
            sameBytes(await bench.store.bytes(key), bytesOf(5, 1), 'the old content')
            continue
          }
          const next = await write(2, old.version)
          await rejects(() => write(3, old.version), 'CONFLICT', `ifVersion of an old version: ${size} bytes, ${way}`)
          sameBytes(await bench.store.bytes(key), bytesOf(size, 2), `the content: ${size} bytes, ${way}`)
          await bench.store.delete([key])
          await rejects(() => write(4, next.version), 'CONFLICT', `ifVersion of a deleted blob: ${size} bytes, ${way}`)
          check(!(await bench.store.exists(key)), 'a refused write made the blob again')
        }
      }
      await bench.noLeftovers('after refused writes')
    },
  ],
  [
    'ifAbsent: of racers one wins, small and in parts, and its content is there',
    async (bench) => {
      if (!(await bench.can()).ifAbsent) return
      const p = bench.prefix()
      const again = await bench.again()
      const part = await bench.part()
      for (const [size, racers] of [
        [20, 30],
        [part + 7, 5],
      ] as const) {
        const key = `${p}${size}`
        const outcomes = await Promise.allSettled(
          Array.from({ length: racers }, (_, i) =>
            (i % 2 === 0 ? bench.store : again).write(key, streamOf(bytesOf(size, i + 1)), {
              when: { ifAbsent: true },
            }),
          ),
        )
        const winners = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []))
        equal(winners.length, 1, `how many of ${racers} racers of ${size} bytes won`)
        sameBytes(await again.bytes(key), bytesOf(size, (winners[0] as number) + 1), 'the content of the winner')
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected')
            await rejects(() => Promise.reject(outcome.reason), 'EXISTS', 'a losing racer')
        }
      }
      await bench.noLeftovers('after a race')
    },
  ],
  [
    'write: racers without a condition leave one of them whole',
    async (bench) => {
      const p = bench.prefix()
      const size = (await bench.part()) + 11
      const infos: BlobInfo[] = await Promise.all(
        Array.from({ length: 6 }, (_, i) => bench.store.write(`${p}x`, streamOf(bytesOf(size, i + 1)))),
      )
      const { version } = await bench.store.stat(`${p}x`)
      const content = sha256(await bench.store.bytes(`${p}x`))
      const writer = infos.findIndex((info) => info.version === version)
      check(
        writer >= 0 && content === sha256(bytesOf(size, writer + 1)),
        'the content is not whole of one of the writers, that of its version',
      )
      equal((await collect(bench.store.list(p))).length, 1, 'how many keys')
    },
  ],
  [
    'meta, content type: kept and given back by write, stat, read and list; UNSUPPORTED where there is none',
    async (bench) => {
      const p = bench.prefix()
      const options = { contentType: 'application/x-tensor', meta: { kind: 'weights', 'with-dash': 'a b=c;"d"' } }
      if (!(await bench.can()).meta) {
        await rejects(
          () => bench.store.write(`${p}x`, 'a', { contentType: 'text/plain' }),
          'UNSUPPORTED',
          'a content type',
        )
        await rejects(() => bench.store.write(`${p}x`, 'a', { meta: { a: 'b' } }), 'UNSUPPORTED', 'metadata')
        equal(await bench.keys(p), [], 'the keys after refused writes')
        return
      }
      for (const size of await bench.sizes()) {
        const key = `${p}${size}`
        await bench.store.write(key, streamOf(bytesOf(size)), options)
        const { info, body: stream } = await (await bench.again()).read(key)
        await stream.cancel()
        for (const [what, got] of [
          ['stat', await bench.store.stat(key)],
          ['read', info],
        ] as const) {
          equal([got.contentType, { ...got.meta }], [options.contentType, options.meta], `${what} of ${size} bytes`)
        }
      }
      await bench.store.write(`${p}0`, 'now without')
      const bare = await bench.store.stat(`${p}0`)
      check(
        bare.meta === undefined || Object.keys(bare.meta).length === 0,
        'an overwrite without metadata keeps the old metadata',
      )
    },
  ],
]
