import { describe, expect, it, vi } from 'vitest'
import { type BlobBody, type BlobDriver, BlobStore, isHubError, openBlobs, type WriteOptions } from '../../src/index.ts'
import { EVERYTHING, NOTHING, recordingBlobs } from './recording-blobs.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

describe('the guard', () => {
  const options: readonly (readonly [string, WriteOptions])[] = [
    ['when', { when: { ifAbsent: true } }],
    ['when', { when: { ifVersion: 'v' } }],
    ['contentType', { contentType: 'text/plain' }],
    ['meta', { meta: { a: 'b' } }],
  ]
  it.each(options)(
    'refuses %s: %o where the store lacks it, before any request, on every way to write',
    async (path, o) => {
      const { driver, calls } = recordingBlobs(NOTHING)
      const store = openBlobs(driver)
      const bodies: BlobBody[] = ['x', new Uint8Array(1), new Blob(['x']), new Blob(['x']).stream() as BlobBody]
      for (const body of bodies) {
        await expect(store.write('k', body, o)).rejects.toMatchObject({
          code: 'UNSUPPORTED',
          reason: 'CAPABILITY',
          path,
          at: { op: 'write', target: 'k' },
        })
      }
      expect(calls).toEqual([])
    },
  )

  it('refuses copy and sign, with any condition', async () => {
    const { driver, calls } = recordingBlobs(NOTHING)
    const store = openBlobs(driver)
    await expect(store.copy('a', 'b')).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(store.sign('a', { method: 'GET', expiresIn: 5 })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    const half = recordingBlobs({ ...NOTHING, copy: true })
    await expect(openBlobs(half.driver).copy('a', 'b', { when: { ifAbsent: true } })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
    await expect(openBlobs(half.driver).copy('a', 'b', { when: { ifVersion: 'v' } })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
    expect([...calls, ...half.calls]).toEqual([])
  })

  it('goes by the record that open gave, not by the wider one the driver claims', async () => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    const store = openBlobs({ ...driver, open: async () => ({ ...EVERYTHING, ifAbsent: false }) })
    await expect(store.write('k', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await store.write('k', 'x', { when: { ifVersion: 'v' } })
    expect(calls.length).toBe(1)
    expect(await store.can()).toMatchObject({ ifAbsent: false, ifVersion: true })
  })

  it('passes every option on where the store has it', async () => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    const store = openBlobs(driver)
    const o = { contentType: 'text/plain', meta: { a: 'b' }, sha256: 'a'.repeat(64) }
    await store.write('k', 'x', { ...o, when: { ifAbsent: true } })
    await store.copy('k', 'l', { when: { ifVersion: 'v' } })
    await store.sign('k', { method: 'PUT', expiresIn: 60 })
    expect(calls).toEqual([
      ['write', 'k', 'x', { ...o, when: { ifAbsent: true }, size: 1 }],
      ['copy', 'k', 'l', { when: { ifVersion: 'v' } }],
      ['sign', 'k', { method: 'PUT', expiresIn: 60 }],
    ])
  })

  it('refuses a body beyond sizeMax: at once when its size is known, as a stream when it gets there', async () => {
    const { driver, calls } = recordingBlobs(NOTHING)
    const store = openBlobs(driver)
    for (const body of ['x'.repeat(51), new Uint8Array(51), new Blob(['x'.repeat(51)])])
      await expect(store.write('k', body)).rejects.toMatchObject({ code: 'INVALID', reason: 'BLOB_TOO_LARGE' })
    await expect(store.write('k', new Blob(['x']).stream() as BlobBody, { size: 51 })).rejects.toMatchObject({
      reason: 'BLOB_TOO_LARGE',
    })
    const pieces = async function* () {
      for (let i = 0; i < 6; i++) yield new Uint8Array(10)
    }
    await expect(store.write('k', pieces())).rejects.toMatchObject({ reason: 'BLOB_TOO_LARGE' })
    expect(calls).toEqual([])
    await store.write('k', 'x'.repeat(50))
  })
})

describe('options that are none', () => {
  const writes: readonly (readonly [string, object])[] = [
    ['when', { when: {} }],
    ['when', { when: { ifAbsent: false } }],
    ['when', { when: { ifAbsent: true, ifVersion: 'v' } }],
    ['when', { when: 'ifAbsent' }],
    ['when', { when: null }],
    ['when.ifVersion', { when: { ifVersion: '' } }],
    ['when.ifVersion', { when: { ifVersion: 7 } }],
    ['size', { size: -1 }],
    ['size', { size: 0.5 }],
    ['size', { size: '1' }],
    ['size', { size: 2 }],
    ['sha256', { sha256: 'abc' }],
    ['sha256', { sha256: 'A'.repeat(64) }],
    ['contentType', { contentType: 'text' }],
    ['contentType', { contentType: 'text/plain\r\nX: y' }],
    ['meta.A', { meta: { A: 'b' } }],
    ['meta.a b', { meta: { 'a b': 'b' } }],
    ['meta.1a', { meta: { '1a': 'b' } }],
    ['meta.a', { meta: { a: 5 } }],
    ['meta.a', { meta: { a: '' } }],
    ['meta.a', { meta: { a: ' b' } }],
    ['meta.a', { meta: { a: 'b\nc' } }],
    ['meta.a', { meta: { a: 'é' } }],
    ['meta', { meta: { a: 'b'.repeat(1920) } }],
    ['ifNoneMatch', { ifNoneMatch: '*' }],
    ['overwrite', { overwrite: false }],
  ]
  it.each(writes)('write refuses %s: %o', async (path, o) => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    await expect(openBlobs(driver).write('k', 'x', o as WriteOptions)).rejects.toMatchObject({
      code: 'INVALID',
      path,
      at: { scheme: 'recording', op: 'write' },
    })
    expect(calls).toEqual([])
  })

  it('metadata leaves room for a mark of the driver within the 2 KiB of S3', async () => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    await openBlobs(driver).write('k', 'x', { meta: { a: 'b'.repeat(1919) } })
    expect(calls.length).toBeGreaterThan(0)
    // The longest of this project: the name of the mark, and a UUID.
    expect(1920 + 'tensorhub-write'.length + 36).toBeLessThanOrEqual(2048)
  })

  it('so do read, list, copy, sign and sweep', async () => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    const store = openBlobs(driver)
    const wrong: readonly (readonly [string, () => unknown])[] = [
      ['range', () => store.read('k', { range: { offset: -1 } })],
      ['range', () => store.bytes('k', { range: { offset: 0, length: 0.5 } })],
      ['ifVersion', () => store.read('k', { ifVersion: '' })],
      ['suffix', () => store.read('k', { suffix: 5 } as object)],
      ['range', () => store.readInto('k', new Uint8Array(1), { offset: Number.NaN })],
      ['limit', () => store.list('', { limit: 1.5 }).next()],
      ['key', () => store.list('', { after: '../x' }).next()],
      ['prefix', () => store.list('', { prefix: 'a' } as object).next()],
      ['when', () => store.copy('a', 'b', { when: {} } as object)],
      ['contentType', () => store.copy('a', 'b', { contentType: 'a/b' } as object)],
      ['method', () => store.sign('k', { method: 'DELETE', expiresIn: 5 } as never)],
      ['expiresIn', () => store.sign('k', { method: 'GET', expiresIn: 0 })],
      ['before', () => store.sweep({ before: new Date(Number.NaN) })],
      ['before', () => store.sweep({} as never)],
      ['olderThan', () => store.sweep({ before: new Date(), olderThan: 5 } as never)],
    ]
    for (const [path, call] of wrong)
      await expect(async () => call(), path).rejects.toMatchObject({ code: 'INVALID', path })
    expect(calls).toEqual([])
  })

  it('a wrong key rejects rather than throws', async () => {
    const store = openBlobs(recordingBlobs(EVERYTHING).driver)
    for (const call of [
      () => store.stat('../x'),
      () => store.read('/x'),
      () => store.bytes('x/'),
      () => store.readInto('x//y', new Uint8Array(1), { offset: 0 }),
      () => store.write('', 'x'),
      () => store.delete(['ok', 'a b']),
      () => store.copy('ok', '..'),
      () => store.sign('con', { method: 'GET', expiresIn: 5 }),
      () => store.exists('x.'),
    ]) {
      const outcome: unknown = call()
      expect(outcome).toBeInstanceOf(Promise)
      await expect(outcome).rejects.toMatchObject({ code: 'INVALID', path: 'key' })
    }
  })
})

