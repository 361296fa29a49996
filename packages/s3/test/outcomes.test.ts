import { createHash, randomBytes } from 'node:crypto'
import { CreateMultipartUploadCommand, PutObjectCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { type BlobStore, type Call, openBlobs } from '@tensorhub/core'
import { type S3Options, s3, urlToHandOver } from '@tensorhub/s3'
import { answer, delayReply, type FaultProxy, loseReply, s3Error, startProxy } from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { TestServer } from './server.ts'

const MIB = 1024 * 1024
const READS = ['HeadObject', 'GetObject']

await serverSuite(
  's3',
  's3: what calls come to',
  () => {
    const servers = new TestServer()
    let proxy: FaultProxy
    const opened: BlobStore[] = []
    /** Of the store that was opened last. */
    let bucket = ''
    const open = async (options: Partial<S3Options> = {}) => {
      const endpoint = proxy.through(servers.server.endpoint)
      bucket = await servers.bucket()
      const store = openBlobs(s3({ bucket, ...servers.access, endpoint, ...options }))
      opened.push(store)
      await store.open()
      proxy.forget()
      return store
    }
    const keysOf = async (store: BlobStore) => {
      const keys: string[] = []
      for await (const { key } of store.list('')) keys.push(key)
      return keys
    }
    beforeAll(async () => {
      await servers.start()
      proxy = await startProxy(servers.server, { store: 's3' })
    })
    afterEach(async () => {
      proxy.clearRules()
      for (const store of opened.splice(0)) await store.close()
    })
    afterAll(async () => {
      await proxy?.close()
      await servers.stop()
    })

    it('a lost reply that may not be read back is UNKNOWN, never CONFLICT or EXISTS', async () => {
      const store = await open()
      const first = await store.write('over', 'old')
      for (const [key, when] of [
        ['new', { ifAbsent: true }],
        ['over', { ifVersion: first.version }],
      ] as const) {
        proxy.on({ operation: 'PutObject' }, loseReply(), { times: 1 })
        proxy.on({ operation: READS }, answer(s3Error(403, 'AccessDenied')))
        const error = await store.write(key, 'mine', { when }).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'UNKNOWN', reason: 'OUTCOME_UNKNOWN', retryable: false })
        proxy.clearRules()
        expect(new TextDecoder().decode(await store.bytes(key))).toBe('mine')
      }
    })

    it('a conditional write that is only ever told to slow down is THROTTLED, since nothing was done', async () => {
      const store = await open()
      proxy.on({ operation: 'PutObject' }, answer(s3Error(503, 'SlowDown')))
      await expect(store.write('k', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({
        code: 'THROTTLED',
        retryable: true,
      })
      expect(proxy.count({ operation: 'PutObject' })).toBe(6)
    })

    it('a small blob is copied whole under a condition: AWS takes ranges of sources above 5 MB only', async () => {
      const store = await open()
      await store.write('from', 'small')
      await store.copy('from', 'to', { when: { ifAbsent: true } })
      const part = proxy.requests.find(({ operation }) => operation === 'UploadPartCopy')
      expect(part?.headers.has('x-amz-copy-source-range')).toBe(false)
      expect(new TextDecoder().decode(await store.bytes('to'))).toBe('small')
    })

    it('who may write and not delete can open; the probe that stays is no blob, and is swept', async () => {
      proxy.on({ operation: ['DeleteObject', 'DeleteObjects'] }, answer(s3Error(403, 'AccessDenied')))
      const store = await open()
      expect(await store.can()).toMatchObject({ ifAbsent: true, ifVersion: true })
      expect(await keysOf(store)).toEqual([])
      proxy.clearRules()
      const soon = new Date(Date.now() + 3_600_000)
      expect(await store.sweep({ before: new Date(0) })).toEqual({ count: 0, bytes: 0 })
      expect(await store.sweep({ before: soon })).toMatchObject({ count: 1 })
      expect(await store.sweep({ before: soon, dryRun: true })).toEqual({ count: 0, bytes: 0 })
    })

    it('with checksums the hash that is known is the checksum too', async () => {
      const store = await open({ checksums: true })
      const bytes = randomBytes(1000)
      const hash = createHash('sha256').update(bytes).digest()
      await store.write('k', bytes, { sha256: hash.toString('hex') })
      const { headers } = proxy.requests.find(({ operation }) => operation === 'PutObject') ?? {}
      expect(headers?.get('x-amz-checksum-sha256')).toBe(hash.toString('base64'))
      expect(headers?.has('x-amz-checksum-crc32')).toBe(false)
    })

    it('with checksums each body has one, those of the probes too: buckets with a default retention take none without', async () => {
      const store = await open({ checksums: true, probe: false })
      const tried = openBlobs(
        s3({
          ...{ bucket: await servers.bucket(), ...servers.access, checksums: true },
          endpoint: proxy.through(servers.server.endpoint),
        }),
      )
      opened.push(tried)
      for (const blobs of [store, tried]) {
        const when = { ifAbsent: true } as const
        await blobs.write('large', randomBytes(17 * MIB), { when })
        await blobs.write('empty', '')
        await blobs.copy('empty', 'copy', { when })
      }
      const bodies = proxy.requests.filter(({ operation }) => ['PutObject', 'UploadPart'].includes(operation))
      expect(bodies.length).toBe(2 * 5 + 3 + 2)
      for (const { headers } of bodies) expect(headers.has('x-amz-checksum-crc32')).toBe(true)
    })

    it('an upload that somebody swept is sent again, or is UNAVAILABLE where it was a stream; never NOT_FOUND', async () => {
      const store = await open({ partSize: 5 * MIB })
      const bytes = randomBytes(12 * MIB)
      proxy.on({ operation: 'UploadPart' }, answer(s3Error(404, 'NoSuchUpload')), { times: 1 })
      proxy.forget()
      await store.write('k', bytes)
      expect(Buffer.compare(await store.bytes('k'), bytes)).toBe(0)
      proxy.on({ operation: 'UploadPart' }, answer(s3Error(404, 'NoSuchUpload')), { times: 1 })
      await expect(store.write('k', new Blob([bytes]))).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
      expect(proxy.count({ operation: 'AbortMultipartUpload' })).toBeGreaterThanOrEqual(2)
      expect(await servers.unfinished(bucket)).toBe(0)
    })

    it('a write or a delete that is aborted once it was sent whole is known to be done', async () => {
      const store = await open()
      for (const [operation, call] of [
        ['PutObject', (o: Call) => store.write('k', 'x', o)],
        ['DeleteObject', (o: Call) => store.delete(['k'], o)],
      ] as const) {
        proxy.on({ operation }, delayReply(300), { times: 1 })
        const stop = new AbortController()
        const done = call({ signal: stop.signal })
        await expect.poll(() => proxy.count({ operation })).toBe(1)
        stop.abort()
        await done
        expect(await store.exists('k')).toBe(operation === 'PutObject')
      }
    })

    it.each(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'])(
      'an abort during %s leaves no unfinished upload, also where the reply comes behind it',
      async (operation) => {
        const store = await open({ partSize: 5 * MIB })
        proxy.on({ operation }, delayReply(300))
        const stop = new AbortController()
        const write = store.write('k', randomBytes(12 * MIB), { signal: stop.signal })
        const outcome = write.then(
          () => 'done',
          (error: { code: string }) => error.code,
        )
        await expect.poll(() => proxy.count({ operation }), { timeout: 30_000 }).toBeGreaterThan(0)
        stop.abort()
        expect(await outcome).toBe(operation === 'CompleteMultipartUpload' ? 'done' : 'ABORTED')
        expect(await servers.unfinished(bucket)).toBe(0)
        expect(await store.exists('k')).toBe(operation === 'CompleteMultipartUpload')
      },
    )

    it('CreateMultipartUpload is not cut: one whose reply comes long after the abort is freed behind it', async () => {
      const store = await open({ partSize: 5 * MIB })
      proxy.on({ operation: 'CreateMultipartUpload' }, delayReply(4000))
      const stop = new AbortController()
      const write = store.write('k', randomBytes(12 * MIB), { signal: stop.signal })
      write.catch(() => undefined)
      await expect.poll(() => proxy.count({ operation: 'CreateMultipartUpload' }), { timeout: 30_000 }).toBe(1)
      stop.abort()
      await expect(write).rejects.toMatchObject({ code: 'ABORTED' })
      await expect.poll(() => proxy.count({ operation: 'AbortMultipartUpload' }), { timeout: 30_000 }).toBe(1)
      await store.close()
      expect(await servers.unfinished(bucket)).toBe(0)
    })

    it('an abort while credentials are waited for ends the call at once, and nothing is sent', async () => {
      const asked = Promise.withResolvers<void>()
      const credentials = () => {
        asked.resolve()
        return new Promise<never>(() => undefined)
      }
      const endpoint = proxy.through(servers.server.endpoint)
      const given = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
      for (const store of [
        openBlobs(s3({ bucket: 'bucket', endpoint, credentials, probe: false })),
        openBlobs(s3({ bucket: 'bucket', client: given, probe: false })),
      ]) {
        opened.push(store)
        proxy.forget()
        const stop = new AbortController()
        const write = store.write('k', 'x', { signal: stop.signal })
        await asked.promise
        let over = false
        const ended = write.catch((error: unknown) => {
          over = true
          return error
        })
        stop.abort()
        await new Promise((resolve) => setTimeout(resolve, 0))
        expect(over).toBe(true)
        expect(await ended).toMatchObject({ code: 'ABORTED' })
        expect(proxy.requests).toEqual([])
      }
      given.destroy()
    })

    it('what a process left that died while it tried out conditions of parts is swept', async () => {
      const store = await open()
      const left = { Bucket: bucket, Key: '!tensorhub-probe-x' }
      const { UploadId } = await servers.admin.send(new CreateMultipartUploadCommand(left))
      await servers.admin.send(new UploadPartCommand({ ...left, UploadId, PartNumber: 1, Body: new Uint8Array(2) }))
      expect(await store.sweep({ before: new Date(Date.now() + 3_600_000) })).toEqual({ count: 1, bytes: 2 })
      expect(await servers.unfinished(bucket)).toBe(0)
    })

    it('a blob is copied to itself, as in other stores', async () => {
      const store = await open()
      for (const body of ['', 'same']) {
        await store.write('k', body, { meta: { a: 'b' } })
        expect(await store.copy('k', 'k')).toMatchObject({ key: 'k', size: body.length, meta: { a: 'b' } })
        expect(new TextDecoder().decode(await store.bytes('k'))).toBe(body)
      }
    })

    it('a short list goes on by whole pages past what is no key', async () => {
      const store = await open()
      for (let i = 0; i < 10; i++)
        await servers.admin.send(new PutObjectCommand({ Bucket: bucket, Key: `a b${i}`, Body: 'x' }))
      await store.write('z', 'x')
      proxy.forget()
      for await (const { key } of store.list('', { limit: 1 })) expect(key).toBe('z')
      expect(proxy.count({ operation: 'ListObjectsV2' })).toBe(2)
    })

    it('a blob that is written between the two requests of one call is seen as it is then', async () => {
      await open()
      /** Writes once, as soon as a request of the kind was refused. */
      const racing = (kind: string, body: string) => {
        const client = new S3Client({ ...servers.access, forcePathStyle: true })
        let done = false
        client.middlewareStack.add(
          (next, { commandName }) =>
            async (args) => {
              try {
                return await next(args)
              } catch (error) {
                if (!done && commandName === kind)
                  await servers.admin.send(new PutObjectCommand({ Bucket: bucket, Key: 'k', Body: Buffer.from(body) }))
                done ||= commandName === kind
                throw error
              }
            },
          { step: 'initialize' },
        )
        return openBlobs(s3({ bucket, client, probe: false }))
      }
      // Missing for HEAD, and empty for the GET that asks why.
      expect(await racing('HeadObjectCommand', '').stat('k')).toMatchObject({ size: 0 })
      // Empty for GET, and no more for the HEAD that asks what it is.
      const { info, body } = await racing('GetObjectCommand', 'hello').read('k', { range: { offset: 0, length: 10 } })
      expect([info.size, await new Response(body).text()]).toEqual([5, 'hello'])
    })

    it('a body that is read on after close is CLOSED, and opens no connection', async () => {
      const store = await open()
      // Larger than what is on its way between here and there.
      await store.write('k', randomBytes(12 * MIB))
      const { body } = await store.read('k')
      const reader = body.getReader()
      await reader.read()
      await store.close()
      const readOn = async () => {
        while (!(await reader.read()).done);
      }
      await expect(readOn()).rejects.toMatchObject({ code: 'CLOSED' })
      await expect.poll(() => proxy.connections.open, { timeout: 60_000 }).toBe(0)
    })

    it('a copy in parts that fails asks for no more parts', async () => {
      await open()
      const client = new S3Client({ ...servers.access, forcePathStyle: true })
      const size = 100 * 1024 ** 3
      let parts = 0
      client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            if (commandName === 'HeadObjectCommand')
              return { response: {}, output: { $metadata: {}, ETag: '"e"', ContentLength: size } as never }
            if (commandName !== 'UploadPartCopyCommand') return next(args)
            if (++parts === 1)
              throw Object.assign(new Error(), { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } })
            await new Promise((resolve) => setTimeout(resolve, 50))
            return { response: {}, output: { $metadata: {}, CopyPartResult: { ETag: '"p"' } } as never }
          },
        { step: 'initialize' },
      )
      const store = openBlobs(s3({ bucket, client, probe: false }))
      await expect(store.copy('from', 'to')).rejects.toMatchObject({ code: 'DENIED', reason: 'PERMISSION' })
      // Those that were on their way, of 20.
      expect(parts).toBe(8)
      expect(await servers.unfinished(bucket)).toBe(0)
    })

    it('a list that is cut and does not say how it goes on is an error, never a short list', async () => {
      const store = await open()
      const body =
        '<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size><ETag>"e"</ETag></Contents></ListBucketResult>'
      proxy.on(
        { operation: 'ListObjectsV2' },
        answer({ status: 200, headers: { 'content-type': 'application/xml', 'x-amz-request-id': 'R' }, body }),
      )
      await expect(keysOf(store)).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_THE_STORE' })
    })
  },
  { ours: true },
)

