import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { IndexStore } from '@tensorhub/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { indexFromUrl, sqlite } from '../src/index.ts'
import { collect, fill, keys, openFile, order, temporaryFolder, temporaryIndex, where } from './temporary-index.ts'

describe('values', () => {
  it('keeps and finds what JSON and SQLite get wrong', async () => {
    const { store } = await temporaryIndex()
    const values = {
      nul: 'a\u0000b',
      nulOther: 'a\u0000c',
      astral: '😀',
      high: '\uE000',
      big: 2n ** 62n,
      next: 2n ** 62n + 1n,
      nan: Number.NaN,
      infinity: Number.POSITIVE_INFINITY,
      tiny: 5e-324,
      date: new Date(-1),
      quote: `'"\\%_*?[`,
    }
    await store.insert(
      'c',
      Object.entries(values).map(([name, v]) => ({ _id: name, v })),
    )
    for (const [name, v] of Object.entries(values))
      expect(
        (await collect(store.find('c', where({ v })))).map((doc) => doc._id),
        name,
      ).toEqual([name])
    expect((await collect(store.find('c', where({ v: { $prefix: 'a\u0000' } })))).length).toBe(2)
    expect((await collect(store.find('c', where({ v: { $contains: '\u0000c' } })))).map((doc) => doc._id)).toEqual([
      'nulOther',
    ])
    // UTF-8 order: U+E000 stands below the astral planes, unlike in UTF-16.
    expect(
      (await collect(store.find('c', where({ v: { $gte: '\uE000' } }), { order: order({ v: 1 }) }))).map(
        (doc) => doc._id,
      ),
    ).toEqual(['high', 'astral'])
    expect((await collect(store.find('c', where({ v: { $gt: 2n ** 62n } })))).map((doc) => doc._id).sort()).toEqual([
      'infinity',
      'next',
    ])
  })

  it('answers the same once a field holds an array, also where another driver stored it', async () => {
    const { store, file } = await temporaryIndex()
    const other = openFile(file)
    await store.insert('c', [
      { _id: 'a', v: 5 },
      { _id: 'b', v: 7 },
    ])
    expect(await store.count('c', where({ v: 9 }))).toBe(0)
    await other.insert('c', [{ _id: 'x', v: [9, 1] }])
    expect((await collect(store.find('c', where({ v: 9 })))).map((doc) => doc._id)).toEqual(['x'])
    expect((await collect(store.find('c', where({}), { order: order({ v: 1 }) }))).map((doc) => doc._id)).toEqual([
      'x',
      'a',
      'b',
    ])
    expect((await collect(store.find('c', where({}), { order: order({ v: -1 }) }))).map((doc) => doc._id)).toEqual([
      'x',
      'b',
      'a',
    ])
  })
})

describe('queries that come again', () => {
  it('bind their own values, where a path through arrays leaves some of them to JavaScript', async () => {
    const { store } = await temporaryIndex()
    await store.insert('c', [
      { _id: 'list', n: [0] },
      { _id: 'number', n: 0 },
      { _id: 'nested', o: [{ n: 0 }] },
    ])
    const found = async (filter: Record<string, unknown>) =>
      (await collect(store.find('c', where(filter)))).map((doc) => doc._id)
    // Twice each: the second time the statement is known.
    for (let i = 0; i < 2; i++) {
      expect(await found({ n: 0, 'n.0': { $gt: -1 } })).toEqual(['list'])
      expect(await found({ n: 0, 'n.0': { $gt: i } })).toEqual([])
      expect(await store.count('c', where({ n: 0, 'n.0': { $gt: -1 } }))).toBe(1)
      expect(await found({ 'o.n': 0, o: { $type: 'array' } })).toEqual(['nested'])
      expect(await found({ n: i })).toEqual(i === 0 ? ['list', 'number'] : [])
    }
  })

  it('are compiled anew once a field holds an array', async () => {
    const { store } = await temporaryIndex()
    await store.insert('c', [{ _id: 'a', n: 1 }])
    expect(await store.count('c', where({ n: 2 }))).toBe(0)
    await store.insert('c', [{ _id: 'b', n: [2] }])
    expect(await store.count('c', where({ n: 2 }))).toBe(1)
    expect((await store.top('c', where({ n: 2 })))?._id).toBe('b')
  })
})