describe('what core does for a driver', () => {
  it('turns every body into a stream of known or unknown size, or bytes where the driver takes them', async () => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    const store = openBlobs(driver)
    const one = new TextEncoder().encode('é')
    await store.write('a', 'é')
    await store.write('b', one)
    await store.write('c', one.buffer)
    await store.write('d', new Blob([one]))
    await store.write('e', new Blob([one]).stream() as BlobBody)
    await store.write(
      'f',
      (async function* () {
        yield one
      })(),
    )
    expect(calls.map(([, key, content, o]) => [key, content, (o as WriteOptions).size])).toEqual([
      ['a', 'é', 2],
      ['b', 'é', 2],
      ['c', 'é', 2],
      ['d', 'é', 2],
      ['e', 'é', undefined],
      ['f', 'é', undefined],
    ])
    await expect(store.write('g', 5 as never)).rejects.toMatchObject({ code: 'INVALID', path: 'body' })
    await expect(store.write('g', null as never)).rejects.toMatchObject({ code: 'INVALID', path: 'body' })
    const seen: unknown[] = []
    const fast = openBlobs({
      ...driver,
      async writeBytes(key, bytes, o) {
        seen.push([key, text(bytes), o])
        return driver.stat(key, {})
      },
    })
    await fast.write('h', 'x', { size: 1, meta: { a: 'b' } })
    expect(seen).toEqual([['h', 'x', { meta: { a: 'b' } }]])
  })

  it('splits deletes by deleteMax, and asks for nothing where there is nothing', async () => {
    const { driver, calls } = recordingBlobs(EVERYTHING)
    const store = openBlobs(driver)
    await store.delete(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    await store.delete([])
    expect(calls.map(([, keys]) => keys)).toEqual([['a', 'b', 'c'], ['d', 'e', 'f'], ['g']])
  })

  it('reads into memory, whole and in ranges, with and without the driver’s help', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    const store = openBlobs(driver)
    expect(text(await store.bytes('k'))).toBe('content')
    expect(text(await store.bytes('k', { range: { offset: 3 } }))).toBe('tent')
    expect(text(await store.bytes('k', { range: { offset: 3, length: 100 } }))).toBe('tent')
    expect(text(await store.bytes('k', { range: { offset: 0, length: 0 } }))).toBe('')
    const into = new Uint8Array(4)
    expect((await store.readInto('k', into, { offset: 3 })).size).toBe(7)
    expect(text(into)).toBe('tent')
    await expect(store.readInto('k', new Uint8Array(5), { offset: 3 })).rejects.toMatchObject({ code: 'RANGE' })
  })

  it('a body that is shorter or longer than the store said is INTEGRITY', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    const lying = (size: number): BlobDriver => ({
      ...driver,
      async read(key, o) {
        const { info, body } = await driver.read(key, {})
        return { info: { ...info, size: o.range ? 7 : size }, body }
      },
    })
    await expect(openBlobs(lying(8)).bytes('k')).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(openBlobs(lying(6)).bytes('k')).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(openBlobs(lying(7)).readInto('k', new Uint8Array(3), { offset: 0 })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  it('gives failures of a body in flight a place; cancelling reaches the source', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    let cancelled: unknown
    const failing = openBlobs({
      ...driver,
      async read(key, o) {
        const { info } = await driver.read(key, o)
        let pulls = 0
        const body = new ReadableStream<Uint8Array>(
          {
            pull(controller) {
              if (pulls++ === 0) controller.enqueue(new Uint8Array(2))
              else controller.error(new Error('socket hang up'))
            },
            cancel(reason) {
              cancelled = reason
            },
          },
          { highWaterMark: 0 },
        )
        return { info, body }
      },
    })
    const place = { code: 'UNKNOWN', at: { scheme: 'recording', op: 'read', target: 'k' } }
    await expect(failing.bytes('k')).rejects.toMatchObject(place)
    const { body } = await failing.read('k')
    const reader = body.getReader()
    await reader.read()
    await expect(reader.read()).rejects.toMatchObject(place)
    const other = await failing.read('k')
    await other.body.cancel('enough')
    expect(cancelled).toBe('enough')
  })

  it('exists is false for NOT_FOUND only', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    const failing = (code: 'NOT_FOUND' | 'DENIED') =>
      openBlobs({
        ...driver,
        async stat() {
          const { HubError } = await import('../../src/index.ts')
          throw new HubError(code, 'no', { at: { scheme: 'recording', op: 'stat' } })
        },
      })
    expect(await failing('NOT_FOUND').exists('k')).toBe(false)
    await expect(failing('DENIED').exists('k')).rejects.toMatchObject({ code: 'DENIED' })
    expect(await openBlobs(driver).exists('k')).toBe(true)
  })

  it('sweeps nothing where the driver leaves nothing', async () => {
    expect(await openBlobs(recordingBlobs(NOTHING).driver).sweep({ before: new Date() })).toEqual({
      count: 0,
      bytes: 0,
    })
  })

  it('gives foreign errors a place, and leaves HubErrors as they are', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    const cause = new TypeError('boom')
    const store = new BlobStore({
      ...driver,
      async stat() {
        throw cause
      },
    })
    const error = await store.stat('k').catch((e: unknown) => e)
    expect(isHubError(error, 'UNKNOWN')).toBe(true)
    expect(error).toMatchObject({
      cause,
      at: { scheme: 'recording', op: 'stat', target: 'k' },
      message: expect.stringContaining('boom'),
    })
  })
})

