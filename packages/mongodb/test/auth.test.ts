import { inspect } from 'node:util'
import { IndexStore, parseFilter } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { MongoClient } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { indexFromUrl } from '../src/index.ts'

const PASSWORD = 'p@ss:w/rd?#1'

describe('authentication by SCRAM', () => {
  let server: MongoServer
  beforeAll(async () => {
    server = await startMongo({ auth: { username: 'root', password: 'top secret' } })
    const admin = new MongoClient(server.urlOf('admin'))
    const user = (db: string, name: string, role: string) =>
      admin.db(db).command({ createUser: name, pwd: PASSWORD, roles: [{ role, db: 'temp' }] })
    await user('admin', 'of_admin', 'readWrite')
    await user('temp', 'of_temp', 'readWrite')
    await user('admin', 'reader', 'read')
    await admin.close()
  })
  afterAll(() => server?.stop())

  /** The URL that the facade makes of `{ ip, port, dbname, username, password }`. */
  const original = (username: string, password = PASSWORD) =>
    `mongodb://${encodeURIComponent(username)}:${encodeURIComponent(password)}@127.0.0.1:${server.port}/temp`
  const using = async <T>(url: string, work: (index: IndexStore) => Promise<T>): Promise<T> => {
    const index = new IndexStore(indexFromUrl(url))
    try {
      return await work(index)
    } finally {
      await index.close()
    }
  }

  it("lets in the database's own users and those of admin, as the original's form names them", async () => {
    for (const name of ['of_temp', 'of_admin'])
      await using(original(name), (index) => index.insert('c', [{ _id: name }]))
    expect(await using(original('of_temp'), (index) => index.count('c', parseFilter({})))).toBe(2)
  })

  it('a wrong password, an unknown user and none are DENIED, and no secret is shown', async () => {
    const wrong = 'not the one'
    const urls = [original('of_temp', wrong), original('nobody', wrong), original('of_admin', wrong)]
    for (const url of [
      ...urls,
      `${original('of_admin', wrong)}?authSource=admin`,
      `mongodb://127.0.0.1:${server.port}/temp`,
    ]) {
      const error: unknown = await using(url, (index) => index.count('c', parseFilter({}))).catch((e: unknown) => e)
      expect(error).toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS', retryable: false })
      const shown = inspect(error, { depth: 20, showHidden: true })
      expect(shown).not.toContain(wrong)
      expect(shown).not.toContain(encodeURIComponent(wrong))
      expect(String(error)).toContain(`127.0.0.1:${server.port}/temp`)
    }
  })

  it('an authSource that the URL names is the only one asked', async () => {
    await expect(using(`${original('of_temp')}?authSource=admin`, (index) => index.open())).rejects.toMatchObject({
      reason: 'CREDENTIALS',
    })
    await using(`${original('of_admin')}?authSource=admin`, (index) => index.count('c', parseFilter({})))
  })

  it('a user who may only read reads, and is DENIED with PERMISSION to write', async () => {
    await using(original('reader'), async (index) => {
      expect(await index.count('c', parseFilter({}))).toBe(2)
      for (const call of [
        () => index.insert('c', [{ _id: 'x' }]),
        () => index.takeOne('c', parseFilter({}), { set: { n: 1 } }),
        () => index.ensureIndex('c', [{ path: ['n'], dir: 1 }]),
      ])
        await expect(call()).rejects.toMatchObject({ code: 'DENIED', reason: 'PERMISSION' })
    })
  })
})
