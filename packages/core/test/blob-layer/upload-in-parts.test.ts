import { getEventListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BlobInfo,
  HubError,
  isHubError,
  type PartUploadOptions,
  type Precondition,
  uploadInParts,
} from '../../src/index.ts'
import { bodyOf, numbered, PartStore } from './part-store.ts'

const PART = 10

function upload(
  store: PartStore,
  body: ReadableStream<Uint8Array>,
  o: Partial<PartUploadOptions> = {},
): Promise<BlobInfo> {
  return uploadInParts(body, store, { ...store.limits, parallel: 3, ...o })
}

const failure = () => new HubError('UNAVAILABLE', 'gone', { at: { scheme: 'test', op: 'part' }, retryable: true })

describe.each([
  ['known', true],
  ['unknown', false],
])('a body of %s size', (_, known) => {
  it.each<[size: number, calls: string[]]>([
    [0, ['once']],
    [1, ['once']],
    [PART - 1, ['once']],
    [PART, ['once']],
    [PART + 1, ['begin', 'part 1', 'part 2', 'finish']],
    [2 * PART, ['begin', 'part 1', 'part 2', 'finish']],
    [3 * PART - 1, ['begin', 'part 1', 'part 2', 'part 3', 'finish']],
    [3 * PART, ['begin', 'part 1', 'part 2', 'part 3', 'finish']],
  ])('of %i bytes takes these requests, with the condition at each', async (size, calls) => {
    for (const when of [undefined, { ifAbsent: true }, { ifVersion: 'v' }] as const) {
      for (const piece of [1, 7, 64]) {
        const store = new PartStore()
        const o = { ...(when ? { when } : {}), ...(known ? { size } : {}) }
        const info = await upload(store, bodyOf(numbered(size), piece), o)
        expect(store.calls).toEqual(calls)
        expect(store.content).toEqual(numbered(size))
        expect(info.size).toBe(size)
        expect(store.conditions.map(([, condition]) => condition)).toEqual(store.conditions.map(() => when))
        expect(store.open.size).toBe(0)
      }
    }
  })

  it.each([0, 1, PART, PART + 1, 3 * PART])(
    'of %i bytes meets a condition that fails at the commit, and leaves no parts',
    async (size) => {
      const store = new PartStore()
      store.content = numbered(3)
      const when: Precondition = { ifAbsent: true }
      await expect(upload(store, bodyOf(numbered(size)), { when, ...(known ? { size } : {}) })).rejects.toMatchObject({
        code: 'EXISTS',
      })
      expect(store.content).toEqual(numbered(3))
      expect(store.open.size).toBe(0)
      if (size > PART) expect(store.calls.at(-1)).toBe('abort finishing')
    },
  )

  it('arrives whole within all limits, whatever they are', async () => {
    const limits = fc.record({
      partMin: fc.integer({ min: 1, max: 20 }),
      extra: fc.integer({ min: 0, max: 60 }),
      partsMax: fc.integer({ min: 1, max: 30 }),
      sizeMax: fc.integer({ min: 1, max: 900 }),
      parallel: fc.integer({ min: 1, max: 5 }),
      partSize: fc.integer({ min: 1, max: 90 }),
    })
    await fc.assert(
      fc.asyncProperty(
        limits,
        fc.integer({ min: 0, max: 1000 }),
        async ({ extra, parallel, partSize, ...rest }, size) => {
          const store = new PartStore({ ...rest, partMax: rest.partMin + extra })
          const writing = upload(store, bodyOf(numbered(size)), { parallel, partSize, ...(known ? { size } : {}) })
          const most = Math.min(rest.sizeMax, store.limits.partMax * rest.partsMax)
          try {
            await writing
          } catch (error) {
            if (!isHubError(error)) throw error
            expect([error.code, error.reason]).toEqual(['INVALID', 'BLOB_TOO_LARGE'])
            // Of known size everything that fits is taken; of unknown size parts that began small may not reach the very end.
            if (known) expect(size).toBeGreaterThan(most)
            expect(store.open.size).toBe(0)
            expect(store.content).toBeUndefined()
            return
          }
          expect(size).toBeLessThanOrEqual(most)
          expect(store.content).toEqual(numbered(size))
          expect(store.mostInFlight).toBeLessThanOrEqual(parallel)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('keeps the window full and no fuller', async () => {
    const store = new PartStore()
    await upload(store, bodyOf(numbered(50 * PART)), { parallel: 4, ...(known ? { size: 50 * PART } : {}) })
    expect(store.mostInFlight).toBe(4)
    expect(store.mostHeldBytes).toBe(4 * PART)
  })

  it('keeps the bytes in flight bounded when the parts grow with the body, one part at least', async () => {
    // Ten parts for 600 bytes: of known size 60 each, of unknown size 10 at first and hundreds at the end.
    const store = new PartStore({ partsMax: 10, sizeMax: known ? 600 : 5000 })
    const size = known ? 600 : 3000
    await upload(store, bodyOf(numbered(size)), { parallel: 8, memory: 150, ...(known ? { size } : {}) })
    expect(store.content).toEqual(numbered(size))
    if (known) expect([store.mostInFlight, store.mostHeldBytes]).toEqual([2, 120])
    else expect(store.mostHeldBytes).toBeLessThanOrEqual(Math.max(150, store.largestPart))
    const small = new PartStore()
    await upload(small, bodyOf(numbered(5 * PART)), { parallel: 4, memory: 1 })
    expect(small.mostInFlight).toBe(1)
  })

  it('has a narrower window where `begin` found that out, never a wider one', async () => {
    for (const [most, inFlight] of [
      [1, 1],
      [2, 2],
      [9, 4],
    ] as const) {
      const store = Object.assign(new PartStore(), { parallel: () => most })
      await upload(store, bodyOf(numbered(20 * PART)), { parallel: 4, ...(known ? { size: 20 * PART } : {}) })
      expect(store.mostInFlight).toBe(inFlight)
      expect(store.content).toEqual(numbered(20 * PART))
    }
  })

  it('is not read ahead of the window', async () => {
    const store = new PartStore()
    let pulled = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (pulled >= 100) return controller.close()
          pulled++
          controller.enqueue(numbered(PART))
        },
      },
      { highWaterMark: 0 },
    )
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    store.before = (step) => (step === 'part' ? gate : undefined)
    const writing = upload(store, body, { parallel: 2, ...(known ? { size: 100 * PART } : {}) })
    await expect.poll(() => store.inFlight).toBe(2)
    await delay(20)
    // Two in flight, one that waits, and the piece by which that one is known not to be the last.
    expect(pulled).toBe(4)
    open()
    await writing
    expect(store.content?.byteLength).toBe(100 * PART)
  })
})

describe('part sizes', () => {
  const sizesOf = async (size: number, limits: Partial<PartStore['limits']>, known: boolean, partSize?: number) => {
    const store = new PartStore(limits)
    const sizes: number[] = []
    const part = store.part.bind(store)
    store.part = (session, n, bytes, o) => {
      sizes[n - 1] = bytes.byteLength
      return part(session, n, bytes, o)
    }
    await upload(store, bodyOf(numbered(size), 100), {
      ...(known ? { size } : {}),
      ...(partSize === undefined ? {} : { partSize }),
    })
    return sizes
  }

  it('are equal, and as small as the count allows, for a known size', async () => {
    expect(await sizesOf(95, { partsMax: 4 }, true)).toEqual([24, 24, 24, 23])
    expect(await sizesOf(95, { partsMax: 100 }, true)).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 5])
    expect(await sizesOf(95, {}, true, 40)).toEqual([40, 40, 15])
    expect(await sizesOf(95, { partMax: 20 }, true, 40)).toEqual([20, 20, 20, 20, 15])
    expect(await sizesOf(95, {}, true, 3)).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 5])
  })

  it('grow for an unknown size, so that the store’s largest blob can be reached', async () => {
    const limits = { partMin: 10, partMax: 1000, partsMax: 20, sizeMax: 5000 }
    const sizes = await sizesOf(5000, limits, false)
    expect(sizes.length).toBeLessThanOrEqual(20)
    expect(sizes.slice(0, 2)).toEqual([10, 10])
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(5000)
    for (let i = 1; i < sizes.length - 1; i++) expect(sizes[i]).toBeGreaterThanOrEqual(sizes[i - 1] as number)
  })

  it('do not grow where the smallest parts reach it', async () => {
    expect(new Set(await sizesOf(300, { partsMax: 100, sizeMax: 1000 }, false))).toEqual(new Set([10]))
  })

  it('of S3 stay small for common bodies, and reach 5 TiB', async () => {
    const { partSizes } = await import('../../src/blob-layer/part-sizes.ts')
    const MiB = 2 ** 20
    const s3 = { partMin: 5 * MiB, partMax: 5 * 2 ** 30, partsMax: 10_000, sizeMax: 5 * 2 ** 40 }
    const { of } = partSizes(undefined, s3)
    let sent = 0
    for (let n = 1; n <= s3.partsMax && sent < s3.sizeMax; n++) {
      const size = of(n, sent)
      if (n <= 1000) expect(size).toBe(5 * MiB)
      expect(size).toBeLessThanOrEqual(s3.partMax)
      sent += Math.min(size, s3.sizeMax - sent)
    }
    expect(sent).toBe(s3.sizeMax)
    expect(partSizes(s3.sizeMax, s3).of(1, 0)).toBe(Math.ceil(s3.sizeMax / 10_000))
  })

  it.each<[Partial<PartUploadOptions>, string]>([
    [{ parallel: 0 }, 'parallel'],
    [{ parallel: 1.5 }, 'parallel'],
    [{ partMin: 0 }, 'partMin'],
    [{ partMin: 2000 }, 'partMax'],
    [{ partsMax: Number.NaN }, 'partsMax'],
    [{ sizeMax: -1 }, 'sizeMax'],
    [{ partSize: 0.5 }, 'partSize'],
  ])('%o is INVALID before any request', async (o, name) => {
    const store = new PartStore()
    await expect(upload(store, bodyOf(numbered(5)), o)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(name),
    })
    expect(store.calls).toEqual([])
  })
})