describe('connections', () => {
  it('write with synchronous=FULL into a WAL and never wait inside SQLite', async () => {
    const { store } = await temporaryIndex()
    await store.open()
    const database = store.driver.native?.() as DatabaseSync
    const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]
    expect([pragma('synchronous'), pragma('journal_mode'), pragma('busy_timeout')]).toEqual([2, 'wal', 0])
  })

  it('read in batches, and let the event loop turn between them', async () => {
    const { store } = await temporaryIndex({ autoIndex: false })
    await fill(store, 'c', 4000, (i) => ({ v: i }))
    let turns = 0
    let reading = true
    const turn = () => {
      turns++
      if (reading) setImmediate(turn)
    }
    setImmediate(turn)
    let n = 0
    for await (const _doc of store.find('c', where({}))) n++
    reading = false
    expect(n).toBe(4000)
    // One turn a batch of 256 at least.
    expect(turns).toBeGreaterThanOrEqual(15)
  })

  it('of a driver that was closed are made anew when it is opened again', async () => {
    const { file } = await temporaryIndex()
    const driver = sqlite({ file })
    for (let i = 0; i < 3; i++) {
      const store = new IndexStore(driver)
      await store.insert('c', [{ _id: `d${i}`, n: [i] }])
      expect(await store.count('c', where({ n: { $gte: 0 } }))).toBe(i + 1)
      await store.close()
    }
    await expect(driver.count('c', where({}), {})).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('group commit', () => {
  it('one failing write of a transaction fails alone', async () => {
    const { store } = await temporaryIndex()
    await store.insert('c', [{ _id: 'taken', n: 'text' }])
    const results = await Promise.allSettled([
      store.insert('c', [{ _id: 'a' }]),
      store.insert('c', [{ _id: 'b' }, { _id: 'taken' }]),
      store.update('c', where({ _id: 'taken' }), { inc: { n: 1 } }),
      store.insert('c', [{ _id: 'd' }]),
    ])
    expect(results.map((r) => (r.status === 'fulfilled' ? 'done' : (r.reason as { code: string }).code))).toEqual([
      'done',
      'EXISTS',
      'INVALID',
      'done',
    ])
    expect((await collect(store.find('c', where({})))).map((doc) => doc._id)).toEqual(['a', 'd', 'taken'])
  })

  it('new documents asked for together become one statement, and each succeeds or fails by itself all the same', async () => {
    const { store } = await temporaryIndex()
    await store.insert('c', [
      { _id: 'n7', v: -1 },
      { _id: 'n130', v: -1 },
    ])
    const insert = (coll: string, n: number) =>
      store.insert(coll, [{ _id: `n${n}`, v: n % 50 === 0 ? [n, 1000] : n }]).then(
        () => 'stored',
        (error: { code: string }) => error.code,
      )
    // Two tables, one of them new; runs of both kinds, long ones and short ones; a document twice among them; arrays, of which the table had none.
    const outcomes = await Promise.all([
      ...Array.from({ length: 200 }, (_, n) => insert('c', n)),
      ...Array.from({ length: 90 }, (_, n) => insert('new', n)),
      ...Array.from({ length: 50 }, (_, n) => insert(n % 2 === 0 ? 'c' : 'new', 500 + n)),
      insert('new', 20),
      insert('new', 90),
    ])
    const failed = outcomes.flatMap((outcome, i) => (outcome === 'stored' ? [] : [[i, outcome]]))
    expect(failed).toEqual([7, 130, 200 + 90 + 50].map((i) => [i, 'EXISTS']))
    expect([await store.count('c', where({})), await store.count('new', where({}))]).toEqual([225, 116])
    expect((await store.top('c', where({ _id: 'n7' })))?.['v']).toBe(-1)
    expect((await collect(store.find('c', where({ v: 1000 })))).map((doc) => doc._id).sort()).toEqual(
      ['n0', 'n100', 'n150', 'n50', 'n500'].sort(),
    )
  })

  it('shares one commit among the writes of one turn', async () => {
    const { store, file } = await temporaryIndex()
    await store.insert('c', [{ _id: 'first' }])
    const observer = new DatabaseSync(file, { readOnly: true })
    onTestFinished(() => observer.close())
    const counts = new Set<unknown>()
    const count = observer.prepare('SELECT count(*) AS n FROM c_c')
    const watching = setInterval(() => counts.add(count.get()?.['n']), 0)
    await Promise.all(Array.from({ length: 500 }, (_, i) => store.insert('c', [{ _id: `d${i}` }])))
    clearInterval(watching)
    counts.add(count.get()?.['n'])
    expect([...counts].filter((n) => n !== 1 && n !== 501)).toEqual([])
  })

  it('a write that waits for another’s lock leaves the event loop free, can be aborted, and goes on once the lock is free', async () => {
    const { store, file } = await temporaryIndex()
    await store.insert('c', [{ _id: 'first' }])
    const holder = new DatabaseSync(file)
    onTestFinished(() => holder.close())
    holder.exec('BEGIN IMMEDIATE')
    const stop = new AbortController()
    const aborted = store.insert('c', [{ _id: 'aborted' }], { signal: stop.signal })
    const waiting = store.insert('c', [{ _id: 'waited' }])
    let turns = 0
    await new Promise<void>((resolve) => {
      const turn = () => (++turns === 50 ? resolve() : setTimeout(turn, 1))
      turn()
    })
    expect((await collect(store.find('c', where({})))).length).toBe(1)
    stop.abort(new Error('enough'))
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
    holder.exec('COMMIT')
    await waiting
    expect((await collect(store.find('c', where({})))).map((doc) => doc._id)).toEqual(['first', 'waited'])
  })

  it('gives up with UNAVAILABLE when the lock is held beyond lockTimeout', async () => {
    const { store, file } = await temporaryIndex({ lockTimeout: 100 })
    await store.insert('c', [{ _id: 'first' }])
    const holder = new DatabaseSync(file)
    onTestFinished(() => holder.close())
    holder.exec('BEGIN IMMEDIATE')
    await expect(store.insert('c', [{ _id: 'b' }])).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    holder.exec('ROLLBACK')
    await store.insert('c', [{ _id: 'b' }])
  })
})

describe('large collections', () => {
  it('counts, sorts and scans off the event loop, and sees what was written just before', async () => {
    const { store } = await temporaryIndex({ autoIndex: false })
    await fill(store, 'c', 20_000, (i) => ({ v: (i * 7919) % 20_000, text: 'x'.repeat(50) }))
    let turns = 0
    const counting = setInterval(() => turns++, 1)
    const sorted = await collect(store.find('c', where({ v: { $gte: 10 } }), { order: order({ v: -1 }), limit: 3 }))
    clearInterval(counting)
    expect(sorted.map((doc) => doc['v'])).toEqual([19_999, 19_998, 19_997])
    expect(turns).toBeGreaterThan(1)
    await store.insert('c', [{ _id: 'new', v: 50_000 }])
    expect((await store.top('c', where({ v: { $gte: 10 } }), { order: order({ v: -1 }) }))?._id).toBe('new')
    expect(await store.count('c', where({ v: { $gte: 10 } }))).toBe(19_991)
    await store.ensureIndex('c', keys('v'))
    expect((await store.top('c', where({ v: { $gte: 10 } }), { order: order({ v: -1 }) }))?._id).toBe('new')
  })

  it('a long read keeps its snapshot while others write, and can be left', async () => {
    const { store } = await temporaryIndex()
    await fill(store, 'c', 3000, (i) => ({ v: i }))
    let n = 0
    for await (const _doc of store.find('c', where({}))) if (n++ === 300) await store.insert('c', [{ _id: 'z' }])
    expect(n).toBe(3000)
    for await (const _doc of store.find('c', where({}))) break
    expect(await store.count('c', where({}))).toBe(3001)
  })
})

describe('unique keys', () => {
  it('refuses a second document, and an index over documents that share a key', async () => {
    const { store } = await temporaryIndex()
    await store.ensureIndex('c', keys('k'), { unique: true })
    await store.insert('c', [{ _id: 'a', k: 1 }])
    await expect(store.insert('c', [{ _id: 'b', k: 1 }])).rejects.toMatchObject({ code: 'EXISTS' })
    await store.insert('d', [
      { _id: 'a', k: 1 },
      { _id: 'b', k: 1 },
    ])
    await expect(store.ensureIndex('d', keys('k'), { unique: true })).rejects.toMatchObject({ code: 'EXISTS' })
  })
})

describe('watch', () => {
  it('tells inserts, updates and deletes of this process and of other connections', async () => {
    const { store, file } = await temporaryIndex()
    const other = openFile(file)
    await store.insert('c', [
      { _id: 'a', k: 1 },
      { _id: 'b', k: 2 },
    ])
    const stop = new AbortController()
    const events = store.watch('c', where({ k: { $gte: 1 } }), { signal: stop.signal })
    const first = events.next()
    await expect.poll(() => store.count('c', where({}))).toBe(2)
    await other.insert('c', [{ _id: 'c', k: 3 }])
    const seen = [(await first).value]
    await store.update('c', where({ _id: 'a' }), { set: { k: 4 } })
    seen.push((await events.next()).value)
    await other.delete('c', where({ _id: 'b' }))
    seen.push((await events.next()).value)
    expect(seen).toEqual([
      { _id: 'c', op: 'insert' },
      { _id: 'a', op: 'update' },
      { _id: 'b', op: 'delete' },
    ])
    const last = events.next()
    stop.abort()
    await expect(last).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('files', () => {
  it("refuses another program's database before touching it, also one whose layout has our number", async () => {
    for (const [version, code] of [
      [1, 'INVALID'],
      [7, 'UNSUPPORTED'],
    ] as const) {
      const file = join(await temporaryFolder(), 'notes.db')
      const database = new DatabaseSync(file)
      database.exec(`CREATE TABLE notes(text); PRAGMA user_version=${version}`)
      database.close()
      const before = await readFile(file)
      await expect(openFile(file).open()).rejects.toMatchObject({ code, message: expect.stringContaining('another') })
      expect(await readFile(file)).toEqual(before)
    }
  })

  it('refuses a newer layout before touching it', async () => {
    const file = join(await temporaryFolder(), 'newer.db')
    const database = new DatabaseSync(file)
    database.exec('CREATE TABLE theirs(x); PRAGMA user_version=2')
    database.close()
    await expect(openFile(file).open()).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    const again = new DatabaseSync(file, { readOnly: true })
    expect(again.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'delete' })
    expect(again.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'theirs' }])
    again.close()
  })

  it('says what is wrong with a file', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'text.db'), 'no database at all, and longer than a header would be. '.repeat(100))
    await expect(openFile(join(folder, 'text.db')).open()).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(openFile(join(folder, 'missing', 'x.db')).open()).rejects.toMatchObject({ code: 'DENIED' })
  })

  it('a damaged page is INTEGRITY, not an empty answer', async () => {
    const { store, file } = await temporaryIndex()
    await fill(store, 'c', 3000, () => ({ text: 'x'.repeat(200) }))
    await store.close()
    const { open } = await import('node:fs/promises')
    const handle = await open(file, 'r+')
    const { size } = await handle.stat()
    for (let at = 4096 * 8; at < size; at += 4096) await handle.write(Buffer.alloc(4096, 0x5a), 0, 4096, at)
    await handle.close()
    await expect(collect(openFile(file).find('c', where({})))).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('takes an open database, and leaves it open', async () => {
    const file = join(await temporaryFolder(), 'given.db')
    const database = new DatabaseSync(file)
    const store = new IndexStore(sqlite({ database }))
    await store.insert('c', [{ _id: 'a' }])
    await store.close()
    expect(database.prepare('SELECT _id FROM c_c').all()).toEqual([{ _id: 'a' }])
    database.close()
  })

  it('opens URLs, and refuses what it does not know', async () => {
    const file = join(await temporaryFolder(), 'with space.db')
    const store = new IndexStore(indexFromUrl(`sqlite://${encodeURI(file)}`))
    await store.insert('c', [{ _id: 'a' }])
    await store.close()
    expect(await openFile(file).count('c', where({}))).toBe(1)
    expect(() => indexFromUrl('sqlite:///x.db?mode=ro')).toThrow(/without parameters/)
    expect(() => sqlite({ file: ':memory:' })).toThrow(/memoryIndex/)
    expect(() => sqlite({ file: 'x', speed: 1 } as never)).toThrow(/no option 'speed'/)
    expect(() => sqlite({})).toThrow(/needs either/)
    expect(() => sqlite({ file: 'x', lockTimeout: -1 })).toThrow(/lockTimeout/)
    expect(() => sqlite({ file: 'x', autoIndex: 1 } as never)).toThrow(/autoIndex/)
  })
})

describe('collections', () => {
  it('whose names differ by case only are two, and so are their indexes', async () => {
    const { store } = await temporaryIndex()
    await store.insert('Logs', [{ _id: 'a', v: 1 }])
    await store.insert('logs', [{ _id: 'b', v: 2 }])
    expect((await collect(store.find('Logs', where({})))).map((doc) => doc._id)).toEqual(['a'])
    expect((await collect(store.find('logs', where({})))).map((doc) => doc._id)).toEqual(['b'])
    await store.ensureIndex('logs', keys('v'), { unique: true })
    await store.ensureIndex('Logs', keys('v'), { unique: true })
    await store.insert('logs', [{ _id: 'a', v: 1 }])
    await expect(store.insert('Logs', [{ _id: 'c', v: 1 }])).rejects.toMatchObject({ code: 'EXISTS' })
  })
})

describe('reads', () => {
  it('of few documents, a thousand at once, open no files', async () => {
    const { store } = await temporaryIndex()
    await fill(store, 'c', 50, (v) => ({ v }))
    await collect(store.find('c', where({})))
    const before = await openFiles()
    let most = 0
    await Promise.all(
      Array.from({ length: 1000 }, async () => {
        let n = 0
        for await (const _doc of store.find('c', where({}))) if (n++ === 25) most = Math.max(most, await openFiles())
        expect(n).toBe(50)
      }),
    )
    expect(most).toBeLessThan(before + 50)
  })

  it('that last while much is written leave no large log behind', async () => {
    const { store, file } = await temporaryIndex()
    const limit = 64 * 1024 * 1024
    const write = (coll: string) => fill(store, coll, 4000, () => ({ text: 'x'.repeat(10_000) }))
    await fill(store, 'c', 1000, (v) => ({ v }))
    const reading = store.find('c', where({}))
    await reading.next()
    for (const coll of ['d', 'e']) await write(coll)
    expect((await stat(`${file}-wal`)).size).toBeGreaterThan(limit)
    await reading.return()
    await write('f')
    expect((await stat(`${file}-wal`)).size).toBeLessThanOrEqual(limit)
  })
})

/** Files this process has open; 0 where the system does not tell. */
async function openFiles(): Promise<number> {
  return readdir('/proc/self/fd').then(
    (names) => names.length,
    () => 0,
  )
}

describe('a file that is taken away while it is open', () => {
  const gone = { code: 'UNAVAILABLE', reason: 'FILE_GONE', retryable: false }

  it('takes no more writes: an unlinked file would acknowledge them and lose them', async () => {
    const { store, file } = await temporaryIndex()
    await store.insert('c', [{ _id: 'a' }])
    await rm(dirname(file), { recursive: true })
    await expect(store.insert('c', [{ _id: 'b' }])).rejects.toMatchObject(gone)
    await expect(store.update('c', where({ _id: 'a' }), { set: { v: 1 } })).rejects.toMatchObject(gone)
    await expect(store.delete('c', where({ _id: 'a' }))).rejects.toMatchObject(gone)
  })

  it('nor does one in whose place another lies; the other is found by opening again', async () => {
    const { store, file } = await temporaryIndex()
    await store.insert('c', [{ _id: 'a' }])
    for (const name of [file, `${file}-wal`, `${file}-shm`]) await rename(name, `${name}.old`)
    const other = openFile(file)
    await other.insert('c', [{ _id: 'b' }])
    await expect(store.insert('c', [{ _id: 'c' }])).rejects.toMatchObject(gone)
    await store.close()
    expect((await collect(openFile(file).find('c', where({})))).map((doc) => doc._id)).toEqual(['b'])
  })
})
