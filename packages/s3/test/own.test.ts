import { createHash, randomBytes } from 'node:crypto'
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { type BlobStore, isHubError, openBlobs } from '@tensorhub/core'
import { blobsFromUrl, s3 } from '@tensorhub/s3'
import { type FaultProxy, startProxy } from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { TestServer } from './server.ts'

const MIB = 1024 * 1024
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('options', () => {
  const code = (work: () => unknown) => {
    try {
      work()
    } catch (error) {
      if (isHubError(error)) return `${error.code} ${error.path ?? ''}`.trim()
      throw error
    }
    return 'taken'
  }

  it.each([
    [{ bucket: 'abc', colour: 1 }, 'INVALID colour'],
    [{ bucket: 'a/b' }, 'INVALID bucket'],
    [{ bucket: 'abc', prefix: 'a//b' }, 'INVALID prefix'],
    [{ bucket: 'abc', prefix: '../b' }, 'INVALID prefix'],
    [{ bucket: 'abc', endpoint: 'ftp://x' }, 'INVALID endpoint'],
    [{ bucket: 'abc', endpoint: 'http://key:secret@x' }, 'INVALID endpoint'],
    [{ bucket: 'abc', partSize: 1024 }, 'INVALID partSize'],
    [{ bucket: 'abc', parallel: 0 }, 'INVALID parallel'],
    [{ bucket: 'abc', timeout: 0 }, 'INVALID timeout'],
    [{ bucket: 'abc', client: new S3Client({ region: 'x' }), region: 'y' }, 'INVALID region'],
    [{ bucket: 'abc', prefix: 'a b/é/', region: 'eu-central-1' }, 'taken'],
  ])('%o', (options, expected) => {
    expect(code(() => s3(options as never))).toBe(expected)
  })

  it('URLs: every parameter, none that is unknown, no secret in an error', () => {
    const all =
      'region=a&endpoint=http%3A%2F%2Fh&pathStyle=true&profile=p&accessKeyId=AK&secretAccessKey=SK&sessionToken=ST&checksums=false&timeout=1000&partSize=5242880&parallel=4&probe=false'
    expect(blobsFromUrl(`s3://bucket/pre/fix?${all}`).scheme).toBe('s3')
    const message = (url: string) => {
      try {
        blobsFromUrl(url)
      } catch (error) {
        return String(error)
      }
      return 'taken'
    }
    expect(message('s3://bucket?colour=red')).toContain('pathStyle')
    expect(message('s3://bucket?partSize=big')).toContain('partSize')
    expect(message('s3://bucket?secretAccessKey=TOPSECRET')).not.toMatch(/TOPSECRET|taken/)
    expect(message('s3://KEY:TOPSECRET@bucket')).not.toMatch(/TOPSECRET|taken/)
  })
})