describe('bodies that are not as said', () => {
  it.each([
    ['ends early', 35, 36],
    ['ends early by a part', 20, 30],
    ['runs beyond', 36, 35],
    ['runs beyond by a part', 50, 20],
    ['runs beyond nothing', 5, 0],
    ['is empty', 0, 5],
  ])('one that %s is INVALID, and leaves nothing', async (_, real, said) => {
    const store = new PartStore()
    await expect(upload(store, bodyOf(numbered(real)), { size: said })).rejects.toMatchObject({
      code: 'INVALID',
      path: 'size',
    })
    expect(store.content).toBeUndefined()
    expect(store.open.size).toBe(0)
  })

  it('one beyond the store’s largest is INVALID: before any request when its size is known, else before more is sent', async () => {
    const store = new PartStore({ sizeMax: 100 })
    await expect(upload(store, bodyOf(numbered(101)), { size: 101 })).rejects.toMatchObject({
      code: 'INVALID',
      reason: 'BLOB_TOO_LARGE',
    })
    expect(store.calls).toEqual([])
    await expect(upload(store, bodyOf(numbered(101)))).rejects.toMatchObject({
      code: 'INVALID',
      reason: 'BLOB_TOO_LARGE',
    })
    expect(store.calls.filter((call) => call.startsWith('part')).length).toBeLessThanOrEqual(10)
    expect(store.calls.at(-1)).toBe('abort')
    await upload(store, bodyOf(numbered(100)))
    expect(store.content?.byteLength).toBe(100)
  })

  it('one that holds no bytes is INVALID', async () => {
    const store = new PartStore()
    const odd: ReadableStream<unknown> = ReadableStream.from([numbered(25), 'text'])
    await expect(upload(store, odd as ReadableStream<Uint8Array>)).rejects.toMatchObject({
      code: 'INVALID',
      path: 'body',
    })
    expect(store.open.size).toBe(0)
  })
})

