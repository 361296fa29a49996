import { type BlobStore, isHubError } from '@tensorhub/core'
import { type MongoOptions, type MongoServer, startMongo } from '@tensorhub/servers'
import { answer, type FaultProxy, loseReply, resetRequest, startProxy } from '@tensorhub/servers/proxy'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { all, KIB, noise, Side, soon, streamOf } from './gridfs/bucket.ts'

const SERVERS: readonly (readonly [name: string, options: MongoOptions])[] = [
  ['SecantusDB, replica set', {}],
  ['SecantusDB, standalone', { standalone: true }],
  ['mongo-java-server', { kind: 'java' }],
]

for (const [name, options] of SERVERS) {
  describe(`gridfs behind a faulty line to ${name}`, () => {
    let server: MongoServer
    let proxy: FaultProxy
    beforeAll(async () => {
      server = await startMongo(options)
      proxy = await startProxy(server, { protocol: 'mongodb' })
    })
    afterAll(async () => {
      await proxy?.close()
      await server?.stop()
    })
    const open = async (): Promise<{ side: Side; blobs: BlobStore } & AsyncDisposable> => {
      const side = new Side(server, (url) => `${proxy.through(url)}?directConnection=true`)
      const blobs = side.store()
      // Opened, with its indexes: what follows are the commands of the operation alone.
      await blobs.write('ready', 'x')
      return {
        side,
        blobs,
        [Symbol.asyncDispose]: async () => {
          proxy.clearRules()
          await side[Symbol.asyncDispose]()
        },
      }
    }
    const text = async (blobs: BlobStore, key: string) => new TextDecoder().decode(await blobs.bytes(key))

    it('a first write whose indexes get no answer, or whose key cannot be looked at, is done', async () => {
      await using side = new Side(server, (url) => `${proxy.through(url)}?directConnection=true`)
      for (const body of [noise(1 * KIB), streamOf(noise(200 * KIB))]) {
        const rule = proxy.on({ operation: 'createIndexes' }, loseReply(), { times: 1 })
        await side.store().write(body instanceof Uint8Array ? 'bytes' : 'stream', body)
        expect(rule.hits).toBe(1)
        rule.off()
      }
      const busy = proxy.on({ operation: 'find' }, answer({ code: 16500, errmsg: 'too much at once' }), { times: 2 })
      await side.store().write('new', streamOf(noise(200 * KIB)), { when: { ifAbsent: true } })
      expect(busy.hits).toBe(2)
      busy.off()
      // What fails before the commit is not done.
      const refused = proxy.on({ operation: 'createIndexes' }, answer({ code: 13, errmsg: 'not authorized' }))
      await expect(side.store().write('not', 'x')).rejects.toMatchObject({ code: 'DENIED' })
      refused.off()
      const away = proxy.on({ operation: 'createIndexes' }, answer({ code: 11600, errmsg: 'shutting down' }))
      await expect(side.store({ timeout: 1000 }).write('not', 'x')).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        retryable: true,
      })
      away.off()
    })

    it('a body whose server is silent ends at once when it is aborted; a listing waits for it no longer than a look', async () => {
      await using side = new Side(server, (url) => `${proxy.through(url)}?directConnection=true`)
      const [reading, looking, listing] = [5000, 1000, 1000].map((timeout) => side.store({ timeout })) as [
        BlobStore,
        BlobStore,
        BlobStore,
      ]
      await reading.write('a', noise(200 * KIB))
      await looking.stat('a')
      await all(listing.list(''))
      const stop = new AbortController()
      const { body } = await reading.read('a', { signal: stop.signal })
      proxy.blackHole()
      const piece = body.getReader().read()
      setTimeout(() => stop.abort(), 100)
      await expect(piece).rejects.toMatchObject({ code: 'ABORTED' })
      const took = async (call: Promise<unknown>) => {
        const began = performance.now()
        await expect(call).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
        return performance.now() - began
      }
      const look = await took(looking.stat('a'))
      expect(await took(all(listing.list('')))).toBeLessThan(3 * look)
      proxy.restore()
      proxy.cutAll()
    })

    it('every reply lost once, or request cut, one after the other: each write, replacement and delete succeeds, and nothing is left over', async () => {
      for (const fault of [loseReply('reset'), loseReply('close'), resetRequest(0)]) {
        for (const operation of ['insert', 'update', 'delete', 'find']) {
          // Of updates there are three.
          for (let nth = 0; nth < (operation === 'update' ? 3 : 4); nth++) {
            await using on = await open()
            const { side, blobs } = on
            const rule = proxy.on({ operation }, fault, { skip: nth, times: 1 })
            await blobs.write('a', noise(150 * KIB, 1))
            const first = await blobs.write('b', 'one', { when: { ifAbsent: true } })
            await blobs.write('b', 'two', { when: { ifVersion: first.version } })
            await blobs.write('a', noise(90 * KIB, 2))
            await expect(blobs.write('b', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'EXISTS' })
            await expect(blobs.write('b', 'x', { when: { ifVersion: first.version } })).rejects.toMatchObject({
              code: 'CONFLICT',
            })
            expect(Buffer.compare(await blobs.bytes('a'), noise(90 * KIB, 2))).toBe(0)
            expect(await text(blobs, 'b')).toBe('two')
            await blobs.delete(['a'])
            expect((await all(blobs.list(''))).map(({ key }) => key)).toEqual(['b', 'ready'])
            expect(rule.hits, `${operation} ${nth} ${fault.fault}`).toBe(1)
            proxy.clearRules()
            // What an old file's freeing missed, or a chunk that came after all, is found; nothing else is there.
            await blobs.sweep({ before: soon() })
            const [, files, chunks] = await side.counts()
            expect([files, chunks]).toEqual([2, 2])
          }
        }
      }
    })

    it('F8: every 5th reply to a write is lost: 0 false lost races, and a counter loses and doubles nothing', async () => {
      await using on = await open()
      const { side, blobs } = on
      await blobs.write('n', '0')
      const lost = proxy.on({ operation: ['insert', 'update', 'delete'] }, loseReply('reset'), { every: 5 })
      let unsure = 0
      for (let n = 0; n < 20; n++) {
        try {
          await blobs.write(`new/${n}`, String(n), { when: { ifAbsent: true } })
          const { info, body } = await blobs.read('n')
          await blobs.write('n', String(Number(await new Response(body).text()) + 1), {
            when: { ifVersion: info.version },
          })
        } catch (error) {
          // Nobody else writes here: a lost race would be a false one.
          if (!isHubError(error, 'UNAVAILABLE') && !isHubError(error, 'UNKNOWN')) throw error
          unsure++
        }
      }
      expect(lost.hits).toBeGreaterThan(10)
      expect(unsure).toBe(0)
      expect(await text(blobs, 'n')).toBe('20')
      proxy.clearRules()
      for (let n = 0; n < 20; n++) expect(await text(blobs, `new/${n}`)).toBe(String(n))
      await blobs.sweep({ before: soon() })
      const [, files, chunks] = await side.counts()
      expect([files, chunks]).toEqual([22, 22])
    })

    it('a commit whose answer never comes, nor that to the question after it, is UNKNOWN, and the blob is whole or not there', async () => {
      await using on = await open()
      const { side } = on
      const blobs = side.store({ timeout: 1500 })
      await blobs.open()
      for (const done of [true, false]) {
        const key = `k-${done}`
        let after = false
        proxy.on(
          (request) => {
            // The third insert is that of the row; from there on nothing is answered.
            after ||= request.operation === 'insert' && ++inserts === 3
            return after
          },
          done ? loseReply('reset') : resetRequest(0),
        )
        let inserts = 0
        const error = await blobs.write(key, noise(10 * KIB)).catch((failure: unknown) => failure)
        expect(error).toMatchObject({ code: 'UNKNOWN' })
        proxy.clearRules()
        if (done) expect((await on.blobs.bytes(key)).byteLength).toBe(10 * KIB)
        else await expect(on.blobs.stat(key)).rejects.toMatchObject({ code: 'NOT_FOUND' })
        await on.blobs.sweep({ before: soon() })
        expect((await side.counts())[1]).toBe(2)
      }
    })

    it('what the server refuses is said by its code, and frees what was sent: full disk, no right, too many requests', async () => {
      await using on = await open()
      const { side, blobs } = on
      for (const [error, expected] of [
        [{ code: 14031, codeName: 'OutOfDiskSpace', errmsg: 'no space' }, { code: 'STORAGE_FULL' }],
        [{ code: 13, codeName: 'Unauthorized', errmsg: 'not authorized on db to execute command' }, { code: 'DENIED' }],
        [{ code: 50, codeName: 'MaxTimeMSExpired', errmsg: 'time' }, {}],
      ] as const) {
        for (let nth = 0; nth < 3; nth++) {
          const rule = proxy.on({ operation: 'insert' }, answer(error), { skip: nth, times: 1 })
          await expect(blobs.write('k', noise(10 * KIB))).rejects.toMatchObject({
            ...expected,
            at: { scheme: 'gridfs' },
          })
          expect(rule.hits).toBe(1)
          proxy.clearRules()
          expect(await side.counts()).toEqual([1, 1, 1])
        }
      }
      // Too much for now: waited out.
      const rule = proxy.on({ operation: 'insert' }, answer({ code: 16500, errmsg: 'TooManyRequests' }), { times: 4 })
      await blobs.write('k', noise(10 * KIB))
      expect(rule.hits).toBe(4)
      expect(await side.counts()).toEqual([2, 2, 2])
    })

    it('a listing goes on where its cursor was dropped, or its connection broke', async () => {
      await using on = await open()
      const { blobs } = on
      for (let n = 0; n < 1100; n += 50)
        await Promise.all(Array.from({ length: 50 }, (_, i) => blobs.write(`l/${String(n + i).padStart(5, '0')}`, '')))
      for (const fault of [answer({ code: 43, codeName: 'CursorNotFound', errmsg: 'cursor not found' }), loseReply()]) {
        const rule = proxy.on({ operation: 'getMore' }, fault, { times: 1 })
        const keys = (await all(blobs.list('l/'))).map(({ key }) => key)
        expect(keys).toEqual(Array.from({ length: 1100 }, (_, n) => `l/${String(n).padStart(5, '0')}`))
        expect(rule.hits).toBe(1)
        proxy.clearRules()
      }
    })
  })
}
