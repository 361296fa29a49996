import { Binary, MongoClient } from 'mongodb'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type MongoServer, startMongo } from '../../index.ts'
import { answer, delayReply, type FaultProxy, halfOpen, loseReply, startProxy } from '../../proxy/index.ts'

let server: MongoServer
let proxy: FaultProxy
let clients: MongoClient[]

beforeAll(async () => {
  server = await startMongo()
  proxy = await startProxy(server, { protocol: 'mongodb' })
})
beforeEach(() => {
  clients = []
})
afterEach(async () => {
  proxy.clearRules()
  proxy.restore()
  await Promise.all(clients.map((client) => client.close()))
})
afterAll(async () => {
  await proxy?.close()
  await server?.stop()
})

/** A replica set's client would go to the address that the server names: `directConnection` keeps it on the proxy. */
function collection(name: string, options: Record<string, unknown> = {}) {
  const client = new MongoClient(proxy.through(server.urlOf('proxy')), { directConnection: true, ...options })
  clients.push(client)
  return client.db().collection<{ _id: number; n?: number; bytes?: Binary }>(name)
}
const direct = async (name: string) => {
  const client = new MongoClient(server.url)
  try {
    return await client.db('proxy').collection(name).countDocuments()
  } finally {
    await client.close()
  }
}

describe('MongoDB through the proxy', () => {
  it('counts commands by name', async () => {
    const documents = collection('counts')
    await documents.insertOne({ _id: 0 })
    proxy.forget()
    await documents.insertOne({ _id: 1 })
    await documents.updateOne({ _id: 1 }, { $set: { n: 1 } })
    await documents.findOneAndUpdate({ _id: 1 }, { $inc: { n: 1 } })
    await documents.findOne({ _id: 1 })
    await documents.deleteOne({ _id: 1 })
    const { insert, update, findAndModify, find, delete: deleted } = proxy.counts()
    expect({ insert, update, findAndModify, find, deleted }).toEqual({
      ...{ insert: 1, update: 1, findAndModify: 1, find: 1, deleted: 1 },
    })
    expect(proxy.count({ operation: ['insert', 'update'] })).toBe(2)
  })

  it('passes messages of many megabytes as they are', async () => {
    const documents = collection('large')
    const bytes = Buffer.alloc(15 * 1024 * 1024, 'tensor')
    await documents.insertMany([0, 1, 2].map((_id) => ({ _id, bytes: new Binary(bytes) })))
    const read = await documents.findOne({ _id: 2 })
    expect(bytes.equals(read?.bytes?.buffer ?? Buffer.alloc(0))).toBe(true)
  })

  it('loses the reply of every fifth write, after the server has applied it', async () => {
    const documents = collection('lost', { retryWrites: false })
    const rule = proxy.on({ operation: 'insert' }, loseReply(), { every: 5 })
    const failed: number[] = []
    for (let _id = 1; _id <= 20; _id += 1) await documents.insertOne({ _id }).catch(() => failed.push(_id))
    expect(failed).toEqual([5, 10, 15, 20])
    expect(rule).toMatchObject({ hits: 4, matched: 20 })
    expect(await direct('lost')).toBe(20)
  })

  it('a lost reply may be silence, which the client gives up on by itself', async () => {
    const documents = collection('silent', { retryWrites: false, socketTimeoutMS: 400 })
    proxy.on({ operation: 'insert' }, loseReply('silence'), { times: 1 })
    await expect(documents.insertOne({ _id: 1 })).rejects.toThrow(/timed out/)
    expect(await direct('silent')).toBe(1)
  })

  it('answers with an error of its own, and the server never sees the command', async () => {
    const documents = collection('refused', { retryWrites: false })
    proxy.on({ operation: 'insert' }, answer({ code: 50, codeName: 'MaxTimeMSExpired', errmsg: 'too slow' }))
    await expect(documents.insertOne({ _id: 1 })).rejects.toMatchObject({ code: 50, message: 'too slow' })
    expect(await direct('refused')).toBe(0)
  })

  it('answers the greeting of a client, in the form that it is asked in', async () => {
    proxy.on(({ operation }) => /^(hello|ismaster)$/i.test(operation), answer({ code: 11600, errmsg: 'going down' }))
    const documents = collection('greeting', { serverSelectionTimeoutMS: 500 })
    await expect(documents.findOne()).rejects.toThrow(/going down/)
  })

  it('delays replies', async () => {
    const documents = collection('delayed')
    await documents.findOne()
    proxy.on({ operation: 'find' }, delayReply(300))
    const began = performance.now()
    await documents.findOne()
    expect(performance.now() - began).toBeGreaterThan(295)
  })

  it('a connection falls silent in the middle of a reply', async () => {
    const documents = collection('half', { socketTimeoutMS: 400, retryReads: false })
    await documents.insertOne({ _id: 1, bytes: new Binary(Buffer.alloc(100_000)) })
    proxy.on({ operation: 'find' }, halfOpen(1000), { times: 1 })
    await expect(documents.findOne()).rejects.toThrow(/timed out/)
    expect((await documents.findOne())?._id).toBe(1)
  })

  it('a seed repeats which requests a rate strikes', async () => {
    const struck: number[][] = []
    for (const seed of [7, 7, 8]) {
      const own = await startProxy(server, { protocol: 'mongodb', seed })
      const client = new MongoClient(own.through(server.url), { directConnection: true, retryReads: false })
      own.on({ operation: 'find' }, answer({ code: 1, errmsg: 'no' }), { rate: 0.3 })
      const ids: number[] = []
      for (let id = 0; id < 40; id += 1)
        await client
          .db('x')
          .collection('x')
          .findOne()
          .catch(() => ids.push(id))
      struck.push(ids)
      await client.close()
      await own.close()
    }
    expect(struck[0]).toEqual(struck[1])
    expect(struck[0]).not.toEqual(struck[2])
    expect(struck[0]?.length).toBeGreaterThan(3)
    expect(struck[0]?.length).toBeLessThan(25)
  })
})
