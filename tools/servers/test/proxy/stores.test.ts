import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { BlobServiceClient } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type AzureServer, type GcsServer, type S3Server, startAzure, startGcs, startS3 } from '../../index.ts'
import {
  answer,
  azureError,
  captivePage,
  delayReply,
  type FaultProxy,
  gcsError,
  loseReply,
  resetReply,
  resetRequest,
  s3Error,
  slow,
  startProxy,
} from '../../proxy/index.ts'

const MIB = 1024 * 1024

describe('S3 through the proxy', () => {
  let server: S3Server
  let proxy: FaultProxy
  let s3: S3Client
  const at = (Key: string) => ({ Bucket: 'tensors', Key })
  const put = (key: string, Body: Buffer | string = 'x', more = {}) =>
    s3.send(new PutObjectCommand({ ...at(key), Body, ...more }))

  const clientOf = (endpoint: string, maxAttempts = 1) => {
    const { region, accessKeyId, secretAccessKey } = server
    const credentials = { accessKeyId, secretAccessKey }
    return new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts })
  }
  beforeAll(async () => {
    server = await startS3()
    proxy = await startProxy(server, { store: 's3' })
    s3 = clientOf(proxy.through(server.endpoint))
    await s3.send(new CreateBucketCommand({ Bucket: 'tensors' }))
  })
  afterEach(() => proxy.clearRules())
  afterAll(async () => {
    s3?.destroy()
    await proxy?.close()
    await server?.stop()
  })
  const direct = async (key: string) => {
    const own = clientOf(server.endpoint)
    try {
      return await own.send(new HeadObjectCommand(at(key))).then(
        ({ ContentLength }) => ContentLength,
        () => undefined,
      )
    } finally {
      own.destroy()
    }
  }

  it('passes signed requests as they are, and names their operations', async () => {
    proxy.forget()
    const body = Buffer.alloc(3 * MIB, 'tensor')
    await put('whole', body)
    const got = await s3.send(new GetObjectCommand(at('whole')))
    expect(
      createHash('sha256')
        .update((await got.Body?.transformToByteArray()) ?? '')
        .digest('hex'),
    ).toBe(createHash('sha256').update(body).digest('hex'))
    await s3.send(new HeadObjectCommand(at('whole')))
    await s3.send(new ListObjectsV2Command({ Bucket: 'tensors' }))
    expect(proxy.counts()).toEqual({ PutObject: 1, GetObject: 1, HeadObject: 1, ListObjectsV2: 1 })
    expect(proxy.count({ method: 'GET', path: '/tensors/whole' })).toBe(1)
    expect(proxy.requests.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(proxy.requests[0]?.bytes).toBeGreaterThan(3 * MIB)
    expect(proxy.requests[1]?.replyBytes).toBeGreaterThan(3 * MIB)
  })

  it.each(['reset', 'close'] as const)('loses the reply of a write that was applied (%s)', async (then) => {
    proxy.on({ operation: 'PutObject' }, loseReply(then), { times: 1 })
    await expect(put(`lost-${then}`, Buffer.alloc(2 * MIB))).rejects.toThrow()
    expect(await direct(`lost-${then}`)).toBe(2 * MIB)
  })

  it('a retry of a create whose reply was lost sees 412: why a driver must read back', async () => {
    const retrying = clientOf(proxy.through(server.endpoint), 2)
    proxy.on({ operation: 'PutObject' }, loseReply(), { times: 1 })
    await expect(
      retrying.send(new PutObjectCommand({ ...at('false-exists'), Body: 'mine', IfNoneMatch: '*' })),
    ).rejects.toMatchObject({ $metadata: { httpStatusCode: 412 } })
    retrying.destroy()
  })

  it.each([
    [503, 'SlowDown'],
    [409, 'ConditionalRequestConflict'],
    [412, 'PreconditionFailed'],
  ])('answers %i %s in S3’s own words, and the server never sees the request', async (status, code) => {
    proxy.on({ operation: 'PutObject' }, answer(s3Error(status, code)))
    await expect(put(`storm-${status}`, Buffer.alloc(3 * MIB))).rejects.toMatchObject({
      name: code,
      $metadata: { httpStatusCode: status },
    })
    expect(await direct(`storm-${status}`)).toBeUndefined()
    proxy.clearRules()
    await put(`storm-${status}`)
  })

  it('answers HEAD without a body', async () => {
    proxy.on({ operation: 'HeadObject' }, answer(s3Error(503, 'SlowDown')), { times: 1 })
    await expect(s3.send(new HeadObjectCommand(at('whole')))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 503 },
    })
    expect((await s3.send(new HeadObjectCommand(at('whole')))).ContentLength).toBe(3 * MIB)
  })

  it('answers as a captive network does', async () => {
    proxy.on({}, answer(captivePage), { times: 1 })
    const got = await s3.send(new GetObjectCommand(at('whole')))
    expect(await got.Body?.transformToString()).toMatch(/^<!DOCTYPE html>/)
  })

  it('resets in the middle of a reply, after exactly so many bytes of its body', async () => {
    proxy.on({ operation: 'GetObject' }, resetReply(100_000), { times: 1 })
    const got = await s3.send(new GetObjectCommand(at('whole')))
    let bytes = 0
    const reading = async () => {
      for await (const part of got.Body as AsyncIterable<Uint8Array>) bytes += part.length
    }
    await expect(reading()).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(bytes).toBe(100_000)
  })

  it('resets in the middle of a request: nothing is stored', async () => {
    proxy.on({ operation: 'PutObject' }, resetRequest(MIB), { times: 1 })
    await expect(put('cut', Buffer.alloc(3 * MIB))).rejects.toThrow()
    const [cut] = proxy.requests.slice(-1)
    expect(cut?.fault).toBe('reset request')
    expect(await direct('cut')).toBeUndefined()
  })

  it('delays a reply, and makes one connection slow', async () => {
    proxy.on({ operation: 'HeadObject' }, delayReply(250), { times: 1 })
    let began = performance.now()
    await s3.send(new HeadObjectCommand(at('whole')))
    expect(performance.now() - began).toBeGreaterThan(245)
    proxy.on({ operation: 'GetObject' }, slow(6 * MIB), { times: 1 })
    began = performance.now()
    await (await s3.send(new GetObjectCommand(at('whole')))).Body?.transformToByteArray()
    expect(performance.now() - began).toBeGreaterThan(480)
    proxy.cutAll()
  })

  it('sees requests with chunked bodies and several on one connection', async () => {
    proxy.forget()
    const { port } = proxy
    // Unsigned: the server refuses it, but reads it to its end first, or the next one on this connection would be garbage.
    for (let round = 0; round < 2; round += 1) {
      const status = await new Promise((resolve, reject) => {
        const sent = httpRequest({ port, host: '127.0.0.1', method: 'PUT', path: '/tensors/chunked' }, (reply) => {
          reply.resume().on('end', () => resolve(reply.statusCode))
        })
        sent.on('error', reject)
        for (let i = 0; i < 5; i += 1) sent.write(`part ${i};`)
        sent.end()
      })
      expect(status).toBeGreaterThanOrEqual(400)
    }
    expect(proxy.counts()).toEqual({ PutObject: 2 })
  })
})

