import { type AddressInfo, createServer } from 'node:net'
import { inspect } from 'node:util'
import { type IndexEvent, IndexStore, isHubError, parseFilter, parseSort } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { answer, type FaultProxy, loseReply, resetRequest, startProxy } from '@tensorhub/servers/proxy'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { mongodb } from '../src/index.ts'
import { dropCollection, freshDatabase } from './servers.ts'

const where = parseFilter

for (const standalone of [true, false]) {
  describe(standalone ? 'a standalone server' : 'a replica set', () => {
    let server: MongoServer
    let proxy: FaultProxy
    beforeAll(async () => {
      server = await startMongo({ standalone })
      proxy = await startProxy(server, { protocol: 'mongodb' })
    })
    afterAll(async () => {
      await proxy?.close()
      await server?.stop()
    })
    const open = (timeout = 20_000) => {
      // Not by what the replica set says of itself: that would lead past the proxy.
      const url = `${proxy.through(server.urlOf(freshDatabase()))}?directConnection=true`
      const index = new IndexStore(mongodb({ url, timeout }))
      onTestFinished(() => index.close())
      return index
    }

    it('an insert whose reply is lost is stored once, and never EXISTS', async () => {
      const index = open()
      await index.open()
      for (let i = 0; i < 5; i++) {
        const rule = proxy.on({ operation: 'insert' }, loseReply(), { times: 1 })
        await index.insert('c', [{ _id: `d${i}`, n: i }])
        expect(rule.hits).toBe(1)
        rule.off()
      }
      expect(await index.count('c', where({}))).toBe(5)
      await expect(index.insert('c', [{ _id: 'd0', n: 7 }])).rejects.toMatchObject({ code: 'EXISTS' })
    })

    it('an insert that the driver repeats to a server which has forgotten the first request is no EXISTS', async () => {
      const index = open()
      await index.open()
      const lost = proxy.on({ operation: 'insert' }, loseReply(), { times: 1 })
      const forgot = proxy.on({ operation: 'insert' }, answer({ code: 11000, errmsg: 'E11000 duplicate key' }), {
        times: 1,
      })
      await index.insert('c', [{ _id: 'a', n: 1 }])
      expect(lost.hits).toBe(1)
      // A standalone server is not asked twice by the driver: there the document is looked for.
      expect(forgot.hits).toBe(standalone ? 0 : 1)
      proxy.clearRules()
      expect(await index.count('c', where({}))).toBe(1)
    })

    it('a write whose reply is lost, and whose repetition finds no primary, is done once', async () => {
      const index = open()
      await index.insert('c', [{ _id: 'a', n: 0 }])
      // Without the label NoWritesPerformed, as servers before 6.1 answer: the driver then tells this error and not the first.
      const noPrimary = answer({ code: 10107, errmsg: 'not primary' })
      proxy.on({ operation: ['findAndModify', 'insert'] }, loseReply(), { times: 1 })
      const refused = proxy.on({ operation: ['findAndModify', 'insert'] }, noPrimary, { times: 1 })
      await expect(index.takeOne('c', where({ _id: 'a' }), { inc: { n: 1 } })).rejects.toMatchObject({
        code: 'UNKNOWN',
        reason: 'REPLY_LOST',
        retryable: false,
      })
      expect(refused.hits).toBe(standalone ? 0 : 1)
      proxy.clearRules()
      expect(await index.top('c', where({ _id: 'a' }))).toMatchObject({ n: 1, _rev: 1 })
      proxy.on({ operation: 'insert' }, loseReply(), { times: 1 })
      const again = proxy.on({ operation: 'insert' }, noPrimary, { times: 1 })
      await index.insert('c', [{ _id: 'b', n: 0 }])
      expect(again.hits).toBe(standalone ? 0 : 1)
      proxy.clearRules()
      expect(await index.count('c', where({}))).toBe(2)
    })

    it('an update that reads and replaces is not begun again in the middle', async () => {
      const index = open()
      const counts = async () => {
        const found: unknown[] = []
        for await (const { n } of index.find('c', where({}))) found.push(n)
        return found.sort()
      }
      await index.insert(
        'c',
        [0, 1, 2, 3].map((n) => ({ _id: `d${n}`, n: 0 })),
      )
      for (const code of [10107, 112]) {
        const rule = proxy.on({ operation: 'update' }, answer({ code, errmsg: 'in passing' }), { skip: 2, times: 2 })
        expect(await index.update('c', where({}), { inc: { n: 0.5 } })).toBe(4)
        expect(rule.hits).toBe(2)
        rule.off()
      }
      expect(await counts()).toEqual([1, 1, 1, 1])
      const stays = proxy.on({ operation: 'update' }, answer({ code: 112, errmsg: 'in passing' }), { skip: 2 })
      await expect(index.update('c', where({}), { inc: { n: 0.5 } })).rejects.toMatchObject({
        code: 'UNKNOWN',
        retryable: false,
        message: expect.stringContaining('2 documents are changed'),
      })
      stays.off()
      expect(await counts()).toEqual([1, 1, 1.5, 1.5])
    })

    it('a write to a server that is known to be away is UNAVAILABLE: it was never sent', async () => {
      const index = open(700)
      await index.insert('c', [{ _id: 'a', n: 0 }])
      await proxy.refuse()
      proxy.cutAll()
      await expect(index.count('c', where({}))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      const one = where({ _id: 'a' })
      const calls = [
        () => index.takeOne('c', one, { inc: { n: 1 } }),
        () => index.update('c', one, { inc: { n: 1 } }),
        () => index.insert('c', [{ _id: 'b' }]),
        () => index.delete('c', one),
      ]
      for (const call of calls)
        await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE', retryable: true })
      await proxy.accept()
      expect(await index.top('c', where({}))).toMatchObject({ _id: 'a', n: 0 })
    })

    if (!standalone)
      it('a transaction that never came to its commit is not done, and says so', async () => {
        const index = open(1500)
        expect((await index.can()).transactions).toBe(true)
        const rule = proxy.on({ operation: 'insert' }, loseReply())
        await expect(index.insert('c', [{ _id: 'a' }, { _id: 'b' }])).rejects.toMatchObject({
          code: 'UNAVAILABLE',
          retryable: true,
        })
        rule.off()
        expect(await index.count('c', where({}))).toBe(0)
      })

    it('indexes of one request wait for a server that is away once, not once each', async () => {
      const index = open()
      await index.open()
      const away = proxy.on({ operation: 'createIndexes' }, answer({ code: 6, errmsg: 'host unreachable' }))
      const making = ['a', 'b', 'c'].map((key) => index.ensureIndex('c', parseSort({ [key]: 1 })))
      for (const outcome of await Promise.allSettled(making))
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE', retryable: true } })
      expect(away.hits).toBe(1)
      away.off()
      await index.ensureIndex('c', parseSort({ a: 1 }))
    })

    it('an insert of many whose reply is lost is whole', async () => {
      const index = open()
      await index.open()
      const rule = proxy.on({ operation: 'insert' }, loseReply(), { times: 1 })
      await index.insert(
        'c',
        Array.from({ length: 300 }, (_, i) => ({ _id: `d${i}`, n: i })),
      )
      expect(rule.hits).toBe(1)
      rule.off()
      expect(await index.count('c', where({}))).toBe(300)
    })

    it('a takeOne or update whose reply is lost is done once, and told as done or as UNKNOWN', async () => {
      const index = open()
      await index.insert('c', [{ _id: 'a', n: 0 }])
      for (const call of ['takeOne', 'update'] as const) {
        const before = (await index.top('c', where({ _id: 'a' })))?.['_rev'] as number
        const rule = proxy.on({ operation: ['update', 'findAndModify'] }, loseReply(), { times: 1 })
        const outcome = await index[call]('c', where({ _id: 'a' }), { set: { by: call } }).then(
          () => 'done',
          (error: unknown) => error,
        )
        expect(rule.hits).toBe(1)
        rule.off()
        if (outcome !== 'done') {
          expect(isHubError(outcome, 'UNKNOWN')).toBe(true)
          expect(outcome).toMatchObject({ reason: 'REPLY_LOST', retryable: false })
        }
        expect(await index.top('c', where({ _id: 'a' }))).toMatchObject({ by: call, _rev: before + 1 })
      }
    })

    it('a read whose reply is lost is repeated, or UNAVAILABLE, never empty', async () => {
      const index = open()
      await index.insert('c', [{ _id: 'a' }])
      const rule = proxy.on({ operation: ['find', 'aggregate'] }, loseReply(), { times: 1 })
      expect(await index.top('c', where({}))).toMatchObject({ _id: 'a' })
      expect(rule.hits).toBe(1)
      rule.off()
    })

    it("the server's errors are told by their codes", async () => {
      const index = open()
      await index.insert('c', [{ _id: 'a' }])
      const cases: readonly (readonly [code: number, expected: object])[] = [
        [13, { code: 'DENIED', reason: 'PERMISSION' }],
        [11000, { code: 'EXISTS' }],
        [14031, { code: 'STORAGE_FULL' }],
        [16500, { code: 'THROTTLED', retryable: true }],
        [10334, { code: 'INVALID', reason: 'DOCUMENT_TOO_LARGE' }],
      ]
      for (const [code, expected] of cases) {
        const rule = proxy.on({ operation: 'findAndModify' }, answer({ code, errmsg: 'as the test says' }))
        await expect(index.takeOne('c', where({ _id: 'a' }), { set: { n: 1 } }), String(code)).rejects.toMatchObject(
          expected,
        )
        rule.off()
      }
    })

    it('a repeated open costs few requests, and so does each call', async () => {
      const index = open()
      await index.open()
      proxy.forget()
      await index.insert('c', [{ _id: 'a', epoch: 0 }])
      await index.takeOne('c', where({ epoch: 0 }), { set: { n: 1 }, inc: { epoch: 1 } })
      await index.top('c', where({ _id: 'a' }))
      await index.count('c', where({}))
      await index.now()
      const { hello: _monitoring, isMaster: _old, ...counts } = proxy.counts()
      expect(counts).toEqual({ insert: 1, findAndModify: 1, find: 1, aggregate: 1 })
    })

    it('a server that is killed and comes back has every acknowledged document', async () => {
      const url = `${server.urlOf(freshDatabase())}?directConnection=true`
      const index = new IndexStore(mongodb({ url, timeout: 60_000 }))
      onTestFinished(() => index.close())
      await index.open()
      const acknowledged: string[] = []
      let stop = false
      const writing = Array.from({ length: 4 }, async (_, w) => {
        for (let i = 0; !stop; i++) {
          const _id = `w${w}-${i}`
          try {
            await index.insert('c', [{ _id, n: i }])
            acknowledged.push(_id)
          } catch (error) {
            // False EXISTS would be a failure: each `_id` is new.
            if (!isHubError(error, 'UNKNOWN') && !isHubError(error, 'UNAVAILABLE')) throw error
          }
        }
      })
      while (acknowledged.length < 40) await new Promise((resolve) => setTimeout(resolve, 10))
      await server.kill()
      await server.start()
      const sofar = acknowledged.length
      while (acknowledged.length < sofar + 40) await new Promise((resolve) => setTimeout(resolve, 10))
      stop = true
      await Promise.all(writing)
      const found = new Set<string>()
      for await (const doc of index.find('c', where({}))) found.add(doc._id)
      expect(acknowledged.filter((id) => !found.has(id))).toEqual([])
    })

    if (!standalone)
      it('a change stream goes on where it broke', async () => {
        const index = open(60_000)
        const seen: IndexEvent[] = []
        const stop = new AbortController()
        expect((await index.can()).watch).toBe(true)
        const watching = (async () => {
          for await (const event of index.watch('c', where({ kind: 'a' }), { signal: stop.signal })) seen.push(event)
        })().catch((error: unknown) => error)
        const until = async (holds: () => boolean, act?: (n: number) => Promise<unknown>) => {
          for (let n = 0; !holds(); n++) {
            await act?.(n)
            await new Promise((resolve) => setTimeout(resolve, 30))
          }
        }
        await until(
          () => seen.length > 0,
          (n) => index.insert('c', [{ _id: `early${n}`, kind: 'a' }]),
        )
        for (let round = 0; round < 3; round++) {
          proxy.cutAll()
          await index.insert('c', [{ _id: `x${round}`, kind: 'a' }])
          proxy.cutAll()
          await until(() => seen.some((event) => event._id === `x${round}` && event.op === 'insert'))
        }
        await index.update('c', where({ _id: 'x0' }), { set: { kind: 'b' } })
        await until(() => seen.some((event) => event._id === 'x0' && event.op === 'delete'))
        stop.abort()
        expect(await watching).toMatchObject({ code: 'ABORTED' })
      })

    if (!standalone)
      it('a change stream that was quiet for longer than the timeout, and one whose collection is dropped, go on', async () => {
        const database = freshDatabase()
        const url = `${proxy.through(server.urlOf(database))}?directConnection=true`
        const index = new IndexStore(mongodb({ url, timeout: 1000 }))
        onTestFinished(() => index.close())
        const seen: IndexEvent[] = []
        const stop = new AbortController()
        await index.insert('c', [{ _id: 'known', kind: 'a' }])
        const watching = (async () => {
          for await (const event of index.watch('c', where({ kind: 'a' }), { signal: stop.signal })) seen.push(event)
        })().catch((error: unknown) => error)
        const ended = watching.then((error) => {
          throw error
        })
        ended.catch(() => undefined)
        const sees = async (_id: string, op: string) => {
          while (!seen.some((event) => event._id === _id && event.op === op))
            await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 30))])
        }
        for (let n = 0; seen.length === 0; n++) {
          await index.insert('c', [{ _id: `early${n}`, kind: 'a' }])
          await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 30))])
        }
        await new Promise((resolve) => setTimeout(resolve, 1500))
        // The driver resumes once by itself; that fails too.
        const resumed = proxy.on({ operation: 'aggregate' }, resetRequest(0), { times: 2 })
        const dropped = proxy.on({ operation: 'getMore' }, answer({ code: 43, errmsg: 'cursor not found' }), {
          times: 1,
        })
        while (resumed.hits < 2) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 30))])
        expect(dropped.hits).toBe(1)
        await index.insert('c', [{ _id: 'x', kind: 'a' }])
        await sees('x', 'insert')
        await dropCollection(server, database, 'c')
        await sees('known', 'delete')
        await index.insert('c', [{ _id: 'y', kind: 'a' }])
        await sees('y', 'insert')
        stop.abort()
        expect(await watching).toMatchObject({ code: 'ABORTED' })
      })
  })
}