describe('without a network', () => {
  beforeEach(() => {
    for (const name of [
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_PROFILE',
      'AWS_REGION',
      'AWS_DEFAULT_REGION',
    ])
      vi.stubEnv(name, undefined)
    for (const name of ['AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE']) vi.stubEnv(name, '/nonexistent')
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  })
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  it('no credentials: DENIED, CREDENTIALS, for requests, signed URLs and URLs that are handed over', async () => {
    const store = openBlobs(s3({ bucket: 'bucket', region: 'eu-central-1', probe: false }))
    for (const call of [
      () => store.stat('k'),
      () => store.sign('k', { method: 'GET', expiresIn: 60 }),
      () => urlToHandOver('s3://bucket?region=eu-central-1'),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS' })
    await store.close()
  })

  it('no region: INVALID, REGION, everywhere too', async () => {
    const credentials = { accessKeyId: 'AK', secretAccessKey: 'top-secret' }
    const store = openBlobs(s3({ bucket: 'bucket', credentials, probe: false }))
    for (const call of [
      () => store.stat('k'),
      () => store.sign('k', { method: 'GET', expiresIn: 60 }),
      () => urlToHandOver('s3://bucket?accessKeyId=AK&secretAccessKey=top-secret'),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'INVALID', reason: 'REGION' })
    await store.close()
  })

  it('credentials that never come are given up after the timeout', async () => {
    const credentials = () => new Promise<never>(() => undefined)
    const store = openBlobs(s3({ bucket: 'bucket', region: 'eu-central-1', credentials, timeout: 500 }))
    const late = { code: 'UNAVAILABLE', reason: 'UNREACHABLE' }
    await expect(store.stat('k')).rejects.toMatchObject(late)
    const signs = openBlobs(s3({ bucket: 'bucket', region: 'eu-central-1', credentials, timeout: 500, probe: false }))
    await expect(signs.sign('k', { method: 'GET', expiresIn: 60 })).rejects.toMatchObject(late)
    await store.close()
    await signs.close()
  }, 30_000)

  it('an endpoint of the environment is handed over, unless the environment says to ignore it', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', 'http://127.0.0.1:9')
    const url = 's3://bucket?region=x&accessKeyId=AK&secretAccessKey=SK'
    expect(await urlToHandOver(url)).toContain('127.0.0.1')
    vi.stubEnv('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', 'true')
    expect(await urlToHandOver(url)).not.toContain('127.0.0.1')
  })
})
