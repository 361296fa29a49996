import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Storage } from '@google-cloud/storage'
import { type BlobStore, openBlobs } from '@tensorhub/core'
import { type GcsOptions, gcs } from '@tensorhub/gcs'
import { type GcsServer, startGcs } from '@tensorhub/servers'
import {
  answer,
  delayReply,
  type FaultProxy,
  gcsError,
  loseReply,
  resetRequest,
  startProxy,
} from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { newBucket } from './bucket.ts'
import { type ComposingServer, composesAsGoogle } from './composes-as-google.ts'
import { errorOf } from './error-of.ts'

const PART = 256 * 1024
const MIB = 1024 * 1024
const script = join(import.meta.dirname, 'processes', 'uploads.ts')
const soon = () => new Date(Date.now() + 3_600_000)

await serverSuite(
  'gcs',
  'composite uploads to gcs',
  () => {
    let server: GcsServer
    let composing: ComposingServer
    let proxy: FaultProxy
    let bucket: string
    const stores: BlobStore[] = []

    beforeAll(async () => {
      server = await startGcs({ backend: 'memory' })
      composing = await composesAsGoogle(server)
    })
    afterAll(async () => {
      await composing.close()
      await server.stop()
    })
    beforeEach(async () => {
      bucket = await newBucket(server)
      proxy = await startProxy(composing, { store: 'gcs' })
    })
    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close()
      await proxy.close()
    })

    async function store(options: Partial<GcsOptions> = {}): Promise<BlobStore> {
      const blobs = openBlobs(
        gcs({
          ...{ bucket, endpoint: proxy.through(composing.endpoint), projectId: 'p' },
          ...{ partSize: PART, parallel: 4, timeout: 20_000, probe: false, upload: 'composite' },
          ...options,
        } as GcsOptions),
      )
      stores.push(blobs)
      await blobs.open()
      return blobs
    }

    /** Every object of the bucket, whatever its name. */
    const everything = async () => {
      const sdk = new Storage({ apiEndpoint: server.endpoint, projectId: 'p' })
      return (await sdk.bucket(bucket).getFiles())[0].map(({ name }) => name)
    }
    const keys = async (blobs: BlobStore) => {
      const found: string[] = []
      for await (const { key } of blobs.list('')) found.push(key)
      return found
    }
    const bytesOf = (size: number, seed = 1) =>
      Uint8Array.from({ length: size }, (_, i) => (i * 31 + seed + (i >> 9)) & 255)
    async function* pieces(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < bytes.length; i += size) yield bytes.slice(i, i + size)
    }
    const commits = ({ operation, path }: { operation: string; path: string }) =>
      operation === 'objects.compose' && path.endsWith('/o/k/compose')

    describe('the window', () => {
      it('has `parallel` parts at the server at once', async () => {
        const blobs = await store()
        await blobs.write('k', pieces(bytesOf(24 * PART), PART))
        expect(composing.mostUploads).toBeGreaterThanOrEqual(2)
        expect(composing.mostUploads).toBeLessThanOrEqual(4)
      })

      it('slides: a part that is never answered stops none of the others', async () => {
        const blobs = await store({ timeout: 600_000 })
        proxy.on({ operation: 'objects.insert' }, delayReply(600_000), { skip: 1, times: 1 })
        const stop = new AbortController()
        const writing = errorOf(blobs.write('k', pieces(bytesOf(16 * PART), PART), { signal: stop.signal }))
        const stored = () =>
          proxy.requests.filter(({ operation, status }) => operation === 'objects.insert' && status === 200).length
        // Groups of four that wait for each other would come to three.
        await expect.poll(stored, { timeout: 120_000 }).toBeGreaterThanOrEqual(15)
        expect(proxy.count({ operation: 'objects.compose' })).toBe(0)
        stop.abort()
        expect((await writing).code).toBe('ABORTED')
        await expect.poll(everything, { timeout: 60_000 }).toEqual([])
      })
    })

    describe('what is committed', () => {
      it('is the body with its type and metadata, by one compose; the parts go with it', async () => {
        const blobs = await store()
        const bytes = bytesOf(3 * PART + 5)
        const o = { contentType: 'application/x-weights', meta: { a: '1' }, when: { ifAbsent: true } } as const
        const info = await blobs.write('k', pieces(bytes), o)
        expect(info).toMatchObject({ key: 'k', size: bytes.length, contentType: o.contentType, meta: { a: '1' } })
        expect(await blobs.stat('k')).toEqual(info)
        expect(await blobs.bytes('k')).toEqual(bytes)
        expect(proxy.count({ operation: 'objects.compose' })).toBe(1)
        // They were deleted with the compose.
        expect(proxy.count({ operation: 'objects.delete' })).toBe(0)
        expect(await everything()).toEqual(['k'])
      })

      it('goes in one request where it is small after all', async () => {
        const blobs = await store()
        await blobs.write('k', pieces(bytesOf(PART)))
        await blobs.write('l', pieces(bytesOf(10)), { size: 10 })
        await blobs.write('m', bytesOf(8 * PART))
        expect(proxy.counts()).toEqual({ 'objects.insert': 3 })
      })

      it('is put together by a tree of composes: 800 parts', async () => {
        const blobs = await store({ parallel: 8 })
        const hash = createHash('sha256')
        const body = async function* () {
          for (let i = 0; i < 200; i++) {
            const piece = bytesOf(MIB, i)
            hash.update(piece)
            yield piece
          }
        }
        const { size } = await blobs.write('k', body(), { when: { ifAbsent: true } })
        expect(size).toBe(200 * MIB)
        // 24 of 32 become one each, and one of 25: that leaves 32.
        expect(proxy.count({ operation: 'objects.insert' })).toBe(800)
        expect(proxy.count({ operation: 'objects.compose' })).toBe(26)
        const read = createHash('sha256')
        for await (const piece of (await blobs.read('k')).body) read.update(piece)
        expect(read.digest('hex')).toBe(hash.digest('hex'))
        expect(await everything()).toEqual(['k'])
      })

      it('meets its condition at the commit: what came meanwhile stands, and nothing else is left', async () => {
        for (const [when, code] of [
          [() => ({ ifAbsent: true }) as const, 'EXISTS'],
          [(version: string) => ({ ifVersion: version }), 'CONFLICT'],
        ] as const) {
          const blobs = await store()
          const key = code
          const version = code === 'CONFLICT' ? (await blobs.write(key, 'old')).version : ''
          const body = async function* () {
            yield* pieces(bytesOf(4 * PART))
            await blobs.write(key, 'came first')
          }
          expect((await errorOf(blobs.write(key, body(), { when: when(version) }))).code).toBe(code)
          expect(new TextDecoder().decode(await blobs.bytes(key))).toBe('came first')
          // One that does not hold at the beginning costs no part.
          const before = proxy.count({ operation: 'objects.insert' })
          expect((await errorOf(blobs.write(key, pieces(bytesOf(4 * PART)), { when: when(version) }))).code).toBe(code)
          expect(proxy.count({ operation: 'objects.insert' })).toBe(before)
        }
        expect((await everything()).sort()).toEqual(['CONFLICT', 'EXISTS'])
      })
    })

    describe('what goes wrong', () => {
      it('the commit’s reply is lost: it is written, once, with a condition and without', async () => {
        const blobs = await store()
        const bytes = bytesOf(5 * PART)
        let version: string | undefined
        for (const when of [{ ifAbsent: true }, undefined, 'version'] as const) {
          proxy.forget()
          const lost = proxy.on(commits, loseReply(), { times: 1 })
          const o = when === 'version' ? { when: { ifVersion: String(version) } } : when ? { when } : {}
          const info = await blobs.write('k', pieces(bytes), o)
          expect([lost.hits, proxy.requests.filter(commits).length]).toEqual([1, 1])
          expect(info.version).toBe((await blobs.stat('k')).version)
          version = info.version
          lost.off()
        }
        expect(await blobs.bytes('k')).toEqual(bytes)
        expect(await everything()).toEqual(['k'])
      })

      it('replies of parts and intermediates are lost, requests break off, the service is busy', async () => {
        const blobs = await store()
        const bytes = bytesOf(40 * PART)
        proxy.on({ operation: 'objects.insert' }, loseReply(), { every: 5 })
        proxy.on({ operation: 'objects.insert' }, resetRequest(50_000), { every: 7 })
        proxy.on({ operation: 'objects.compose', path: '-c1/' }, loseReply(), { times: 1 })
        proxy.on({ operation: 'objects.compose' }, answer(gcsError(503, 'backendError')), { every: 2 })
        await blobs.write('k', pieces(bytes), { when: { ifAbsent: true } })
        expect(await blobs.bytes('k')).toEqual(bytes)
        expect(await everything()).toEqual(['k'])
      })

      it('it is aborted on the way: ABORTED, nothing is visible, and nothing stays', async () => {
        const blobs = await store()
        for (const after of [1, 5, 9]) {
          const stop = new AbortController()
          const body = async function* () {
            for (let i = 0; i < 12; i++) {
              if (i === after) stop.abort()
              yield bytesOf(PART)
            }
          }
          expect((await errorOf(blobs.write('k', body(), { signal: stop.signal }))).code).toBe('ABORTED')
          await expect.poll(everything, { timeout: 60_000 }).toEqual([])
        }
        // In the middle of the commit too; which is done, or not.
        proxy.on(commits, delayReply(600_000))
        const stop = new AbortController()
        const writing = errorOf(blobs.write('k', pieces(bytesOf(4 * PART)), { signal: stop.signal }))
        await expect.poll(() => proxy.requests.filter(commits).length, { timeout: 60_000 }).toBe(1)
        stop.abort()
        expect((await writing).code).toBe('ABORTED')
        await expect.poll(everything, { timeout: 60_000 }).toEqual(['k'])
        expect(await blobs.bytes('k')).toEqual(bytesOf(4 * PART))
      })

      it('a part is refused, or its source fails: the first failure is told, and nothing stays', async () => {
        const blobs = await store()
        proxy.on({ operation: 'objects.insert' }, answer(gcsError(403, 'forbidden')), { skip: 3 })
        expect(await errorOf(blobs.write('k', pieces(bytesOf(9 * PART))))).toMatchObject({
          code: 'DENIED',
          reason: 'PERMISSION',
        })
        proxy.clearRules()
        const body = async function* () {
          yield* pieces(bytesOf(5 * PART))
          throw new Error('no more')
        }
        await expect(blobs.write('k', body())).rejects.toThrow('no more')
        await expect.poll(everything, { timeout: 60_000 }).toEqual([])
      })

      it('parts that stay because removing them fails as well are told of with the failure', async () => {
        const blobs = await store()
        proxy.on({ operation: 'objects.compose' }, answer(gcsError(412, 'conditionNotMet')))
        proxy.on({ operation: 'objects.delete' }, answer(gcsError(403, 'forbidden')))
        const error = await errorOf(blobs.write('k', pieces(bytesOf(3 * PART)), { when: { ifAbsent: true } }))
        expect(error.code).toBe('EXISTS')
        expect((error as { suppressed?: unknown }).suppressed).toBeInstanceOf(Error)
        proxy.clearRules()
        expect(await keys(blobs)).toEqual([])
        expect(await blobs.sweep({ before: soon() })).toEqual({ count: 1, bytes: 3 * PART })
        expect(await everything()).toEqual([])
      })

      it('the process is killed: nothing is visible, and sweep frees all of it', async () => {
        const blobs = await store()
        // Not one part is answered after the twelfth.
        proxy.on({ operation: 'objects.insert' }, delayReply(600_000), { skip: 12 })
        const args = [proxy.through(composing.endpoint), bucket, 'k', '64', '256', '4']
        const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
        await expect.poll(async () => (await everything()).length, { timeout: 120_000 }).toBeGreaterThanOrEqual(12)
        child.kill('SIGKILL')
        await once(child, 'close')
        proxy.clearRules()
        expect(await keys(blobs)).toEqual([])
        expect(await blobs.exists('k')).toBe(false)
        for await (const _info of blobs.list('', { limit: 1 })) throw new Error('a part was listed')
        // What was on its way when it died may still arrive.
        await expect
          .poll(
            async () => {
              const counted = await blobs.sweep({ before: soon(), dryRun: true })
              expect(await blobs.sweep({ before: soon() })).toEqual(counted)
              return [counted.count, (await everything()).length]
            },
            { timeout: 60_000 },
          )
          .toEqual([0, 0])
      })
    })

    describe('sweep', () => {
      it('leaves an upload alone whose newest part is new, however old the first is', async () => {
        const blobs = await store({ parallel: 1 })
        const bytes = bytesOf(6 * PART)
        let swept: unknown
        const body = async function* () {
          yield* pieces(bytes.subarray(0, 4 * PART), PART)
          await expect.poll(async () => (await everything()).length, { timeout: 60_000 }).toBe(3)
          const before = new Date()
          // The service's clock tells seconds apart, or less.
          await new Promise((resolve) => setTimeout(resolve, 1100))
          yield bytes.subarray(4 * PART, 5 * PART)
          await expect.poll(async () => (await everything()).length, { timeout: 60_000 }).toBe(4)
          swept = await blobs.sweep({ before })
          yield bytes.subarray(5 * PART)
        }
        await blobs.write('k', body())
        expect(swept).toEqual({ count: 0, bytes: 0 })
        expect(await blobs.bytes('k')).toEqual(bytes)
      })

      it('that takes one for left behind fails it whole: UNAVAILABLE, to be written again', async () => {
        const blobs = await store()
        const body = async function* () {
          yield* pieces(bytesOf(4 * PART), PART)
          await expect.poll(async () => (await everything()).length, { timeout: 60_000 }).toBe(3)
          expect(await blobs.sweep({ before: soon() })).toEqual({ count: 1, bytes: 3 * PART })
        }
        const error = await errorOf(blobs.write('k', body()))
        expect([error.code, error.retryable]).toEqual(['UNAVAILABLE', true])
        expect(error.message).toContain('sweep')
        expect(await everything()).toEqual([])
      })
    })

    it('a body larger than what the process holds passes through', async () => {
      const peak = async (mebibytes: number) => {
        const args = [composing.endpoint, bucket, `k${mebibytes}`, String(mebibytes), '1024', '4']
        const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
        let out = ''
        child.stdout.on('data', (piece: Buffer) => {
          out += piece.toString()
        })
        const [code] = (await once(child, 'close')) as [number]
        expect(code).toBe(0)
        return Number(out)
      }
      const small = await peak(4)
      // Half a GiB in parts of one MiB, four at once: of it 128 MiB at most, garbage that waits for its collection included.
      expect((await peak(512)) - small).toBeLessThan(128)
    })
  },
  { ours: true },
)