describe('Google Cloud Storage through the proxy', () => {
  let server: GcsServer
  let proxy: FaultProxy
  let storage: Storage
  beforeAll(async () => {
    server = await startGcs()
    proxy = await startProxy(server, { store: 'gcs' })
    const { projectId } = server
    storage = new Storage({
      apiEndpoint: proxy.through(server.endpoint),
      projectId,
      retryOptions: { autoRetry: false },
    })
    await storage.createBucket('tensors')
  })
  afterEach(() => proxy.clearRules())
  afterAll(async () => {
    await proxy?.close()
    await server?.stop()
  })

  it('names operations', async () => {
    proxy.forget()
    const file = storage.bucket('tensors').file('folder/name')
    await file.save('bytes', { resumable: false })
    await file.getMetadata()
    expect((await file.download()).toString()).toBe('bytes')
    await storage.bucket('tensors').getFiles()
    await file.delete()
    expect(proxy.counts()).toEqual({
      ...{ 'objects.insert': 1, 'objects.get': 1, 'objects.get media': 1, 'objects.list': 1, 'objects.delete': 1 },
    })
  })

  it('a resumable upload stays on the proxy', async () => {
    proxy.forget()
    await storage.bucket('tensors').file('resumable').save(Buffer.alloc(MIB), { resumable: true })
    expect(proxy.counts()).toMatchObject({ 'upload.start': 1 })
    expect(proxy.counts()['upload.put']).toBeGreaterThan(0)
  })

  it('loses a reply, and answers in the store’s own words', async () => {
    const file = storage.bucket('tensors').file('lost')
    proxy.on({ operation: 'objects.insert' }, loseReply(), { times: 1 })
    await expect(file.save('x', { resumable: false })).rejects.toThrow()
    expect(await file.exists()).toEqual([true])
    proxy.on({ operation: 'objects.get' }, answer(gcsError(429, 'rateLimitExceeded')), { times: 1 })
    await expect(file.getMetadata()).rejects.toMatchObject({ code: 429, errors: [{ reason: 'rateLimitExceeded' }] })
  })
})

describe('Azure through the proxy', () => {
  let server: AzureServer
  let proxy: FaultProxy
  let service: BlobServiceClient
  beforeAll(async () => {
    server = await startAzure()
    proxy = await startProxy(server, { store: 'azure' })
    const connectionString = proxy.through(server.connectionString)
    service = BlobServiceClient.fromConnectionString(connectionString, { retryOptions: { maxTries: 1 } })
    await service.getContainerClient('tensors').create()
  })
  afterEach(() => proxy.clearRules())
  afterAll(async () => {
    await proxy?.close()
    await server?.stop()
  })

  it('names operations', async () => {
    proxy.forget()
    const container = service.getContainerClient('tensors')
    const blob = container.getBlockBlobClient('folder/name')
    await blob.uploadData(Buffer.from('bytes'))
    await blob.uploadData(Buffer.alloc(3 * MIB), { blockSize: MIB, maxSingleShotSize: MIB, concurrency: 3 })
    await blob.getProperties()
    expect(await blob.downloadToBuffer(0, 5)).toHaveLength(5)
    for await (const _ of container.listBlobsFlat()) break
    await blob.delete()
    expect(proxy.counts()).toEqual({
      ...{ 'Put Blob': 1, 'Put Block': 3, 'Put Block List': 1, 'Get Blob Properties': 1 },
      ...{ 'Get Blob': 1, 'List Blobs': 1, 'Delete Blob': 1 },
    })
  })

  it('loses a reply, and answers in the store’s own words', async () => {
    const blob = service.getContainerClient('tensors').getBlockBlobClient('lost')
    proxy.on({ operation: 'Put Blob' }, loseReply(), { times: 1 })
    await expect(blob.uploadData(Buffer.from('x'))).rejects.toThrow()
    expect(await blob.exists()).toBe(true)
    proxy.on({ operation: 'Put Blob' }, answer(azureError(503, 'ServerBusy')), { times: 1 })
    await expect(blob.uploadData(Buffer.from('x'))).rejects.toMatchObject({ statusCode: 503, code: 'ServerBusy' })
  })
})
