import { randomUUID } from 'node:crypto'
import { Storage } from '@google-cloud/storage'
import { type BlobStore, openBlobs } from '@tensorhub/core'
import { type GcsOptions, gcs } from '@tensorhub/gcs'
import { type GcsServer, startGcs } from '@tensorhub/servers'
import { answer, delayReply, type FaultProxy, gcsError, startProxy } from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { newBucket } from './bucket.ts'
import { type ComposingServer, composesAsGoogle } from './composes-as-google.ts'
import { errorOf } from './error-of.ts'

const PART = 256 * 1024
const BYTES = new Uint8Array(3 * PART + 1).map((_, i) => i)
const body = () => new Blob([BYTES]).stream()
const soon = () => new Date(Date.now() + 3_600_000)
const denied = answer(gcsError(403, 'forbidden'))

await serverSuite(
  'gcs',
  'which way large bodies go to gcs',
  () => {
    let server: GcsServer
    let composing: ComposingServer
    let bucket: string
    const proxies: FaultProxy[] = []
    const stores: BlobStore[] = []
    const warnings: Error[] = []
    const onWarning = (warning: Error) => {
      if ((warning as { code?: string }).code === 'TENSORHUB_GCS_PARTS') warnings.push(warning)
    }

    beforeAll(async () => {
      server = await startGcs({ backend: 'memory' })
      composing = await composesAsGoogle(server)
      process.on('warning', onWarning)
    })
    afterAll(async () => {
      process.off('warning', onWarning)
      await composing.close()
      await server.stop()
    })
    beforeEach(async () => {
      bucket = await newBucket(server)
      warnings.length = 0
    })
    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close()
      for (const proxy of proxies.splice(0)) await proxy.close()
    })

    async function behind(
      options: Partial<GcsOptions> = {},
      target: { host: string; port: number } = composing,
    ): Promise<{
      blobs: BlobStore
      proxy: FaultProxy
      way: (when?: 'conditional') => Promise<'session' | 'composite'>
    }> {
      const proxy = await startProxy(target, { store: 'gcs' })
      proxies.push(proxy)
      const endpoint = proxy.through(`http://${target.host}:${target.port}`)
      const blobs = openBlobs(
        gcs({ bucket, endpoint, projectId: 'p', partSize: PART, probe: false, ...options } as GcsOptions),
      )
      stores.push(blobs)
      const way = async (when?: 'conditional') => {
        proxy.forget()
        const key = `k${Math.random()}`
        await blobs.write(key, body(), when === 'conditional' ? { when: { ifAbsent: true } } : {})
        expect(await blobs.bytes(key)).toEqual(BYTES)
        return proxy.count({ operation: 'upload.start' }) === 1 ? 'session' : 'composite'
      }
      return { blobs, proxy, way }
    }
    const found = { 'objects.insert': 1, 'objects.get': 1, 'objects.compose': 1, 'objects.delete': 1 }

    it('a bucket that leaves nothing behind: composites, found out once, by all who ask at the same time', async () => {
      const { proxy, way, blobs } = await behind()
      await Promise.all(['a', 'b', 'c'].map((key) => blobs.write(key, body(), { when: { ifAbsent: true } })))
      expect(proxy.count({ operation: 'objects.compose' })).toBe(1 + 3)
      expect(proxy.count({ operation: 'objects.delete' })).toBe(found['objects.delete'])
      expect([await way(), await way('conditional')]).toEqual(['composite', 'composite'])
      expect(await blobs.sweep({ before: soon(), dryRun: true })).toEqual({ count: 0, bytes: 0 })
    })

    it('a server whose compose ignores conditions: writes with one go by a session, which holds it', async () => {
      const { way, blobs } = await behind({}, server)
      expect([await way(), await way('conditional'), await way()]).toEqual(['composite', 'session', 'composite'])
      await blobs.write('k', 'x')
      expect((await errorOf(blobs.write('k', body(), { when: { ifAbsent: true } }))).code).toBe('EXISTS')
    })

    it.each([
      ['of a cold class', 'objects.get', answer({ status: 200, body: '{"storageClass":"NEARLINE"}' })],
      ['whose objects may not be read', 'objects.get', denied],
      ['from which nothing may be deleted', 'objects.delete', denied],
      ['whose objects may not have other names', 'objects.insert', denied],
      ['in which nothing may be composed', 'objects.compose', denied],
      ['of a service without compose', 'objects.compose', answer({ status: 501 })],
    ] as const)('a bucket %s: sessions', async (_, operation, action) => {
      const { proxy, way } = await behind()
      proxy.on({ operation }, action, { times: 1 })
      expect([await way(), await way('conditional')]).toEqual(['session', 'session'])
      expect(proxy.count({ operation: 'objects.compose' })).toBe(0)
    })

    it('a bucket of which opening found that nothing may be deleted: sessions, without another try', async () => {
      const { proxy, blobs, way } = await behind({ probe: true })
      proxy.on({ operation: 'objects.delete' }, denied, { times: 1 })
      await blobs.open()
      expect(await way()).toBe('session')
      expect(proxy.count({ operation: 'objects.insert' })).toBe(0)
    })

    it('what only failed in passing while it was tried out is tried again', async () => {
      const { proxy, way } = await behind()
      for (const operation of ['objects.insert', 'objects.get', 'objects.compose', 'objects.delete'])
        proxy.on({ operation }, answer(gcsError(503, 'backendError')), { times: 1 })
      expect(await way('conditional')).toBe('composite')
    })

    it('what was tried out, at opening and before the first upload, stays in no bucket with versions either', async () => {
      const sdk = new Storage({ apiEndpoint: server.endpoint, projectId: 'p' })
      bucket = `tensorhub-${randomUUID()}`
      await sdk.createBucket(bucket, { versioning: { enabled: true } })
      const { way } = await behind({ probe: true })
      expect(await way('conditional')).toBe('composite')
      const prefix = '!tensorhub-probe-'
      expect((await sdk.bucket(bucket).getFiles({ versions: true, prefix }))[0].map(({ name }) => name)).toEqual([])
    })

    it('what cannot be found out now fails the write, and is asked for again by the next', async () => {
      const { proxy, blobs, way } = await behind()
      const rule = proxy.on({ operation: 'objects.compose' }, answer(gcsError(503, 'backendError')))
      expect(await errorOf(blobs.write('k', body()))).toMatchObject({ code: 'THROTTLED', retryable: true })
      rule.off()
      expect(await blobs.exists('k')).toBe(false)
      expect(await way()).toBe('composite')
      expect(await blobs.sweep({ before: soon(), dryRun: true })).toEqual({ count: 0, bytes: 0 })
    })

    it('an abort does not wait for it, and is not that of others', async () => {
      const { proxy, blobs } = await behind()
      const rule = proxy.on({ operation: 'objects.insert' }, delayReply(5000), { times: 1 })
      const stop = new AbortController()
      const aborted = errorOf(blobs.write('k', body(), { signal: stop.signal }))
      await expect.poll(() => rule.hits, { timeout: 60_000 }).toBe(1)
      const other = blobs.write('l', body())
      stop.abort()
      expect((await aborted).code).toBe('ABORTED')
      await other
      expect(proxy.count({ operation: 'upload.start' })).toBe(0)
      expect(await blobs.bytes('l')).toEqual(BYTES)
    })

    it('options that say so are followed, with nothing tried', async () => {
      const serial = await behind({ upload: 'session' })
      expect(await serial.way()).toBe('session')
      expect(serial.proxy.count({ operation: 'objects.insert' })).toBe(0)
      const parallel = await behind({ upload: 'composite' })
      expect(await parallel.way()).toBe('composite')
      expect(parallel.proxy.count({ operation: 'objects.insert' })).toBe(4)
    })

    it('parts that may not be deleted behind a write: it has succeeded, a warning says so, and sessions follow', async () => {
      const { proxy, blobs, way } = await behind({ upload: 'composite' })
      // Neither with the compose nor behind it.
      const compose = proxy.on({ operation: 'objects.compose' }, denied, { times: 1 })
      const remove = proxy.on({ operation: 'objects.delete' }, denied)
      expect(await way('conditional')).toBe('composite')
      expect([compose.hits, proxy.count({ operation: 'objects.compose' })]).toEqual([1, 2])
      expect(remove.hits).toBeGreaterThan(0)
      await expect.poll(() => warnings.length).toBe(1)
      const { message, detail } = warnings[0] as Error & { detail: string }
      expect(message).toContain(bucket)
      for (const part of ['sweep()', 'session', '!tensorhub-part-']) expect(detail).toContain(part)
      expect([await way(), await way('conditional')]).toEqual(['session', 'session'])
      remove.off()
      expect(await blobs.sweep({ before: soon() })).toEqual({ count: 1, bytes: BYTES.length })
      expect(warnings.length).toBe(1)
    })

    it('parts that could not be deleted for another reason are told of too, and composites go on', async () => {
      const { proxy, way } = await behind({ upload: 'composite' }, server)
      proxy.on({ operation: 'objects.list' }, answer(gcsError(400, 'invalid')), { times: 1 })
      expect(await way()).toBe('composite')
      await expect.poll(() => warnings.length).toBe(1)
      expect(await way()).toBe('composite')
    })
  },
  { ours: true },
)