describe('failures', () => {
  it.each([0, 1, 15, 25, 45])('a source that fails after %i bytes: its own error, nothing left', async (after) => {
    const store = new PartStore()
    store.content = numbered(3)
    const error = failure()
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent >= after) return controller.error(error)
        const piece = numbered(Math.min(5, after - sent))
        sent += piece.byteLength
        controller.enqueue(piece)
      },
    })
    await expect(upload(store, body)).rejects.toBe(error)
    expect(store.content).toEqual(numbered(3))
    expect(store.open.size).toBe(0)
    expect(store.inFlight).toBe(0)
  })

  it.each(['once', 'begin', 'part', 'finish'] as const)(
    '%s that fails is thrown; the upload is freed, the source cancelled',
    async (step) => {
      const store = new PartStore()
      const error = failure()
      store.before = (at, n) => {
        if (at === step && (step !== 'part' || n === 2)) throw error
      }
      let cancelled: unknown
      let pulled = 0
      const size = step === 'once' ? PART : 400
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            if (pulled * 5 >= size) return controller.close()
            pulled++
            controller.enqueue(numbered(5))
          },
          cancel(reason) {
            cancelled = reason
          },
        },
        { highWaterMark: 0 },
      )
      await expect(upload(store, body, { parallel: 2 })).rejects.toBe(error)
      expect(store.content).toBeUndefined()
      expect(store.open.size).toBe(0)
      expect(store.inFlight).toBe(0)
      if (step === 'begin' || step === 'part') expect(cancelled).toBe(error)
      if (step === 'part') expect(pulled).toBeLessThan(20)
      expect(store.calls.filter((call) => call.startsWith('abort'))).toEqual(
        step === 'part' ? ['abort'] : step === 'finish' ? ['abort finishing'] : [],
      )
    },
  )

  it('a failing part stops the others, which are awaited before the upload is aborted', async () => {
    const store = new PartStore()
    const aborted: number[] = []
    store.before = (step, n, o) => {
      if (step !== 'part') return
      if (n === 3) throw failure()
      return new Promise((_, reject) => {
        o.signal?.addEventListener('abort', () => {
          aborted.push(n)
          // Ends some time after it was told to.
          setTimeout(() => reject(o.signal?.reason), 20)
        })
      })
    }
    await expect(upload(store, bodyOf(numbered(100)))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(aborted.sort()).toEqual([1, 2])
    expect(store.calls.at(-1)).toBe('abort')
    expect(store.open.size).toBe(0)
  })

  it('a failing part ends a write whose source is silent', async () => {
    const store = new PartStore()
    store.before = (step, n) => {
      if (step === 'part' && n === 1) throw failure()
    }
    let sent = false
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) return new Promise<void>(() => undefined)
        sent = true
        controller.enqueue(numbered(PART + 1))
      },
    })
    await expect(upload(store, body)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(store.open.size).toBe(0)
  })

  it('a failing abort hides nothing, and is told', async () => {
    const store = new PartStore()
    const error = failure()
    const second = new Error('cannot abort')
    store.before = (step, n) => {
      if (step === 'part' && n === 2) throw error
      if (step === 'abort') throw second
    }
    await expect(upload(store, bodyOf(numbered(50)))).rejects.toBe(error)
    expect(error.suppressed).toBe(second)
  })

  it('a cancel of the source that fails, or never ends, changes nothing', async () => {
    for (const cancel of [() => Promise.reject(new Error('cannot cancel')), () => new Promise<void>(() => undefined)]) {
      const store = new PartStore()
      const error = failure()
      store.before = (step) => {
        if (step === 'part') throw error
      }
      const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(numbered(5)), cancel })
      await expect(upload(store, body)).rejects.toBe(error)
      expect(store.open.size).toBe(0)
    }
  })

  it('a commit whose reply is lost: the write rejects, the blob is whole, and abort knows that it may be', async () => {
    const store = new PartStore()
    const error = failure()
    store.after = (step) => {
      if (step === 'finish') throw error
    }
    await expect(upload(store, bodyOf(numbered(35)))).rejects.toBe(error)
    expect(store.calls.at(-1)).toBe('abort finishing')
    expect(store.content).toEqual(numbered(35))
  })
})

