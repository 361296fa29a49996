import { type BlobStore, type Call, isHubError, openBlobs } from '@tensorhub/core'
import { type GcsOptions, gcs } from '@tensorhub/gcs'
import { type GcsServer, startGcs } from '@tensorhub/servers'
import {
  answer,
  captivePage,
  delayReply,
  type FaultProxy,
  gcsError,
  halfOpen,
  loseReply,
  resetReply,
  resetRequest,
  startProxy,
} from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { newBucket } from './bucket.ts'
import { errorOf } from './error-of.ts'

const MIB = 1024 * 1024
const absent = { when: { ifAbsent: true } } as const

await serverSuite(
  'gcs',
  'gcs through a fault proxy',
  () => {
    let server: GcsServer
    let proxy: FaultProxy
    let bucket: string
    const stores: BlobStore[] = []

    beforeAll(async () => {
      server = await startGcs({ backend: 'memory' })
    })
    afterAll(() => server.stop())
    beforeEach(async () => {
      bucket = await newBucket(server)
      proxy = await startProxy(server, { store: 'gcs' })
    })
    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close()
      await proxy.close()
    })

    async function store(options: Partial<GcsOptions> = {}): Promise<BlobStore> {
      const blobs = openBlobs(
        gcs({
          bucket,
          endpoint: proxy.through(server.endpoint),
          projectId: 'p',
          timeout: 5000,
          ...options,
        } as GcsOptions),
      )
      stores.push(blobs)
      await blobs.open()
      proxy.forget()
      return blobs
    }

    function bytesOf(size: number, seed = 1): Uint8Array {
      return Uint8Array.from({ length: size }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 255)
    }

    async function* pieces(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < bytes.length; i += size) yield bytes.slice(i, i + size)
    }

    it('a write or a delete that is aborted once it was sent whole is known to be done', async () => {
      const blobs = await store()
      for (const [method, call] of [
        ['POST', (o: Call) => blobs.write('k', 'x', o)],
        ['DELETE', (o: Call) => blobs.delete(['k'], o)],
      ] as const) {
        proxy.on({ method }, delayReply(300), { times: 1 })
        const stop = new AbortController()
        const done = call({ signal: stop.signal })
        await expect.poll(() => proxy.count({ method }), { timeout: 30_000 }).toBe(1)
        stop.abort()
        await done
        expect(await blobs.exists('k')).toBe(method === 'POST')
      }
    })

    describe('replies that are lost', () => {
      it('a conditional write whose reply is lost is no false EXISTS, and is written once', async () => {
        const blobs = await store()
        proxy.on({ operation: 'objects.insert' }, loseReply(), { every: 2 })
        for (let i = 0; i < 20; i++) {
          const info = await blobs.write(`k${i}`, bytesOf(1000, i), absent)
          expect(info.version).toBe((await blobs.stat(`k${i}`)).version)
        }
        expect(proxy.count({ operation: 'objects.insert' })).toBe(20)
        for (let i = 0; i < 20; i++) expect(await blobs.bytes(`k${i}`)).toEqual(bytesOf(1000, i))
      })

      it('one over a version neither, and a real conflict stays one', async () => {
        const blobs = await store()
        let { version } = await blobs.write('k', 'first')
        const lost = proxy.on({ operation: 'objects.insert' }, loseReply(), { every: 2 })
        for (let i = 0; i < 10; i++) {
          const old = version
          version = (await blobs.write('k', `value ${i}`, { when: { ifVersion: old } })).version
          const before = lost.hits
          const late = await errorOf(blobs.write('k', 'late', { when: { ifVersion: old } }))
          // Whose reply was lost too could have been done, and been written over since.
          expect([late.code, late.retryable]).toEqual([lost.hits > before ? 'UNKNOWN' : 'CONFLICT', false])
          expect((await errorOf(blobs.write('k', 'late', absent))).code).toBe('EXISTS')
        }
        expect(new TextDecoder().decode(await blobs.bytes('k'))).toBe('value 9')
      })

      it('of the request that commits an upload in parts neither', async () => {
        const blobs = await store({ partSize: 256 * 1024 })
        const bytes = bytesOf(MIB + 5)
        const last = proxy.on(
          ({ operation, headers }) => operation === 'upload.put' && !headers.get('content-range')?.endsWith('/*'),
          loseReply(),
          { times: 1 },
        )
        await blobs.write('k', pieces(bytes), absent)
        expect(last.hits).toBe(1)
        expect(await blobs.bytes('k')).toEqual(bytes)
        expect((await errorOf(blobs.write('k', pieces(bytes), absent))).code).toBe('EXISTS')
      })

      it('an unconditional write that was done is not done again over what somebody else wrote since', async () => {
        const blobs = await store()
        proxy.on({ operation: 'objects.insert' }, loseReply(), { times: 1 })
        await blobs.write('k', 'mine')
        expect(proxy.count({ operation: 'objects.insert' })).toBe(1)
      })

      it('a reply that never comes ends in the outcome as well, after the timeout', async () => {
        const blobs = await store({ timeout: 1000 })
        proxy.on({ operation: 'objects.insert' }, loseReply('silence'), { times: 1 })
        await blobs.write('k', 'x', absent)
        expect(proxy.count({ operation: 'objects.insert' })).toBe(1)
      })
    })

    describe('storms', () => {
      it('of 409, 429, 500 and 503 are outlived, with few requests; who has had enough says so truly', async () => {
        const blobs = await store()
        proxy.on({}, answer(gcsError(503, 'backendError')), { rate: 0.2 })
        proxy.on({}, answer(gcsError(429, 'rateLimitExceeded')), { rate: 0.1 })
        proxy.on({}, answer(gcsError(409, 'conflict')), { rate: 0.1 })
        proxy.on({ method: 'GET' }, answer(gcsError(500, 'internalError')), { rate: 0.1 })
        const outcomes = await Promise.allSettled(
          Array.from({ length: 30 }, async (_, i) => {
            const { version } = await blobs.write(`k${i}`, bytesOf(100, i), absent)
            expect((await blobs.stat(`k${i}`)).version).toBe(version)
            expect(await blobs.bytes(`k${i}`)).toEqual(bytesOf(100, i))
          }),
        )
        // Four in ten, six times over: of 250 calls one has had enough. What it says then must be true.
        const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
        for (const error of failures)
          if (!isHubError(error) || !['THROTTLED', 'UNAVAILABLE', 'UNKNOWN'].includes(error.code)) throw error
        expect(failures.length).toBeLessThanOrEqual(4)
        expect(proxy.count() / 90).toBeLessThan(3)
      })

      it('409 that stays is THROTTLED, never CONFLICT; so is 429, and 503', async () => {
        const blobs = await store()
        await blobs.write('k', 'x')
        for (const [status, reason] of [
          [409, 'conflict'],
          [429, 'rateLimitExceeded'],
          [403, 'rateLimitExceeded'],
          [503, 'backendError'],
        ] as const) {
          const rule = proxy.on({ operation: 'objects.insert' }, answer(gcsError(status, reason, 'slow down')))
          const error = await errorOf(blobs.write('k2', 'x', absent))
          expect([error.code, error.retryable], `${status}`).toEqual(['THROTTLED', true])
          expect(error.message).toContain('slow down')
          expect(rule.matched).toBe(6)
          rule.off()
          expect(await blobs.exists('k2')).toBe(false)
        }
      })
    })

    describe('connections that break', () => {
      it('within a body: it goes on from where it broke, of the same version', async () => {
        const blobs = await store()
        const bytes = bytesOf(3 * MIB)
        await blobs.write('k', bytes)
        proxy.on({ operation: 'objects.get media' }, resetReply(700_000), { times: 3 })
        expect(await blobs.bytes('k')).toEqual(bytes)
        const ranges = proxy.requests.map(({ headers }) => headers.get('range')).filter((range) => range !== undefined)
        expect(ranges.length).toBeGreaterThanOrEqual(3)
        expect(new Set(ranges).size).toBe(ranges.length)
        const into = new Uint8Array(2 * MIB)
        proxy.on({ operation: 'objects.get media' }, resetReply(100_000), { times: 2 })
        await blobs.readInto('k', into, { offset: 1000 })
        expect(into).toEqual(bytes.subarray(1000, 1000 + 2 * MIB))
      })

      it('within a body that was replaced meanwhile: CONFLICT, never a mixture', async () => {
        const blobs = await store()
        await blobs.write('k', bytesOf(3 * MIB, 1))
        proxy.on({ operation: 'objects.get media' }, resetReply(700_000), { times: 1 })
        const { body } = await blobs.read('k')
        await blobs.write('k', bytesOf(3 * MIB, 2))
        const error = await errorOf(new Response(body).arrayBuffer())
        expect(error.code).toBe('CONFLICT')
      })

      it('within a listing, or what is said of a blob: it is asked for again', async () => {
        const blobs = await store()
        for (let i = 0; i < 20; i++) await blobs.write(`k${i}`, 'x')
        const cut = proxy.on({ operation: 'objects.list' }, resetReply(100), { times: 2 })
        const keys: string[] = []
        for await (const { key } of blobs.list('')) keys.push(key)
        expect(keys.length).toBe(20)
        proxy.on({ operation: 'objects.get' }, resetReply(100), { times: 1 })
        expect((await blobs.stat('k1')).size).toBe(1)
        expect(cut.hits).toBe(2)
      })

      it('within an upload: the part is sent again', async () => {
        const blobs = await store({ partSize: 256 * 1024 })
        const bytes = bytesOf(2 * MIB + 77)
        const cut = proxy.on({ operation: 'upload.put' }, resetRequest(50_000), { every: 3, times: 3 })
        await blobs.write('k', pieces(bytes), absent)
        expect(cut.hits).toBe(3)
        expect(await blobs.bytes('k')).toEqual(bytes)
      })

      it('that keep breaking end in UNAVAILABLE, and nothing is visible', async () => {
        const blobs = await store({ partSize: 256 * 1024 })
        proxy.on({ operation: ['upload.put', 'objects.insert'] }, resetRequest(1000))
        for (const body of [bytesOf(1000), pieces(bytesOf(MIB))]) {
          const error = await errorOf(blobs.write('k', body, absent))
          expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'UNREACHABLE', true])
        }
        proxy.clearRules()
        expect(await blobs.exists('k')).toBe(false)
      })

      it('half open: a body and a reply that fall silent end within the timeout', async () => {
        const blobs = await store({ timeout: 800 })
        await blobs.write('k', bytesOf(2 * MIB))
        proxy.on({ operation: 'objects.get media' }, halfOpen(300_000))
        const begun = performance.now()
        const body = await errorOf(blobs.bytes('k'))
        expect([body.code, body.reason]).toEqual(['UNAVAILABLE', 'UNREACHABLE'])
        proxy.clearRules()
        proxy.on({ operation: 'objects.get' }, halfOpen())
        const reply = await errorOf(blobs.stat('k'))
        expect([reply.code, reply.reason]).toEqual(['UNAVAILABLE', 'UNREACHABLE'])
        expect(reply.message).toContain('800 ms')
        expect(performance.now() - begun).toBeLessThan(20_000)
      })

      it('bodies that nobody reads, however many, stop nothing else', async () => {
        const blobs = await store()
        await blobs.write('k', bytesOf(MIB))
        const bodies: ReadableStream<Uint8Array>[] = []
        for (let i = 0; i < 70; i++) bodies.push((await blobs.read('k')).body)
        expect((await blobs.stat('k')).size).toBe(MIB)
        for (const body of bodies) await body.cancel()
      }, 30_000)

      it('a consumer that waits longer than the timeout loses nothing', async () => {
        const blobs = await store({ timeout: 500 })
        const bytes = bytesOf(3 * MIB)
        await blobs.write('k', bytes)
        const { body } = await blobs.read('k')
        const reader = body.getReader()
        const got = [(await reader.read()).value as Uint8Array]
        await new Promise((resolve) => setTimeout(resolve, 1500))
        for (;;) {
          const { done, value } = await reader.read()
          if (done) break
          got.push(value)
        }
        expect(Buffer.concat(got).equals(bytes)).toBe(true)
        expect(proxy.count({ operation: 'objects.get media' })).toBe(1)
      })
    })

    describe('what is not the store', () => {
      it('the login page of a network is an error of every call, never an answer', async () => {
        const blobs = await store()
        await blobs.write('k', 'x')
        proxy.on({}, answer(captivePage))
        const list = async () => {
          for await (const _info of blobs.list(''));
        }
        for (const call of [
          () => blobs.stat('k'),
          () => blobs.read('k'),
          () => blobs.readInto('k', new Uint8Array(1), { offset: 0 }),
          () => blobs.write('k', 'y'),
          () => blobs.write('k', 'y', absent),
          () => blobs.delete(['k']),
          () => blobs.copy('k', 'l'),
          list,
        ]) {
          const error = await errorOf(call())
          expect([error.code, error.reason]).toEqual(['UNAVAILABLE', 'NOT_THE_STORE'])
          expect(error.message).toContain(`127.0.0.1:${proxy.port}`)
        }
      })

      it('a page that says 404 is no missing blob, and one that sends elsewhere no answer', async () => {
        const blobs = await store()
        proxy.on({}, answer({ ...captivePage, status: 404 }), { times: 3 })
        expect((await errorOf(blobs.exists('k'))).reason).toBe('NOT_THE_STORE')
        expect((await errorOf(blobs.delete(['k']))).reason).toBe('NOT_THE_STORE')
        expect((await errorOf(blobs.read('k'))).reason).toBe('NOT_THE_STORE')
        proxy.on({}, answer({ status: 302, headers: { location: 'http://login.example/' } }))
        expect((await errorOf(blobs.stat('k'))).reason).toBe('NOT_THE_STORE')
      })

      it('JSON, or bytes, of something else', async () => {
        const blobs = await store()
        proxy.on(
          {},
          answer({ status: 200, headers: { 'content-type': 'application/json' }, body: '{"hello":"world"}' }),
        )
        for (const call of [() => blobs.stat('k'), () => blobs.read('k'), () => blobs.write('k', 'x')])
          expect((await errorOf(call())).reason).toBe('NOT_THE_STORE')
      })

      it('TLS: a certificate that nobody signed, one that ran out, a server without', async () => {
        for (const tls of [true, { expired: true }] as const) {
          const secure = await startProxy(server, { store: 'gcs', tls })
          const blobs = openBlobs(gcs({ bucket, endpoint: secure.through(server.endpoint), timeout: 5000 }))
          const error = await errorOf(blobs.stat('k'))
          expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'TLS', false])
          expect(error.message).toContain('NODE_EXTRA_CA_CERTS')
          await secure.close()
        }
        const plain = openBlobs(gcs({ bucket, endpoint: `https://127.0.0.1:${server.port}`, timeout: 5000 }))
        expect((await errorOf(plain.stat('k'))).reason).toBe('TLS')
      })
    })

    describe('requests of one call', () => {
      it('are as few as the README says', async () => {
        const blobs = await store()
        const counts = async (call: () => Promise<unknown>) => {
          proxy.forget()
          await call()
          return proxy.counts()
        }
        const bytes = bytesOf(20 * MIB)
        expect(await counts(() => blobs.write('k', bytes, absent))).toEqual({ 'objects.insert': 1 })
        expect(await counts(() => blobs.write('small', pieces(bytesOf(MIB))))).toEqual({ 'objects.insert': 1 })
        const streamed = (size?: number) => () =>
          blobs.write('stream', pieces(bytes, MIB), size === undefined ? {} : { size })
        // Three parts; what they leave is found by one listing, and deleted here since the server's compose does not.
        const composite = { 'objects.insert': 3, 'objects.compose': 1, 'objects.list': 1, 'objects.delete': 3 }
        // The first finds out what the bucket permits.
        expect(await counts(streamed())).toEqual({
          ...{ 'objects.insert': 3 + 1, 'objects.get': 1, 'objects.compose': 1 + 1 },
          ...{ 'objects.list': 1, 'objects.delete': 3 + 1 },
        })
        expect(await counts(streamed())).toEqual(composite)
        expect(await counts(streamed(bytes.length))).toEqual(composite)
        await store({ upload: 'session' }).then(async (serial) => {
          const session = (size?: number) => () =>
            serial.write('stream', pieces(bytes, MIB), size === undefined ? {} : { size })
          expect(await counts(session(bytes.length))).toEqual({ 'upload.start': 1, 'upload.put': 3 })
          expect(await counts(session())).toEqual({ 'upload.start': 1, 'upload.put': 4 })
        })
        expect(await counts(() => blobs.stat('k'))).toEqual({ 'objects.get': 1 })
        expect(await counts(() => blobs.bytes('k'))).toEqual({ 'objects.get media': 1 })
        const into = new Uint8Array(16 * MIB)
        expect(await counts(() => blobs.readInto('k', into, { offset: 0 }))).toEqual({ 'objects.get media': 2 })
        expect(into).toEqual(bytes.subarray(0, into.length))
        expect(await counts(() => blobs.copy('k', 'l'))).toEqual({ 'objects.get': 1, 'objects.rewrite': 1 })
        expect(
          await counts(async () => {
            for await (const _info of blobs.list(''));
          }),
        ).toEqual({ 'objects.list': 1 })
        expect(await counts(() => blobs.delete(['k', 'l', 'none']))).toEqual({ 'objects.delete': 3 })
      })

      it('opening sends three, and none without the probe', async () => {
        await store().then((blobs) => blobs.close())
        for (const [probe, expected] of [
          [true, { 'objects.insert': 2, 'objects.delete': 1 }],
          [false, {}],
        ] as const) {
          proxy.forget()
          const blobs = openBlobs(gcs({ bucket, endpoint: proxy.through(server.endpoint), probe }))
          await blobs.open()
          expect(proxy.counts()).toEqual(expected)
          await blobs.close()
        }
      })

      it('30 reads at once use 30 connections, and keep them', async () => {
        const blobs = await store()
        await blobs.write('k', bytesOf(MIB))
        for (let round = 0; round < 3; round++)
          await Promise.all(Array.from({ length: 30 }, () => blobs.readInto('k', new Uint8Array(MIB), { offset: 0 })))
        expect(proxy.connections.made).toBeLessThanOrEqual(31)
        const before = proxy.connections.open
        const { body } = await blobs.read('k')
        await body.cancel()
        await expect.poll(() => proxy.connections.open, { timeout: 10_000 }).toBeLessThanOrEqual(before)
      })
    })
  },
  { ours: true },
)