describe('what cannot be reached or entered', () => {
  const SECRET = 'pa55:w@rd/#?'
  const failure = async (url: string, timeout = 1500, clientOptions?: object): Promise<unknown> => {
    let thrown: unknown
    try {
      const index = new IndexStore(mongodb({ url, timeout, ...(clientOptions ? { clientOptions } : {}) }))
      thrown = await index.open().catch((error: unknown) => error)
      await index.close()
    } catch (error) {
      thrown = error
    }
    const shown = `${inspect(thrown, { depth: 20, showHidden: true })} ${String(thrown)} ${JSON.stringify(thrown)}`
    expect(shown).not.toContain(SECRET)
    expect(shown).not.toContain(encodeURIComponent(SECRET))
    return thrown
  }
  const login = `user:${encodeURIComponent(SECRET)}@`

  it('an unreachable host is UNAVAILABLE within the timeout, and named', async () => {
    const error = await failure(`mongodb://${login}127.0.0.1:1/db`)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE', retryable: true })
    expect(String(error)).toContain('127.0.0.1:1/db')
  })

  it('a server that is silent is UNAVAILABLE within the timeout', async () => {
    const server = await startMongo({ standalone: true })
    const proxy = await startProxy(server)
    proxy.blackHole()
    expect(await failure(`mongodb://${login}127.0.0.1:${proxy.port}/db`)).toMatchObject({ code: 'UNAVAILABLE' })
    await proxy.close()
    await server.stop()
  })

  it('a web server is told as another server, within the timeout, and named', async () => {
    const web = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () =>
        socket.end('HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>sign in</html>'),
      )
    })
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    const { port } = web.address() as AddressInfo
    const error = await failure(`mongodb://${login}127.0.0.1:${port}/db`)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_THE_STORE', retryable: false })
    expect(String(error)).toContain(`127.0.0.1:${port}/db`)
    await new Promise((resolve) => web.close(resolve))
  })

  it('a certificate that nobody trusts is TLS; with its authority it is let in', async () => {
    const server = await startMongo({ standalone: true })
    const proxy = await startProxy(server, { tls: true })
    const url = `mongodb://127.0.0.1:${proxy.port}/db?tls=true&directConnection=true`
    expect(await failure(url)).toMatchObject({ code: 'UNAVAILABLE', reason: 'TLS', retryable: false })
    const index = new IndexStore(mongodb({ url, clientOptions: { ca: proxy.ca as string } }))
    await index.insert('c', [{ _id: 'a' }])
    await index.close()
    await proxy.close()
    await server.stop()
  })

  it('a compression whose package is not there is named', async () => {
    const server = await startMongo({ standalone: true })
    const error = await failure(`${server.urlOf('db')}?compressors=snappy`)
    expect(error).toMatchObject({ code: 'UNSUPPORTED', reason: 'CAPABILITY', retryable: false })
    expect(String(error)).toContain('snappy')
    await server.stop()
  })

  it('a URL that the driver cannot read shows nothing of itself', async () => {
    for (const url of [
      `mongodb://${login}:bad:port/db`,
      `mongodb://${login}h:99999/db`,
      `mongodb+srv://${login}h:1/db`,
    ])
      expect(await failure(url)).toMatchObject({ code: expect.stringMatching(/INVALID|UNAVAILABLE/) })
  })
})
