import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { azure } from '@tensorhub/azure'
import { type Call, isHubError, openBlobs, type Precondition } from '@tensorhub/core'
import { type AzureServer, startAzure } from '@tensorhub/servers'
import {
  answer,
  azureError,
  delayReply,
  halfOpen,
  loseReply,
  resetReply,
  resetRequest,
  slow,
} from '@tensorhub/servers/proxy'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { byKey } from './containers.ts'
import { type Behind, behindProxy, bytesOf, KIB, same } from './through-proxy.ts'

let server: AzureServer
let behind: Behind
beforeAll(async () => {
  server = await startAzure()
})
afterAll(() => server.stop())
beforeEach(async () => {
  behind = await behindProxy(server, { partSize: 256 * KIB, timeout: 20_000 })
})
afterEach(() => behind.end())

/** One request, and blocks. */
const PATHS = [
  ['Put Blob', 1000],
  ['Put Block List', 1024 * KIB],
] as const

describe('replies that are lost after the write was applied', () => {
  for (const [operation, size] of PATHS) {
    it(`${operation}: a create-only write that is there is success, not EXISTS; the next one is EXISTS`, async () => {
      const { blobs, direct, proxy } = behind
      for (const [i, then] of (['reset', 'close'] as const).entries()) {
        const bytes = bytesOf(size, i)
        const rule = proxy.on({ operation }, loseReply(then), { times: 2 })
        const info = await blobs.write(then, bytes, { when: { ifAbsent: true }, meta: { m: '1' } })
        expect(rule.hits).toBe(2)
        const found = await direct.stat(then)
        expect([info.version, info.size, info.meta]).toEqual([found.version, size, { m: '1' }])
        expect(same(await direct.bytes(then), bytes)).toBe(true)
        await expect(blobs.write(then, bytes, { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'EXISTS' })
      }
    })

    it(`${operation}: a compare-and-set that is there is success, not CONFLICT; a counter loses nothing`, async () => {
      const { blobs, direct, proxy } = behind
      let { version } = await direct.write('n', 'begin')
      proxy.on({ operation }, loseReply(), { every: 2 })
      for (let n = 0; n < 6; n++) {
        const bytes = bytesOf(size, n)
        version = (await blobs.write('n', bytes, { when: { ifVersion: version } })).version
        expect(same(await direct.bytes('n', { ifVersion: version }), bytes)).toBe(true)
      }
      proxy.clearRules()
      await direct.write('n', 'other')
      await expect(blobs.write('n', bytesOf(size), { when: { ifVersion: version } })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
    })

    it(`${operation}: another writer that was first is told from a lost reply`, async () => {
      const { blobs, direct, proxy } = behind
      const old = await direct.write('k', 'first')
      // The reply to the refusal is lost too.
      proxy.on({ operation }, loseReply(), { times: 1 })
      await expect(blobs.write('k', bytesOf(size), { when: { ifAbsent: true } })).rejects.toMatchObject({
        code: 'EXISTS',
      })
      await direct.write('k', 'second')
      // Over a version it could have been done, and been written over since: nothing that can be read tells.
      proxy.on({ operation }, loseReply(), { times: 1 })
      await expect(blobs.write('k', bytesOf(size), { when: { ifVersion: old.version } })).rejects.toMatchObject({
        ...{ code: 'UNKNOWN', reason: 'OUTCOME_UNKNOWN', retryable: false },
      })
      expect(Buffer.from(await direct.bytes('k')).toString()).toBe('second')
    })
  }

  it('Put Blob, Put Block List, Delete Blob: aborted once they were sent whole they are known to be done', async () => {
    const { blobs, direct, proxy } = behind
    for (const [operation, call, there] of [
      ['Put Blob', (o: Call) => blobs.write('k', 'x', o), true],
      ['Delete Blob', (o: Call) => blobs.delete(['k'], o), false],
      ['Put Block List', (o: Call) => blobs.write('k', bytesOf(1024 * KIB), o), true],
    ] as const) {
      proxy.forget()
      proxy.on({ operation }, delayReply(300), { times: 1 })
      const stop = new AbortController()
      const done = call({ signal: stop.signal })
      await expect.poll(() => proxy.count({ operation }), { timeout: 30_000 }).toBe(1)
      stop.abort()
      await done
      expect(await direct.exists('k')).toBe(there)
    }
  })

  it('a client of the caller that repeats by itself: nothing is sent behind an abort', async () => {
    const { direct, proxy, container } = behind
    const credential = new StorageSharedKeyCredential(server.account, server.key)
    const url = `${proxy.through(server.endpoint)}/${container}`
    const client = new ContainerClient(url, credential, { retryOptions: { maxTries: 4, retryDelayInMs: 3000 } })
    const blobs = openBlobs(azure({ client, probe: false }))
    // It repeats once without a wait.
    proxy.on({ operation: 'Put Blob' }, answer(azureError(503, 'ServerBusy')), { times: 2 })
    const stop = new AbortController()
    const write = blobs.write('k', 'x', { signal: stop.signal })
    write.catch(() => undefined)
    await expect.poll(() => proxy.count({ operation: 'Put Blob' })).toBe(2)
    stop.abort()
    await expect(write).rejects.toMatchObject({ code: 'ABORTED' })
    await blobs.close()
    expect(proxy.count({ operation: 'Put Blob' })).toBe(2)
    expect(await direct.exists('k')).toBe(false)
  })

  it('every reply lost: read back it is success; when that fails too, UNKNOWN, which is not retryable', async () => {
    const { blobs, direct, proxy } = behind
    proxy.on({ operation: 'Put Blob' }, resetRequest(0))
    await expect(blobs.write('never', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'UNKNOWN' })
    expect(await direct.exists('never')).toBe(false)
    proxy.clearRules()
    proxy.on({ operation: 'Put Blob' }, loseReply())
    await blobs.write('k', 'x', { when: { ifAbsent: true } })
    proxy.on({ operation: 'Get Blob Properties' }, resetRequest(0))
    const error = await blobs.write('j', 'x', { when: { ifAbsent: true } }).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'UNKNOWN', retryable: false })
    expect(await direct.exists('j')).toBe(true)
    // Without a condition the same call may be made again.
    await expect(blobs.write('i', 'x')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  })

  it('a delete and a block whose replies are lost are done again', async () => {
    const { blobs, direct, proxy } = behind
    await direct.write('k', 'x')
    proxy.on({ operation: ['Delete Blob', 'Put Block'] }, loseReply(), { every: 2 })
    await blobs.delete(['k', 'none', 'also-none'])
    expect(await direct.exists('k')).toBe(false)
    const bytes = bytesOf(2048 * KIB)
    await blobs.write('k', new Blob([bytes as Uint8Array<ArrayBuffer>]))
    expect(same(await direct.bytes('k'), bytes)).toBe(true)
  })
})

describe('answers that may pass', () => {
  // https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
  const PASSING = [
    [503, 'ServerBusy', 'THROTTLED'],
    [500, 'InternalError', 'UNAVAILABLE'],
    [500, 'OperationTimedOut', 'UNAVAILABLE'],
    [409, 'OperationAborted', 'UNAVAILABLE'],
    [429, 'TooManyRequests', 'THROTTLED'],
  ] as const
  const OPERATIONS = [
    ...['Put Blob', 'Put Block', 'Put Block List', 'Get Blob', 'Get Blob Properties', 'Delete Blob'],
    ...['List Blobs', 'Copy Blob'],
  ]

  for (const [status, code, hub] of PASSING) {
    it(`${status} ${code}: twice on every operation, and nothing is noticed; always, and it is ${hub}, retryable`, async () => {
      const { blobs, direct, proxy } = behind
      for (const operation of OPERATIONS) proxy.on({ operation }, answer(azureError(status, code)), { times: 2 })
      const large = bytesOf(1024 * KIB)
      await blobs.write('small', 'x', { when: { ifAbsent: true } })
      const { version } = await blobs.write('large', large, { when: { ifAbsent: true } })
      await blobs.write('large', large, { when: { ifVersion: version } })
      expect(same(await blobs.bytes('large'), large)).toBe(true)
      expect((await blobs.stat('small')).size).toBe(1)
      await blobs.copy('small', 'copy', { when: { ifAbsent: true } })
      const keys: string[] = []
      for await (const { key } of blobs.list('')) keys.push(key)
      expect(keys).toEqual(['copy', 'large', 'small'])
      await blobs.delete(keys)
      expect(await direct.exists('large')).toBe(false)

      proxy.clearRules()
      proxy.on({}, answer(azureError(status, code)))
      for (const when of [{ ifAbsent: true }, { ifVersion: version }] satisfies Precondition[]) {
        const error = await blobs.write('new', 'x', { when }).catch((e: unknown) => e)
        // Of a 5xx it is not known whether it was applied, and it cannot be read back here.
        expect(isHubError(error) && error.code).toBe(hub === 'THROTTLED' ? hub : 'UNKNOWN')
      }
      await expect(blobs.stat('new')).rejects.toMatchObject({ code: hub, retryable: true })
      await expect(blobs.delete(['new'])).rejects.toMatchObject({ code: hub, retryable: true })
    })
  }
})

describe('connections that break', () => {
  it('a body that is reset again and again continues where it broke, of the same version, and costs one GET a break', async () => {
    const { direct, proxy } = behind
    const bytes = bytesOf(3000 * KIB)
    await direct.write('k', bytes)
    for (const action of [resetReply(500 * KIB), resetReply(0), halfOpen(300 * KIB)]) {
      proxy.clearRules()
      proxy.forget()
      proxy.on({ operation: 'Get Blob' }, action, { times: 3 })
      const quick = behindTimeout(1500)
      expect(same(await quick.bytes('k', { range: { offset: 10 } }), bytes.subarray(10))).toBe(true)
      const gets = proxy.requests.filter(({ operation }) => operation === 'Get Blob')
      expect(gets.length).toBe(4)
      expect(gets.slice(1).every(({ headers }) => headers.has('if-match'))).toBe(true)
      await quick.close()
    }
  })

  it('into memory too; and the version asked for stays asked for', async () => {
    const { blobs, direct, proxy } = behind
    const bytes = bytesOf(3000 * KIB)
    const { version } = await direct.write('k', bytes)
    proxy.on({ operation: 'Get Blob' }, resetReply(100 * KIB), { every: 2 })
    const into = new Uint8Array(bytes.byteLength)
    await blobs.readInto('k', into, { offset: 0, ifVersion: version })
    expect(same(into, bytes)).toBe(true)
  })

  it('a blob replaced while its body is broken: CONFLICT, never the rest of another one', async () => {
    const { blobs, direct, proxy } = behind
    await direct.write('k', bytesOf(3000 * KIB, 1))
    proxy.on({ operation: 'Get Blob' }, resetReply(500 * KIB), { times: 1 })
    const { body } = await blobs.read('k')
    await direct.write('k', bytesOf(3000 * KIB, 2))
    await expect(new Response(body).arrayBuffer()).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('blocks and single bodies that are reset in the middle are sent again', async () => {
    const { blobs, direct, proxy } = behind
    proxy.on({ operation: ['Put Block', 'Put Blob'] }, resetRequest(100 * KIB), { every: 3 })
    for (const [key, size] of [
      ['a', 300 * KIB],
      ['b', 300 * KIB],
      ['c', 300 * KIB],
      ['d', 3000 * KIB],
    ] as const) {
      await blobs.write(key, bytesOf(size), { when: { ifAbsent: true } })
      expect(same(await direct.bytes(key), bytesOf(size))).toBe(true)
    }
  })

  it('a slow line is no silence: what makes progress may take longer than the timeout, both ways', async () => {
    const { direct, proxy } = behind
    const bytes = bytesOf(12 * 1024 * KIB)
    const blobs = behindTimeout(4000)
    // What buffers on the way hold is no progress that a sender sees: some two seconds here.
    const rule = proxy.on({ operation: ['Put Blob', 'Get Blob'] }, slow(2 * 1024 * KIB))
    const began = performance.now()
    await blobs.write('k', bytes)
    expect(same(await blobs.bytes('k'), bytes)).toBe(true)
    expect(performance.now() - began).toBeGreaterThan(9000)
    // Nothing was sent twice.
    expect(rule.hits).toBe(2)
    expect(same(await direct.bytes('k'), bytes)).toBe(true)
    await blobs.close()
  })

  it('a reader that pauses longer than the timeout reads on', async () => {
    const { direct } = behind
    const bytes = bytesOf(8000 * KIB)
    await direct.write('k', bytes)
    const blobs = behindTimeout(500)
    const { body } = await blobs.read('k')
    const pieces: Uint8Array[] = []
    for await (const piece of body) {
      pieces.push(piece.slice())
      if (pieces.length === 1) await new Promise((resolve) => setTimeout(resolve, 2000))
    }
    expect(same(Buffer.concat(pieces), bytes)).toBe(true)
    await blobs.close()
  })

  it('a server that falls silent: UNAVAILABLE within the timeout, for every call; then everything works again', async () => {
    const { direct, proxy } = behind
    await direct.write('k', 'x')
    const blobs = behindTimeout(1000)
    await blobs.stat('k')
    proxy.blackHole()
    const began = performance.now()
    const calls = [
      () => blobs.stat('k'),
      () => blobs.bytes('k'),
      () => blobs.write('new', 'x'),
      () => blobs.delete(['k']),
      async () => {
        for await (const _info of blobs.list(''));
      },
    ]
    const outcomes = await Promise.allSettled(calls.map((call) => call()))
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE', reason: 'UNREACHABLE' } })
    // The machine may be busy; a hang would be minutes.
    expect(performance.now() - began).toBeLessThan(20_000)
    proxy.restore()
    proxy.cutAll()
    expect((await blobs.stat('k')).size).toBe(1)
    await blobs.close()
  })

  const behindTimeout = (timeout: number) => {
    const endpoint = behind.proxy.through(server.endpoint)
    return openBlobs(azure({ ...byKey(server, behind.container), endpoint, probe: false, timeout }))
  }
})
