import { randomBytes } from 'node:crypto'
import { type BlobStore, isHubError, openBlobs } from '@tensorhub/core'
import { type S3Options, s3 } from '@tensorhub/s3'
import { freePort } from '@tensorhub/servers'
import { answer, type FaultProxy, halfOpen, loseReply, resetReply, startProxy } from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { TestServer } from './server.ts'

const MIB = 1024 * 1024
const xml = (status: number, code: string, more = '') =>
  answer({
    status,
    headers: { 'content-type': 'application/xml', 'x-amz-request-id': 'REQUEST' },
    body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} said.</Message>${more}</Error>`,
  })
const CONDITIONAL = ['PutObject', 'CompleteMultipartUpload']

await serverSuite(
  's3',
  's3 through a faulty line',
  () => {
    const servers = new TestServer()
    let proxy: FaultProxy
    let bucket: string
    const opened: BlobStore[] = []
    const open = async (options: Partial<S3Options> = {}) => {
      const endpoint = proxy.through(servers.server.endpoint)
      const store = openBlobs(s3({ bucket, ...servers.access, endpoint, ...options }))
      opened.push(store)
      return store
    }
    beforeAll(async () => {
      await servers.start()
      proxy = await startProxy(servers.server, { store: 's3' })
      bucket = await servers.bucket()
    })
    afterEach(async () => {
      proxy.clearRules()
      for (const store of opened.splice(0)) await store.close()
    })
    afterAll(async () => {
      await proxy?.close()
      await servers.stop()
    })

    it.each(['reset', 'close'] as const)(
      'a lost reply (%s) is never a lost race: ifAbsent, ifVersion, in parts',
      async (how) => {
        const store = await open({ partSize: 5 * MIB })
        await store.write(`${how}/warm`, new Uint8Array(6 * MIB), { when: { ifAbsent: true } })
        const rule = proxy.on({ operation: CONDITIONAL }, loseReply(how), { every: 2 })
        for (let i = 0; i < 10; i++) await store.write(`${how}/${i}`, `${i}`, { when: { ifAbsent: true } })
        let { version } = await store.stat(`${how}/0`)
        for (let i = 0; i < 10; i++)
          version = (await store.write(`${how}/0`, `again ${i}`, { when: { ifVersion: version } })).version
        expect(new TextDecoder().decode(await store.bytes(`${how}/0`))).toBe('again 9')
        const bytes = randomBytes(12 * MIB)
        for (let i = 0; i < 3; i++) await store.write(`${how}/large${i}`, bytes, { when: { ifAbsent: true } })
        await store.copy(`${how}/large0`, `${how}/copied`, { when: { ifAbsent: true } })
        expect(rule.hits).toBeGreaterThan(8)
        rule.off()
        // And a real loss of the race is one, a reply lost or not.
        proxy.on({ operation: CONDITIONAL }, loseReply(how), { times: 1 })
        await expect(store.write(`${how}/1`, 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({
          code: 'EXISTS',
        })
        expect(Buffer.compare(await store.bytes(`${how}/large2`), bytes)).toBe(0)
        expect((await store.sweep({ before: new Date(Date.now() + 3_600_000), dryRun: true })).count).toBe(0)
      },
    )

    it('a storm of 409, 429 and 503 ends well: no false conflict, each write once', async () => {
      const store = await open()
      await store.open()
      proxy.on({ operation: CONDITIONAL }, xml(409, 'ConditionalRequestConflict'), { rate: 0.2 })
      proxy.on({}, xml(503, 'SlowDown'), { rate: 0.2 })
      proxy.on({}, xml(429, 'TooManyRequests'), { rate: 0.05 })
      proxy.forget()
      const writes = 40
      const outcomes = await Promise.allSettled(
        Array.from({ length: writes }, (_, i) => store.write(`storm/${i}`, `${i}`, { when: { ifAbsent: true } })),
      )
      const failures = outcomes.flatMap((o) => (o.status === 'rejected' ? [o.reason] : []))
      // Six tries at 40 % fail in 0.4 % of cases; those say so, and never claim a conflict.
      for (const failure of failures) expect(['THROTTLED', 'UNAVAILABLE', 'UNKNOWN']).toContain(failure.code)
      expect(failures.length).toBeLessThanOrEqual(3)
      expect(proxy.requests.length / writes).toBeLessThan(3)
    })

    it('throttled for good is THROTTLED, and says it may pass', async () => {
      const store = await open({ probe: false })
      proxy.on({}, xml(503, 'SlowDown'))
      await expect(store.stat('x')).rejects.toMatchObject({ code: 'THROTTLED', retryable: true })
      expect(proxy.requests.length).toBeGreaterThan(3)
    })

    it('a body that breaks off continues from there, of the same version; a replaced blob is CONFLICT', async () => {
      const store = await open()
      const bytes = randomBytes(4 * MIB)
      await store.write('broken', bytes)
      proxy.on({ operation: 'GetObject' }, resetReply(1_000_000), { times: 3 })
      expect(Buffer.compare(await store.bytes('broken'), bytes)).toBe(0)
      proxy.on({ operation: 'GetObject' }, resetReply(1_000_000), { times: 2 })
      const into = new Uint8Array(4 * MIB)
      await store.readInto('broken', into, { offset: 0 })
      expect(Buffer.compare(into, bytes)).toBe(0)
      proxy.on({ operation: 'GetObject' }, resetReply(1_000_000), { times: 1 })
      const { body } = await store.read('broken')
      const reader = body.getReader()
      await reader.read()
      await store.write('broken', randomBytes(4 * MIB))
      const rest = async () => {
        while (!(await reader.read()).done);
      }
      await expect(rest()).rejects.toMatchObject({ code: 'CONFLICT' })
    })

    it('a connection that falls silent is left after the timeout, and the rest read on another; so is one that its reader kept waiting', async () => {
      const store = await open({ timeout: 1000 })
      const bytes = randomBytes(3 * MIB)
      await store.write('silent', bytes)
      proxy.on({ operation: 'GetObject' }, halfOpen(500_000), { times: 1 })
      expect(Buffer.compare(await store.bytes('silent'), bytes)).toBe(0)
      proxy.on({ operation: 'PutObject' }, halfOpen(), { times: 1 })
      await store.write('silent2', 'x', { when: { ifAbsent: true } })
      const { body } = await store.read('silent')
      let length = 0
      for await (const piece of body) {
        if (length === 0) await new Promise((resolve) => setTimeout(resolve, 2500))
        length += piece.byteLength
      }
      expect(length).toBe(bytes.length)
    })

    it('errors inside of a reply that began with 200 are errors', async () => {
      const store = await open({ partSize: 5 * MIB })
      await store.open()
      const inside = answer({
        status: 200,
        headers: { 'content-type': 'application/xml', 'x-amz-request-id': 'REQUEST' },
        body: '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>later</Message></Error>',
      })
      const complete = proxy.on({ operation: 'CompleteMultipartUpload' }, inside, { times: 1 })
      await store.write('inside', randomBytes(6 * MIB))
      const copied = proxy.on({ operation: 'CopyObject' }, inside, { times: 1 })
      await store.copy('inside', 'inside2')
      expect([complete.hits, copied.hits]).toEqual([1, 1])
      const some = answer({
        status: 200,
        headers: { 'content-type': 'application/xml', 'x-amz-request-id': 'REQUEST' },
        body: '<?xml version="1.0"?><DeleteResult><Error><Key>inside</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>',
      })
      proxy.on({ operation: 'DeleteObjects' }, some)
      await expect(store.delete(['inside', 'inside2'])).rejects.toMatchObject({ code: 'DENIED', reason: 'PERMISSION' })
    })

    it.each([
      ['no permission', xml(403, 'AccessDenied'), { code: 'DENIED', reason: 'PERMISSION' }, 's3:PutObject'],
      ['an old token', xml(400, 'ExpiredToken'), { code: 'DENIED', reason: 'CREDENTIALS' }, 'expired'],
      [
        'a redirect',
        xml(301, 'PermanentRedirect', '<Endpoint>e</Endpoint>'),
        { code: 'INVALID', reason: 'REGION' },
        'region',
      ],
      [
        'IllegalLocationConstraint',
        xml(400, 'IllegalLocationConstraintException'),
        { code: 'INVALID', reason: 'REGION' },
        'region',
      ],
      ['a skewed clock', xml(403, 'RequestTimeTooSkewed'), { code: 'DENIED', reason: 'CLOCK_SKEW' }, 'clock'],
      ['a full store', xml(507, 'InsufficientStorage'), { code: 'STORAGE_FULL' }, 'full'],
      [
        'a captive portal',
        answer({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>sign in</html>' }),
        { code: 'UNAVAILABLE', reason: 'NOT_THE_STORE' },
        'proxy',
      ],
      [
        'a portal’s redirect',
        answer({ status: 302, headers: { location: 'http://portal/' } }),
        { code: 'UNAVAILABLE', reason: 'NOT_THE_STORE' },
        'proxy',
      ],
      [
        'a server of another kind',
        answer({ status: 200 }),
        { code: 'UNAVAILABLE', reason: 'NOT_THE_STORE' },
        'endpoint',
      ],
    ] as const)('%s is a typed error that names the host and the remedy', async (_, fault, expected, remedy) => {
      const store = await open({ probe: false })
      proxy.on({}, fault)
      for (const call of [
        () => store.write('k', 'x'),
        () => store.read('k'),
        () => store.write('k', 'x', { when: { ifAbsent: true } }),
      ]) {
        const error = await call().catch((thrown: unknown) => thrown)
        expect(error).toMatchObject(expected)
        expect(String(error)).toContain(`127.0.0.1:${proxy.port}`)
        expect(String(error)).toContain(remedy)
      }
    })

    it('a clock that differs is set right by the server’s, once, and the request signed anew', async () => {
      const store = await open({ probe: false })
      const date = new Date(Date.now() + 3_600_000).toUTCString()
      const skewed = answer({
        status: 403,
        headers: { 'content-type': 'application/xml', date, 'x-amz-request-id': 'R' },
        body: '<Error><Code>RequestTimeTooSkewed</Code><Message>skewed</Message></Error>',
      })
      const taken = answer({ status: 200, headers: { etag: '"e"', date, 'x-amz-request-id': 'R' } })
      proxy.forget()
      proxy.on({}, skewed, { times: 1 })
      proxy.on({}, taken)
      const { modified } = await store.write('clock', 'x')
      expect(modified.toUTCString()).toBe(date)
      const [first = '', second = ''] = proxy.requests.map(({ headers }) => headers.get('x-amz-date') ?? '')
      const ms = (text: string) => Date.parse(text.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z'))
      expect(Math.abs(ms(second) - ms(first) - 3_600_000)).toBeLessThan(60_000)
    })

    it('wrong credentials, a missing bucket and another region are told apart on every call, stat and exists too', async () => {
      const { accessKeyId } = servers.server
      const cases: readonly [Partial<S3Options>, object][] = [
        [
          { credentials: { accessKeyId: 'nobody', secretAccessKey: 'wrong-secret-1' } },
          { code: 'DENIED', reason: 'CREDENTIALS' },
        ],
        [
          { credentials: { accessKeyId, secretAccessKey: 'wrong-secret-2' } },
          { code: 'DENIED', reason: 'CREDENTIALS' },
        ],
        [{ bucket: 'there-is-none' }, { code: 'NOT_FOUND', reason: 'NO_BUCKET' }],
        [{ region: 'eu-west-1' }, { code: 'INVALID', reason: 'REGION' }],
      ]
      for (const [options, expected] of cases) {
        for (const probe of [true, false]) {
          const store = await open({ ...options, probe })
          const list = async () => {
            for await (const _ of store.list('')) return
          }
          const calls = [
            () => store.stat('k'),
            () => store.exists('k'),
            () => store.bytes('k'),
            () => store.write('k', 'x'),
            () => store.write('k', 'x', { when: { ifAbsent: true } }),
            () => store.delete(['k']),
            () => store.delete(['k', 'l']),
            list,
            () => store.sweep({ before: new Date() }),
          ]
          for (const call of calls) {
            const error: unknown = await call().then(
              () => 'nothing thrown',
              (thrown: unknown) => thrown,
            )
            expect(error).toMatchObject(expected)
            const shown = JSON.stringify(error, Object.getOwnPropertyNames(error)) + String((error as Error).cause)
            expect(shown).not.toContain('wrong-secret')
          }
        }
      }
    })

    it('a host that is not there, or says nothing, is UNAVAILABLE within the timeout', async () => {
      const dead = await freePort()
      const began = performance.now()
      const store = await open({ endpoint: `http://127.0.0.1:${dead}`, timeout: 1000 })
      await expect(store.stat('k')).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'UNREACHABLE',
        retryable: true,
      })
      const named = await open({ endpoint: 'http://no-such-host.invalid', timeout: 1000 })
      await expect(named.stat('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE' })
      const hole = await startProxy(servers.server)
      hole.blackHole()
      const silent = await open({ endpoint: hole.through(servers.server.endpoint), timeout: 1000 })
      await expect(silent.stat('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE' })
      await hole.close()
      expect(performance.now() - began).toBeLessThan(60_000)
    })

    it('a certificate that nobody trusts is TLS, and not tried again', async () => {
      const tls = await startProxy(servers.server, { store: 's3', tls: true })
      const store = await open({ endpoint: tls.through(servers.server.endpoint) })
      await expect(store.stat('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'TLS', retryable: false })
      expect(tls.connections.made).toBe(1)
      await tls.close()
    })

    it('https to a server without TLS is told as that, not as a certificate', async () => {
      const store = await open({ endpoint: servers.server.endpoint.replace('http:', 'https:') })
      await expect(store.stat('k')).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'TLS',
        message: expect.stringMatching(/does not speak TLS.*http:\/\/\.$/),
      })
    })

    it('a server that ignores conditions loses them on open, on parts at the first use', async () => {
      const ok = answer({ status: 200, headers: { etag: '"e"', 'x-amz-request-id': 'R' } })
      const rule = proxy.on(
        ({ operation, headers }) =>
          operation === 'PutObject' && (headers.has('if-none-match') || headers.has('if-match')),
        ok,
      )
      const lax = await open()
      expect(await lax.can()).toMatchObject({ ifAbsent: false, ifVersion: false })
      await expect(lax.write('k', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      rule.off()
      const body =
        '<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>'
      proxy.on(
        { operation: 'CompleteMultipartUpload' },
        answer({ status: 200, headers: { 'content-type': 'application/xml', 'x-amz-request-id': 'R' }, body }),
      )
      const half = await open({ partSize: 5 * MIB })
      await half.write('one-part', 'x', { when: { ifAbsent: true } })
      await expect(half.write('parts', new Uint8Array(6 * MIB), { when: { ifAbsent: true } })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        reason: 'PRECONDITIONS_IGNORED',
      })
    })

    it('killed and restarted under load, no acknowledged blob is lost, none is half', async () => {
      const store = await open()
      const size = 300_000
      const acknowledged: string[] = []
      let stop = false
      let n = 0
      const writer = async () => {
        while (!stop) {
          const key = `load/${n++}`
          try {
            await store.write(key, Buffer.alloc(size, key), { when: { ifAbsent: true } })
            acknowledged.push(key)
          } catch (error) {
            if (!isHubError(error) || !['UNAVAILABLE', 'UNKNOWN', 'THROTTLED'].includes(error.code)) throw error
          }
        }
      }
      const writers = Array.from({ length: 8 }, writer)
      for (let kill = 0; kill < 3; kill++) {
        const before = acknowledged.length
        while (acknowledged.length < before + 20) await new Promise((resolve) => setTimeout(resolve, 20))
        await servers.server.kill()
        await servers.server.start()
      }
      const before = acknowledged.length
      while (acknowledged.length < before + 20) await new Promise((resolve) => setTimeout(resolve, 20))
      stop = true
      await Promise.all(writers)
      const acked = new Set(acknowledged)
      for await (const { key, size: there } of store.list('load/')) {
        expect(there).toBe(size)
        acked.delete(key)
      }
      expect([...acked]).toEqual([])
      for (const key of acknowledged) expect(Buffer.compare(await store.bytes(key), Buffer.alloc(size, key))).toBe(0)
    }, 600_000)
  },
  { ours: true },
)