describe('a change that is aborted', () => {
  /** A store whose driver ends its writes when the test says so, and looks at no signal. */
  function held() {
    const { driver } = recordingBlobs(EVERYTHING)
    let end: (outcome: Promise<void>) => void = () => undefined
    const outcome = new Promise<void>((resolve) => {
      end = resolve
    })
    let begun = () => {}
    const atWork = new Promise<void>((resolve) => {
      begun = resolve
    })
    const store = openBlobs({
      ...driver,
      async delete() {
        begun()
        await outcome
      },
    })
    const stop = new AbortController()
    const call = store.delete(['k'], { signal: stop.signal })
    return { call, stop, end, atWork, store }
  }

  it('holds its caller until the driver has ended, so that nothing comes behind what is done next', async () => {
    const { call, stop, end, atWork } = held()
    let over = false
    const settled = call.then(
      () => 'done',
      (error: unknown) => error,
    )
    void settled.then(() => {
      over = true
    })
    await atWork
    stop.abort('enough')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(over).toBe(false)
    end(Promise.reject(new Error('the connection was cut')))
    expect(await settled).toMatchObject({ code: 'ABORTED', cause: 'enough' })
  })

  it('and was done all the same is told as done', async () => {
    const { call, stop, end, atWork } = held()
    await atWork
    stop.abort()
    end(Promise.resolve())
    await expect(call).resolves.toBeUndefined()
  })

  it('lets its caller go after three seconds, whatever the driver does', async () => {
    const { call, stop, end, atWork, store } = held()
    await atWork
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      stop.abort()
      vi.advanceTimersByTime(3000)
      await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    } finally {
      vi.useRealTimers()
    }
    end(Promise.resolve())
    await store.close()
  })
})

