import { inspect } from 'node:util'
import { type Doc, HubError, IndexStore, matches, parseFilter } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { MongoServerError } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mapMongoError } from '../src/errors.ts'
import { compileFilter } from '../src/filter.ts'
import { gridfs, indexFromUrl, mongodb } from '../src/index.ts'
import { freshDatabase } from './servers.ts'

const where = parseFilter

describe('names that mean something to the serializer', () => {
  let server: MongoServer
  let index: IndexStore
  beforeAll(async () => {
    server = await startMongo({ standalone: true })
    index = new IndexStore(mongodb({ url: server.urlOf(freshDatabase()) }))
  })
  afterAll(async () => {
    await index?.close()
    await server?.stop()
  })

  it('are fields like others inside of an object', async () => {
    const hostile = { _bsontype: 'ObjectId', id: 'x', toJSON: 1, inner: [{ _bsontype: 1, toBSON: 'y', length: 2 }] }
    await index.insert('c', [{ _id: 'a', hostile }])
    await index.update('c', where({ _id: 'a' }), { set: { also: hostile, 'deep._bsontype': 'Long' } })
    await index.update('c', where({ _id: { $in: ['a'] } }), { inc: { n: 0.5 } })
    expect(await index.top('c', where({ 'hostile._bsontype': 'ObjectId' }))).toEqual({
      _id: 'a',
      hostile,
      also: hostile,
      deep: { _bsontype: 'Long' },
      n: 0.5,
      _rev: 2,
    })
  })

  it('are refused as fields of a document, and nothing is changed', async () => {
    const refused = { code: 'INVALID', path: '_bsontype' }
    await expect(index.insert('d', [{ _id: 'a', _bsontype: 'Long' } as Doc])).rejects.toMatchObject(refused)
    await index.insert('d', [{ _id: 'b', n: 1 }])
    for (const filter of [{ _id: 'b' }, {}])
      await expect(index.update('d', where(filter), { set: { _bsontype: 1 } })).rejects.toMatchObject(refused)
    expect(await index.count('d', where({ _bsontype: { $exists: true } }))).toBe(0)
    expect(await index.top('d', where({}))).toEqual({ _id: 'b', n: 1, _rev: 0 })
  })

  it('a text of any length can be looked for', async () => {
    const text = 'é😀.*'.repeat(12_000)
    await index.insert('e', [
      { _id: 'a', text },
      { _id: 'b', text: text.slice(0, -1) },
    ])
    for (const filter of [{ text: { $prefix: text } }, { text: { $contains: text } }])
      expect(await index.count('e', where(filter))).toBe(1)
  })
})

describe('patterns', () => {
  it('whose groups repeat are left to core: engines that try every way give up on them', () => {
    for (const pattern of ['(a+)+b', '(?:a*)*b', '(a|aa)+b']) {
      const filter = where({ x: { $regex: pattern } })
      expect(compileFilter(filter)).toMatchObject({ exact: false })
      expect(matches(filter, { _id: 'a', x: `${'a'.repeat(40)}c ab` })).toBe(true)
    }
    expect(compileFilter(where({ x: { $regex: '(a|b)c+' } })).exact).toBe(true)
  })
})

describe('a password with characters that should have been encoded', () => {
  const urls = [
    'mongodb://user:s3cr@et@127.0.0.1:1/db',
    'mongodb://user:s3cr/et@127.0.0.1:1/db',
    'mongodb://user:s3cr?et@127.0.0.1:1/db',
    'mongodb://user:s3cr#et@127.0.0.1:1/db',
    'mongodb+srv://user:s3cr/et@127.0.0.1/db',
  ]
  for (const url of urls)
    for (const make of [indexFromUrl, (given: string) => gridfs({ url: given, database: 'db', timeout: 500 })])
      it(`${url.replaceAll(/s3cr|et@/g, '·')} is INVALID and not shown (${make.name})`, async () => {
        let thrown: unknown
        try {
          const driver = make(url)
          thrown = await (driver.open as (o: object) => Promise<unknown>)({}).catch((error: unknown) => error)
          await driver.close?.()
        } catch (error) {
          thrown = error
        }
        expect(thrown).toBeInstanceOf(HubError)
        expect(thrown).toMatchObject({ code: 'INVALID' })
        expect(inspect(thrown, { depth: 9 })).not.toMatch(/s3cr|et@/)
      })
})

describe('errors', () => {
  const context = { place: 'host/db', timeout: 1000 }
  const told = (error: Error, op = 'insert') => mapMongoError(error, { scheme: 'mongodb', op }, context)
  const ofServer = (code: number, errmsg: string) => new MongoServerError({ ok: 0, code, errmsg, message: errmsg })

  it("of Atlas's proxy, which has one code for all, are told by what they say", () => {
    expect(told(ofServer(8000, 'bad auth : authentication failed'))).toMatchObject({ reason: 'CREDENTIALS' })
    expect(told(ofServer(8000, 'user is not allowed to do action [insert] on [db.c]'))).toMatchObject({
      code: 'DENIED',
      reason: 'PERMISSION',
    })
    expect(told(ofServer(8000, 'you are over your space quota, using 513 MB of 512 MB'))).toMatchObject({
      code: 'STORAGE_FULL',
    })
  })

  it('of a write that ran out of its time are UNKNOWN, of a read UNAVAILABLE', () => {
    const late = Object.assign(new Error('Timed out'), { name: 'MongoOperationTimeoutError' })
    for (const op of ['insert', 'takeOne', 'update', 'delete'])
      expect(told(late, op), op).toMatchObject({ code: 'UNKNOWN', reason: 'REPLY_LOST' })
    expect(told(late, 'find')).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    // A primary that steps down interrupts writes that it has begun.
    expect(told(ofServer(189, 'stepped down'), 'takeOne')).toMatchObject({ code: 'UNKNOWN' })
  })

  it('of names that cannot be looked up are UNAVAILABLE', () => {
    const lookUp = Object.assign(new Error('querySrv ENOTFOUND _mongodb._tcp.h'), {
      code: 'ENOTFOUND',
      syscall: 'querySrv',
    })
    expect(told(lookUp, 'open')).toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE', retryable: true })
  })

  it('of a cursor that its consumer let expire are UNAVAILABLE, and say why', () => {
    expect(told(ofServer(43, 'cursor id 1 not found'), 'find')).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  })
})
