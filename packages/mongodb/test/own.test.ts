import { IndexStore, parseFilter, parseSort } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { MongoClient } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { indexFromUrl, mongodb } from '../src/index.ts'
import { freshDatabase } from './servers.ts'

let server: MongoServer
let raw: MongoClient

beforeAll(async () => {
  server = await startMongo()
  raw = await new MongoClient(server.url).connect()
})
afterAll(async () => {
  await raw?.close()
  await server?.stop()
})

const where = parseFilter

function store(database = freshDatabase(), url = server.urlOf(database)): { store: IndexStore; database: string } {
  const opened = new IndexStore(mongodb({ url }))
  onTestFinished(() => opened.close())
  return { store: opened, database }
}

describe('what a URL or a client says of reads and writes', () => {
  const said = [
    'readPreference=secondary',
    'readPreference=secondary&readPreferenceTags=dc:x&maxStalenessSeconds=120',
    'readConcernLevel=linearizable',
    'w=0',
    'w=1&journal=false',
  ]
  // A client that is given looks for a server to read from itself, when it connects.
  const cases = said.flatMap((text) =>
    text.startsWith('readPreference') ? [{ text, given: false }] : [false, true].map((given) => ({ text, given })),
  )
  for (const { text, given } of cases)
    it(`takes away no promise: ${text}${given ? ', of a client' : ''}`, async () => {
      const url = server.urlOf(freshDatabase())
      const full = `${url}${url.includes('?') ? '&' : '?'}${text}`
      const client = given ? new MongoClient(full) : undefined
      const index = new IndexStore(mongodb(client ? { client } : { url: full, timeout: 10_000 }))
      onTestFinished(async () => {
        await index.close()
        await client?.close()
      })
      expect((await index.can()).transactions).toBe(true)
      await index.insert('c', [{ _id: 'a' }])
      const twice = index.insert('c', [{ _id: 'b' }, { _id: 'a' }])
      await expect(twice).rejects.toMatchObject({ code: 'EXISTS' })
      expect(await index.count('c', where({}))).toBe(1)
    })
})

describe('numbers', () => {
  it('stay numbers when they are counted past 2^31, also from nothing; bigints stay bigints', async () => {
    const { store: index } = store()
    await index.insert('c', [{ _id: 'a', n: 2 ** 31 - 1, big: 2n ** 31n - 1n }, { _id: 'b' }])
    const big = 1_500_000_000
    for (const _id of ['a', 'b']) {
      await index.update('c', where({ _id }), { inc: { n: big } })
      await index.takeOne('c', where({ _id }), { inc: { n: big } }, {})
      await index.update('c', where({ n: { $exists: true } }), { inc: { n: 1000 } })
      await index.takeOne('c', where({ n: { $gt: 2 ** 31 } }), { inc: { n: 1 } }, { order: parseSort({ _id: -1 }) })
    }
    await index.update('c', where({ _id: 'a' }), { inc: { big: 5 } })
    const [a, b] = [await index.top('c', where({ _id: 'a' })), await index.top('c', where({ _id: 'b' }))]
    expect([typeof a?.['n'], typeof b?.['n']]).toEqual(['number', 'number'])
    expect(a?.['big']).toBe(2n ** 31n + 4n)
    expect((a?.['n'] as number) + (b?.['n'] as number)).toBe(2 ** 31 - 1 + 4 * big + 3 * 1000 + 2)
  })

  it('that would become inexact are refused, and nothing changes', async () => {
    const { store: index } = store()
    await index.insert('c', [{ _id: 'a', n: Number.MAX_SAFE_INTEGER }])
    for (const filter of [{ _id: 'a' }, { n: { $gt: 0 } }]) {
      await expect(index.update('c', where(filter), { inc: { n: 1 } })).rejects.toMatchObject({ code: 'INVALID' })
      await expect(index.takeOne('c', where(filter), { inc: { n: 1 } }, {})).rejects.toMatchObject({ code: 'INVALID' })
    }
    expect(await index.top('c', where({}))).toEqual({ _id: 'a', n: Number.MAX_SAFE_INTEGER, _rev: 0 })
  })
})