describe('nothing stays open', () => {
  it('of a read that was aborted while the store was opening its body', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    const cancelled: unknown[] = []
    let give = () => {}
    const asked = new Promise<void>((resolve) => {
      give = resolve
    })
    let opened = () => {}
    const opening = new Promise<void>((resolve) => {
      opened = resolve
    })
    const store = openBlobs({
      ...driver,
      async read(key, o) {
        give()
        await opening
        const { info } = await driver.read(key, o)
        return { info, body: new ReadableStream({ cancel: (reason) => void cancelled.push(reason) }) }
      },
    })
    const stop = new AbortController()
    const read = store.read('k', { signal: stop.signal })
    await asked
    stop.abort('enough')
    await expect(read).rejects.toMatchObject({ code: 'ABORTED' })
    opened()
    await store.close()
    expect(cancelled).toEqual(['enough'])
  })

  it('of the source of a write whose driver failed before it looked at the body', async () => {
    const { driver } = recordingBlobs(EVERYTHING)
    const store = openBlobs({ ...driver, write: () => Promise.reject(new Error('no file could be made')) })
    const cancelled: unknown[] = []
    const source = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10)),
      cancel: (reason) => void cancelled.push(reason),
    })
    await expect(store.write('k', source)).rejects.toMatchObject({ code: 'UNKNOWN' })
    expect(cancelled).toEqual([expect.objectContaining({ message: 'no file could be made' })])
  })
})
