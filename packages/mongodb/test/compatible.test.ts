import { randomUUID } from 'node:crypto'
import { IndexStore, parseFilter } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { answer, type FaultProxy, loseReply, startProxy } from '@tensorhub/servers/proxy'
import { MongoClient } from 'mongodb'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { mongodb } from '../src/index.ts'
import { freshDatabase } from './servers.ts'

const where = parseFilter

describe('a server that lacks what it claims', () => {
  let server: MongoServer
  let proxy: FaultProxy
  beforeAll(async () => {
    server = await startMongo()
    proxy = await startProxy(server, { protocol: 'mongodb' })
  })
  afterAll(async () => {
    await proxy?.close()
    await server?.stop()
  })
  afterEach(() => proxy.clearRules())
  const urlOf = (more = '') => `${proxy.through(server.urlOf(freshDatabase()))}?directConnection=true${more}`
  const open = (more = '') => {
    const index = new IndexStore(mongodb({ url: urlOf(more), timeout: 20_000 }))
    onTestFinished(() => index.close())
    return index
  }

  const REFUSALS = [
    { code: 301, errmsg: 'Retryable writes are not supported' },
    // https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html#functional-differences.retryable-writes
    { code: 9, errmsg: "Unrecognized field: 'txnNumber'" },
  ]
  for (const refusal of REFUSALS)
    it(`"${refusal.errmsg}": is used without them`, async () => {
      const index = open()
      const rule = proxy.on({ operation: 'delete' }, answer(refusal), { times: 1 })
      const can = await index.can()
      expect(rule.hits).toBe(1)
      const client = index.driver.native?.() as MongoClient | undefined
      expect(client?.options.retryWrites).toBe(false)
      expect(can).toMatchObject({ transactions: true, watch: true })
      await index.insert('c', [{ _id: 'a' }])
      expect(await index.count('c', where({}))).toBe(1)
    })

  it('where retryable writes were asked for, or the client is given, says how to do without', async () => {
    proxy.on({ operation: 'delete' }, answer(REFUSALS[0] as object & { code: number; errmsg: string }))
    const client = new MongoClient(urlOf())
    onTestFinished(() => client.close())
    for (const index of [open('&retryWrites=true'), new IndexStore(mongodb({ client, database: freshDatabase() }))])
      await expect(index.open()).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        message: expect.stringContaining('retryWrites=false'),
      })
  })

  it('transactions that get in each other’s way while they are probed are no lack of transactions', async () => {
    const rule = proxy.on(
      { operation: 'insert' },
      answer({ code: 112, errmsg: 'WriteConflict', errorLabels: ['TransientTransactionError'] }),
      { times: 2 },
    )
    const index = open()
    expect(await index.can()).toMatchObject({ transactions: true })
    expect(rule.hits).toBe(2)
  })

  it('commands that are unknown to it do not keep it from being opened', async () => {
    proxy.on({ operation: 'aggregate' }, answer({ code: 59, errmsg: 'no such command' }))
    proxy.on({ operation: 'abortTransaction' }, answer({ code: 59, errmsg: 'no such command' }))
    const index = open()
    expect(await index.can()).toMatchObject({ watch: false })
  })

  it('a change of several documents is one command', async () => {
    const index = open()
    await index.insert(
      'c',
      Array.from({ length: 20 }, (_, i) => ({ _id: `d${i}`, ver: i, pin: null })),
    )
    proxy.forget()
    const ids = { _id: { $in: ['d1', 'd2', 'd3', randomUUID()] } }
    expect(await index.update('c', where(ids), { set: { pin: new Date(5) }, inc: { ver: 1 } })).toBe(3)
    const { hello: _monitoring, isMaster: _old, ...counts } = proxy.counts()
    expect(counts).toEqual({ update: 1 })
    expect(await index.top('c', where({ _id: 'd2' }))).toEqual({ _id: 'd2', ver: 3, pin: new Date(5), _rev: 1 })
    expect(await index.count('c', where({ pin: null }))).toBe(17)
  })

  it('a change that one of several documents refuses changes none', async () => {
    const index = open()
    await index.insert('c', [
      { _id: 'a', n: 1 },
      { _id: 'b', n: 'text' },
    ])
    for (const change of [{ inc: { n: 1 } }, { set: { 'n.deep': 1 } }])
      await expect(index.update('c', where({}), change)).rejects.toMatchObject({ code: 'INVALID' })
    expect(await index.count('c', where({ _rev: 0 }))).toBe(2)
  })

  it('where a client takes a second without an answer for a dead connection, a watch that has nothing to tell stays on one', async () => {
    const client = new MongoClient(urlOf(), { socketTimeoutMS: 400 })
    const index = new IndexStore(mongodb({ client, database: freshDatabase() }))
    onTestFinished(async () => {
      await index.close()
      await client.close()
    })
    await index.insert('c', [{ _id: 'a' }])
    const stop = new AbortController()
    const seen: string[] = []
    const watching = (async () => {
      for await (const { _id } of index.watch('c', where({}), { signal: stop.signal })) seen.push(_id)
    })().catch((error: unknown) => error)
    await expect.poll(() => proxy.count({ operation: 'getMore' }), { timeout: 30_000 }).toBeGreaterThan(2)
    let dead = 0
    client.on('connectionClosed', ({ reason }) => {
      if (reason === 'error') dead++
    })
    const before = proxy.count({ operation: 'getMore' })
    await expect.poll(() => proxy.count({ operation: 'getMore' }), { timeout: 30_000 }).toBeGreaterThan(before + 5)
    expect(dead).toBe(0)
    stop.abort()
    expect(await watching).toMatchObject({ code: 'ABORTED' })
  })

  it('a commit of many documents without an answer is UNKNOWN, or done, and never told as not done', async () => {
    const index = new IndexStore(mongodb({ url: urlOf('&retryWrites=false'), timeout: 1500 }))
    onTestFinished(() => index.close())
    await index.open()
    const rule = proxy.on({ operation: 'commitTransaction' }, answer({ code: 11602, errmsg: 'interrupted' }))
    await expect(index.insert('c', [{ _id: 'a' }, { _id: 'b' }])).rejects.toMatchObject({
      code: 'UNKNOWN',
      reason: 'REPLY_LOST',
      retryable: false,
    })
    expect(rule.hits).toBeGreaterThan(1)
  })

  it('a commit that was done, and forgotten in a restart, is no EXISTS', async () => {
    const index = open()
    await index.open()
    const lost = proxy.on({ operation: 'commitTransaction' }, loseReply(), { times: 1 })
    const forgot = proxy.on(
      { operation: 'commitTransaction' },
      answer({ code: 251, errmsg: 'no such transaction', errorLabels: ['TransientTransactionError'] }),
      { times: 1 },
    )
    await index.insert('c', [
      { _id: 'a', n: 1 },
      { _id: 'b', n: 2 },
    ])
    expect([lost.hits, forgot.hits]).toEqual([1, 1])
    expect(await index.count('c', where({}))).toBe(2)
    await expect(index.insert('c', [{ _id: 'z' }, { _id: 'a' }])).rejects.toMatchObject({ code: 'EXISTS' })
    expect(await index.count('c', where({}))).toBe(2)
  })
})