describe('indexes', () => {
  it('of one turn go in one request a collection, and are not asked for again', async () => {
    const { store: index, database } = store()
    await index.open()
    const seen: string[] = []
    const client = index.driver.native?.() as MongoClient
    const spy = client.db(database).collection('c')
    const keys = (name: string) => [{ path: [name], dir: 1 }] as const
    await Promise.all(['a', 'b', 'c', 'a'].map((name) => index.ensureIndex('c', keys(name))))
    for (const { name } of await spy.indexes()) seen.push(String(name))
    expect(seen.sort()).toEqual(['_id_', 'a_1', 'b_1', 'c_1'])
  })

  it('made by several at once are made once, unique ones too', async () => {
    const { store: first, database } = store()
    const others = Array.from({ length: 5 }, () => store(database).store)
    const key = [{ path: ['key'], dir: 1 }] as const
    await Promise.all([first, ...others].map((one) => one.ensureIndex('c', key, { unique: true })))
    await first.insert('c', [{ _id: 'a', key: 'k' }])
    await expect(others[0]?.insert('c', [{ _id: 'b', key: 'k' }])).rejects.toMatchObject({
      code: 'EXISTS',
      path: '_id',
    })
  })

  it('that exist with other options are used when they serve, and CONFLICT when they do not', async () => {
    const { store: index, database } = store()
    const key = [{ path: ['key'], dir: 1 }] as const
    await raw.db(database).collection('serves').createIndex({ key: 1 }, { unique: true, name: 'mine' })
    await index.ensureIndex('serves', key)
    await raw.db(database).collection('plain').createIndex({ key: 1 })
    await expect(index.ensureIndex('plain', key, { unique: true })).rejects.toMatchObject({
      code: 'CONFLICT',
      reason: 'INDEX_CONFLICT',
      message: expect.stringContaining("'key_1'"),
    })
  })

  it('cannot be unique over documents that share the key', async () => {
    const { store: index } = store()
    await index.insert('c', [
      { _id: 'a', key: 1 },
      { _id: 'b', key: 1 },
    ])
    await expect(index.ensureIndex('c', [{ path: ['key'], dir: 1 }], { unique: true })).rejects.toMatchObject({
      code: 'EXISTS',
    })
  })
})

describe('a connection', () => {
  it('is one client for index and blobs of one URL, closed by the last', async () => {
    const url = server.urlOf(freshDatabase())
    const [a, b] = [new IndexStore(indexFromUrl(`${url}?bucket=x`)), new IndexStore(indexFromUrl(url))]
    await Promise.all([a.open(), b.open()])
    expect(a.driver.native?.()).toBe(b.driver.native?.())
    await a.close()
    await b.insert('c', [{ _id: 'a' }])
    await b.close()
    const c = new IndexStore(indexFromUrl(url))
    expect(await c.count('c', where({}))).toBe(1)
    await c.close()
  })

  it('of a client that was given is left open, whatever its own options are', async () => {
    const client = new MongoClient(server.url, {
      promoteValues: false,
      readPreference: 'secondaryPreferred',
      writeConcern: { w: 0 },
    })
    const index = new IndexStore(mongodb({ client, database: freshDatabase() }))
    await index.insert('c', [{ _id: 'a', n: 1, big: 5n }])
    expect(await index.top('c', where({}))).toEqual({ _id: 'a', n: 1, big: 5n, _rev: 0 })
    await index.close()
    expect((await client.db('admin').command({ ping: 1 }))['ok']).toBeTruthy()
    await client.close()
  })

  it('refuses options and parameters that it does not know, by name', () => {
    expect(() => mongodb({ url: 'mongodb://h/d', pool: 3 } as never)).toThrowError(/no option 'pool'/)
    expect(() => mongodb({} as never)).toThrowError(/either a url or a client/)
    expect(() => indexFromUrl('mongodb://h')).toThrowError(/name the database/)
    expect(() => indexFromUrl('mongodb://h/d?timeout=soon')).toThrowError(/timeout/)
    expect(() => indexFromUrl('http://h/d')).toThrowError(/no MongoDB URL/)
  })

  it('takes every option of a connection string, and names one that there is not', async () => {
    const database = freshDatabase()
    const { store: index } = store(
      database,
      `${server.urlOf(database)}?retryWrites=false&maxPoolSize=3&compressors=none`,
    )
    await index.insert('c', [{ _id: 'a' }])
    const { store: wrong } = store(database, `${server.urlOf(database)}?bukket=x`)
    await expect(wrong.open()).rejects.toMatchObject({ code: 'INVALID', message: expect.stringContaining('bukket') })
  })
})

describe('reads', () => {
  it('stream more than one reply holds, and close their cursor when they are left', async () => {
    const { store: index, database } = store()
    await index.insert(
      'c',
      Array.from({ length: 5000 }, (_, i) => ({ _id: `d${String(i).padStart(5, '0')}` })),
    )
    let n = 0
    for await (const _doc of index.find('c', where({}))) if (++n === 10) break
    const left = await raw.db(database).admin().serverStatus()
    expect(Number(left['metrics']?.cursor?.open?.total ?? 0)).toBe(0)
    n = 0
    for await (const _doc of index.find('c', where({}))) n++
    expect(n).toBe(5000)
  })

  it("give the store's time", async () => {
    const { store: index } = store()
    expect(Math.abs((await index.now()).getTime() - Date.now())).toBeLessThan(60_000)
  })
})