describe('the signal', () => {
  it('aborted already: no request, the source cancelled', async () => {
    const store = new PartStore()
    const reason = new Error('enough')
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(numbered(5)),
      cancel() {
        cancelled = true
      },
    })
    await expect(upload(store, body, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ABORTED',
      name: 'AbortError',
      cause: reason,
    })
    expect(store.calls).toEqual([])
    expect(cancelled).toBe(true)
  })

  it.each([0, 5, PART, 25, 45])(
    'aborted after %i bytes of a source that then says nothing: freed, nothing visible',
    async (after) => {
      const store = new PartStore()
      const stop = new AbortController()
      const reason = new Error('enough')
      let sent = 0
      let cancelled = false
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            if (sent >= after) {
              stop.abort(reason)
              return new Promise<void>(() => undefined)
            }
            const piece = numbered(Math.min(5, after - sent))
            sent += piece.byteLength
            controller.enqueue(piece)
          },
          cancel() {
            cancelled = true
          },
        },
        { highWaterMark: 0 },
      )
      await expect(upload(store, body, { signal: stop.signal })).rejects.toMatchObject({
        code: 'ABORTED',
        cause: reason,
      })
      expect(store.content).toBeUndefined()
      expect(store.open.size).toBe(0)
      expect(cancelled).toBe(true)
    },
  )

  it('aborted while parts are in flight: they hear of it', async () => {
    const store = new PartStore()
    const stop = new AbortController()
    store.before = (step, n, o) => {
      if (step !== 'part') return
      if (n === 3) setTimeout(() => stop.abort(), 5)
      return new Promise((_, reject) => o.signal?.addEventListener('abort', () => reject(o.signal?.reason)))
    }
    await expect(upload(store, bodyOf(numbered(100)), { signal: stop.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
    expect(store.open.size).toBe(0)
    expect(store.calls.at(-1)).toBe('abort')
  })

  it('reaches once, begin and finish', async () => {
    for (const [step, size] of [
      ['once', 5],
      ['begin', 25],
      ['finish', 25],
    ] as const) {
      const store = new PartStore()
      const stop = new AbortController()
      store.before = (at, _n, o) => {
        if (at !== step) return
        stop.abort()
        expect(o.signal?.aborted, step).toBe(true)
      }
      await expect(upload(store, bodyOf(numbered(size)), { signal: stop.signal })).rejects.toThrow()
      expect(store.content).toBeUndefined()
      expect(store.open.size).toBe(0)
    }
  })

  it('keeps no listener once the upload is done', async () => {
    const stop = new AbortController()
    await upload(new PartStore(), bodyOf(numbered(100)), { signal: stop.signal })
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
  })
})
