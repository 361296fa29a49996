import { createHash, randomBytes } from 'node:crypto'
import { type BlobStore, openBlobs } from '@tensorhub/core'
import { type S3Options, s3, urlToHandOver } from '@tensorhub/s3'
import { answer, type FaultProxy, loseReply, s3Error, startProxy } from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { TestServer } from './server.ts'

const READS = ['HeadObject', 'GetObject']

await serverSuite(
  's3',
  's3: what calls come to',
  () => {
    const servers = new TestServer()
    let proxy: FaultProxy
    const opened: BlobStore[] = []
    const open = async (options: Partial<S3Options> = {}) => {
      const endpoint = proxy.through(servers.server.endpoint)
      const store = openBlobs(s3({ bucket: await servers.bucket(), ...servers.access, endpoint, ...options }))
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
    await expect(store.stat('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE' })
    await store.close()
  }, 30_000)

  it('an endpoint of the environment is handed over, unless the environment says to ignore it', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', 'http://127.0.0.1:9')
    const url = 's3://bucket?region=x&accessKeyId=AK&secretAccessKey=SK'
    expect(await urlToHandOver(url)).toContain('127.0.0.1')
    vi.stubEnv('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', 'true')
    expect(await urlToHandOver(url)).not.toContain('127.0.0.1')
  })
})