await serverSuite('s3', 's3 on versitygw, counted at a proxy', () => {
  const servers = new TestServer()
  let proxy: FaultProxy
  let store: BlobStore
  let bucket: string
  const through = () => ({ ...servers.access, endpoint: proxy.through(servers.server.endpoint) })
  beforeAll(async () => {
    await servers.start()
    proxy = await startProxy(servers.server, { store: 's3' })
    bucket = await servers.bucket()
    store = openBlobs(s3({ bucket, ...through(), prefix: 'pre fix' }))
    await store.open()
  })
  afterAll(async () => {
    await store?.close()
    await proxy?.close()
    await servers.stop()
  })
  beforeEach(() => {
    proxy.clearRules()
    proxy.forget()
  })
  const counted = async (work: () => Promise<unknown>) => {
    proxy.forget()
    await work()
    return proxy.counts()
  }

  it('requests of each operation are as few as the README says', async () => {
    const other = openBlobs(s3({ bucket, ...through() }))
    expect(await counted(() => other.open())).toEqual({ PutObject: 3, DeleteObject: 1 })
    await other.close()
    const large = randomBytes(40 * MIB)
    const first = await store.write('a', 'old')
    expect(await counted(() => store.write('n', new Uint8Array(16 * MIB), { when: { ifAbsent: true } }))).toEqual({
      PutObject: 1,
    })
    expect(await counted(() => store.write('a', 'new', { when: { ifVersion: first.version } }))).toEqual({
      PutObject: 1,
    })
    expect(await counted(() => store.write('large', large))).toEqual({
      ...{ CreateMultipartUpload: 1, UploadPart: 5, CompleteMultipartUpload: 1 },
    })
    expect(await counted(() => store.readInto('large', new Uint8Array(40 * MIB), { offset: 0 }))).toEqual({
      GetObject: 5,
    })
    expect(await counted(() => store.bytes('large'))).toEqual({ GetObject: 1 })
    expect(await counted(() => store.stat('large'))).toEqual({ HeadObject: 1 })
    expect(await counted(() => store.exists('none'))).toEqual({ HeadObject: 1, GetObject: 1 })
    expect(await counted(() => store.copy('large', 'copied'))).toEqual({ HeadObject: 1, CopyObject: 1 })
    expect(await counted(() => store.delete(['a', 'n', 'none']))).toEqual({ DeleteObjects: 1 })
    expect(await counted(() => store.delete(['copied']))).toEqual({ DeleteObject: 1 })
    expect(await counted(() => store.sign('large', { method: 'GET', expiresIn: 60 }))).toEqual({})
    // The first conditional upload in parts tries out once that its condition would hold.
    await store.write('c1', large, { when: { ifAbsent: true } })
    expect(await counted(() => store.write('c2', large, { when: { ifAbsent: true } }))).toEqual({
      ...{ CreateMultipartUpload: 1, UploadPart: 5, CompleteMultipartUpload: 1 },
    })
    expect(await counted(() => store.copy('large', 'c3', { when: { ifAbsent: true } }))).toEqual({
      ...{ HeadObject: 1, CreateMultipartUpload: 1, UploadPartCopy: 1, CompleteMultipartUpload: 1 },
    })
  })

  it('the hash that is known goes along, and the server refuses another body; nothing is sent chunked', async () => {
    const bytes = randomBytes(100_000)
    await store.write('hashed', bytes, { sha256: sha256(bytes) })
    const sent = proxy.requests.find(({ operation }) => operation === 'PutObject')
    expect(sent?.headers.get('x-amz-content-sha256')).toBe(sha256(bytes))
    expect(
      [...(sent?.headers.keys() ?? [])].filter((name) => /x-amz-(sdk-)?checksum|trailer|expect/.test(name)),
    ).toEqual([])
    await expect(store.write('wrong', bytes, { sha256: 'ab'.repeat(32) })).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await store.exists('wrong')).toBe(false)
  })

  it('the nonce is never shown, and metadata is what was given; another S3 client reads the same', async () => {
    const info = await store.write('meta', 'x', { meta: { a: '1' }, contentType: 'text/x', when: { ifAbsent: true } })
    expect(info.meta).toEqual({ a: '1' })
    expect((await store.stat('meta')).meta).toEqual({ a: '1' })
    const there = await servers.admin.send(new HeadObjectCommand({ Bucket: bucket, Key: 'pre fix/meta' }))
    expect(Object.keys(there.Metadata ?? {}).sort()).toEqual(['a', 'tensorhub-write'])
  })

  it('a cut-off signed upload is not kept when its hash is signed in', async () => {
    const bytes = randomBytes(1000)
    const url = await store.sign('signed', { method: 'PUT', expiresIn: 60, sha256: sha256(bytes) })
    const half = await fetch(url, { method: 'PUT', body: bytes.subarray(0, 500), headers: url.headers ?? {} })
    expect(half.ok).toBe(false)
    const bare = await fetch(url, { method: 'PUT', body: bytes })
    expect(bare.ok).toBe(false)
    expect(await store.exists('signed')).toBe(false)
    await expect(store.sign('k', { method: 'GET', expiresIn: 8 * 86400 })).rejects.toMatchObject({ code: 'INVALID' })
  })

  it('names that are no keys are passed over, in order, with the others', async () => {
    const own = openBlobs(s3({ bucket, ...servers.access, prefix: 'mixed' }))
    for (const name of ['a', 'b c', 'é', 'd+e', 'f'])
      await servers.admin.send(new PutObjectCommand({ Bucket: bucket, Key: `mixed/${name}`, Body: 'x' }))
    const keys: string[] = []
    for await (const { key } of own.list('')) keys.push(key)
    expect(keys).toEqual(['a', 'd+e', 'f'])
    await own.close()
  })

  it('sweep frees unfinished uploads under the prefix, and no others', async () => {
    const { CreateMultipartUploadCommand, UploadPartCommand } = await import('@aws-sdk/client-s3')
    for (const Key of ['pre fix/left', 'elsewhere/left']) {
      const { UploadId } = await servers.admin.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }))
      await servers.admin.send(
        new UploadPartCommand({ Bucket: bucket, Key, UploadId, PartNumber: 1, Body: new Uint8Array(1000) }),
      )
    }
    const soon = new Date(Date.now() + 3_600_000)
    expect(await store.sweep({ before: new Date(0) })).toEqual({ count: 0, bytes: 0 })
    expect(await store.sweep({ before: soon, dryRun: true })).toEqual({ count: 1, bytes: 1000 })
    expect(await store.sweep({ before: soon })).toEqual({ count: 1, bytes: 1000 })
    expect(await servers.unfinished(bucket)).toBe(1)
  })

  it('a client that was given stays open, and its own defaults hash nothing', async () => {
    const client = new S3Client({ ...through(), forcePathStyle: true })
    const given = openBlobs(s3({ bucket, client }))
    await given.write('given', 'x')
    const sent = proxy.requests.findLast(({ operation }) => operation === 'PutObject')
    expect([...(sent?.headers.keys() ?? [])].filter((name) => /checksum|trailer/.test(name))).toEqual([])
    await given.close()
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: 'given' }))
    expect(await Body?.transformToString()).toBe('x')
    client.destroy()
  })
})
