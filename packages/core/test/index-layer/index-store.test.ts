import { describe, expect, it } from 'vitest'
import { type Doc, encodeCursor, type Order, openIndex, parseFilter, parseSort, withTieBreak } from '../../src/index.ts'
import { changed, scriptedIndex } from './scripted-index.ts'

const all = async <T>(items: AsyncIterable<T>) => {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
const ids = async (items: AsyncIterable<Doc>) => (await all(items)).map((doc) => doc._id)
const numbers = (...values: number[]): Doc[] => values.map((n, i) => ({ _id: String(i), n, _rev: 0 }))
const idOf = (where: unknown) => /"path":\["_id"\],"value":"(\w+)"/.exec(JSON.stringify(where))?.[1]

describe('post-filtering', () => {
  it('leaves all to a driver that decides all: filter, order with _id, limit, fields', async () => {
    const { driver, calls } = scriptedIndex(numbers(3, 1, 2), { where: true, order: true })
    const where = parseFilter({ n: { $gt: 1 } })
    await all(openIndex(driver).find('c', where, { order: parseSort({ n: -1 }), limit: 2, fields: [['n']] }))
    expect(calls).toEqual([{ op: 'find', where, order: withTieBreak(parseSort({ n: -1 })), limit: 2 }])
  })

  it('filters, sorts, cuts and projects what a driver only lets through', async () => {
    const { driver, calls } = scriptedIndex(numbers(3, 1, 2, 9, 2))
    const store = openIndex(driver)
    const where = parseFilter({ n: { $lt: 5 } })
    expect(await ids(store.find('c', where, { order: parseSort({ n: -1 }) }))).toEqual(['0', '2', '4', '1'])
    expect(await ids(store.find('c', where, { order: parseSort({ n: 1 }), limit: 2 }))).toEqual(['1', '2'])
    expect(await ids(store.find('c', where))).toEqual(['0', '1', '2', '4'])
    expect(await all(store.find('c', parseFilter({ n: 9 }), { fields: [] }))).toEqual([{ _id: '3' }])
    expect(await store.count('c', where)).toBe(4)
    expect((await store.top('c', where, { order: parseSort({ n: 1 }) }))?._id).toBe('1')
    expect(await store.top('c', parseFilter({ n: 77 }))).toBeUndefined()
    // A limit would cut off what the post-filter still has to see.
    expect(calls.filter((call) => call.limit !== undefined)).toEqual([])
    expect(calls.map((call) => call.op)).not.toContain('count')
  })

  it('takes the order of a driver that decides it, and stops it once the limit is full', async () => {
    const docs = numbers(1, 2, 3, 4, 5, 6)
    const { driver } = scriptedIndex(docs, { where: false, order: true })
    let given = 0
    let freed = false
    const counting = {
      ...driver,
      async *find() {
        try {
          for (const doc of docs) {
            given++
            yield doc
          }
        } finally {
          freed = true
        }
      },
    }
    expect(await ids(openIndex(counting).find('c', parseFilter({ n: { $gt: 1 } }), { limit: 2 }))).toEqual(['1', '2'])
    expect([given, freed]).toEqual([3, true])
  })

  it('keeps only as many as the limit while it sorts very many', async () => {
    const { driver } = scriptedIndex([], { where: true, order: false })
    const many = {
      ...driver,
      async *find() {
        for (let i = 0; i < 50_000; i++) yield { _id: String(i).padStart(6, '0'), n: (i * 7919) % 50_000 }
      },
    }
    const found = await all(openIndex(many).find('c', parseFilter({}), { order: parseSort({ n: -1 }), limit: 3 }))
    expect(found.map((doc) => doc['n'])).toEqual([49_999, 49_998, 49_997])
  })

  it('pages, with any driver: exact, sorting only, filtering only, neither', async () => {
    for (const decides of [
      { where: true, order: true },
      { where: true, order: false },
      { where: false, order: false },
    ]) {
      const { driver, docs } = scriptedIndex(numbers(2, 1, 2, 3, 1, 2), decides)
      const order: Order = withTieBreak(parseSort({ n: 1 }))
      // The scripted driver does not sort; where it claims to, its documents stand in order already.
      if (decides.order) docs.sort((a, b) => Number(a['n']) - Number(b['n']) || (a._id < b._id ? -1 : 1))
      const store = openIndex(driver)
      const seen: string[] = []
      for (let after: string | undefined; ; ) {
        const page = await all(
          store.find('c', parseFilter({ n: { $lte: 2 } }), { order, limit: 2, ...(after ? { after } : {}) }),
        )
        seen.push(...page.map((doc) => doc._id))
        if (page.length < 2) break
        after = encodeCursor(order, page.at(-1) as Doc)
      }
      expect(seen, JSON.stringify(decides)).toEqual(['1', '4', '0', '2', '5'])
    }
  })

  it('limit 0 asks nothing; wrong limits, cursors, names and empty indexes are INVALID before any I/O', async () => {
    const { driver, calls } = scriptedIndex(numbers(1))
    const store = openIndex(driver)
    expect(await all(store.find('c', parseFilter({}), { limit: 0 }))).toEqual([])
    const wrong: (() => unknown)[] = [
      () => store.find('c', parseFilter({}), { limit: -1 }),
      () => store.find('c', parseFilter({}), { limit: 0.5 }),
      () => store.find('c', parseFilter({}), { after: 'x' }),
      () => store.find('a b', parseFilter({})),
      () => store.top('c', parseFilter({}), { after: 'x' }),
      () => store.insert('1c', [{ _id: 'a' }]),
      () => store.insert('c', [{ _id: 'a' }, { _id: 'a' }]),
      () => store.insert('c', [{ _id: 'a', x: undefined } as never]),
      () => store.count(5 as never, parseFilter({})),
      () => store.update('c', parseFilter({}), {}),
      () => store.update('c', parseFilter({}), { set: { _rev: 5 } }),
      () => store.update('c', parseFilter({}), { unset: ['_rev'] }),
      () => store.takeOne('c', parseFilter({}), { inc: { '_rev.x': 1 } }),
      () => store.delete('', parseFilter({})),
      () => store.find('c', parseFilter({}), { skip: 5 } as object),
      () => store.top('c', parseFilter({}), { limit: 5 } as object),
      () => store.takeOne('c', parseFilter({}), { set: { a: 1 } }, { upsert: true } as object),
      () => store.ensureIndex('c', parseSort({ a: 1 }), { sparse: true } as object),
      () => store.ensureIndex('c', []),
    ]
    for (const call of wrong) await expect(async () => call(), String(call)).rejects.toMatchObject({ code: 'INVALID' })
    expect(calls).toEqual([])
  })

  it('unique indexes where there are none are UNSUPPORTED, before any I/O', async () => {
    const { driver, calls } = scriptedIndex([])
    const keys = parseSort({ a: 1 })
    await expect(openIndex(driver).ensureIndex('c', keys, { unique: true })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      reason: 'CAPABILITY',
    })
    expect(calls).toEqual([])
    await openIndex(driver).ensureIndex('c', keys, { unique: false })
    expect(calls.length).toBe(1)
  })
})

describe('changes by a filter that the driver does not decide', () => {
  const where = parseFilter({ n: { $gte: 2 } })

  it('are made one by one by _id and _rev, of what matches only', async () => {
    for (const op of ['update', 'delete'] as const) {
      const { driver, calls, docs } = scriptedIndex(numbers(1, 2, 3))
      const store = openIndex(driver)
      expect(
        op === 'update' ? await store.update('c', where, { set: { seen: true } }) : await store.delete('c', where),
      ).toBe(2)
      const changes = calls.filter((call) => call.op === op)
      expect(changes.map((call) => idOf(call.where))).toEqual(['1', '2'])
      for (const call of changes) expect(JSON.stringify(call.where)).toContain('"path":["_rev"],"value":0')
      if (op === 'update')
        expect(docs.map((doc) => [doc['seen'], doc['_rev']])).toEqual([
          [undefined, 0],
          [true, 1],
          [true, 1],
        ])
      else expect(docs.map((doc) => doc._id)).toEqual(['0'])
    }
  })

  it('are repeated for what changed meanwhile and still matches, and left for what no longer does', async () => {
    for (const op of ['update', 'delete'] as const) {
      const { driver, docs, hooks } = scriptedIndex(numbers(5, 5, 5))
      const touched = new Set<string>()
      hooks.beforeTake = async (one) => {
        const id = idOf(one) as string
        if (touched.has(id)) return
        touched.add(id)
        const i = docs.findIndex((doc) => doc._id === id)
        // Somebody raises the first, takes the second out of the filter, and deletes the third.
        if (id === '0') docs[i] = changed(docs[i] as Doc, { n: 6 })
        if (id === '1') docs[i] = changed(docs[i] as Doc, { n: 0 })
        if (id === '2') docs.splice(i, 1)
      }
      const store = openIndex(driver)
      expect(
        op === 'update' ? await store.update('c', where, { set: { seen: true } }) : await store.delete('c', where),
      ).toBe(1)
      expect(docs.map((doc) => [doc._id, doc['n'], doc['seen'] === true])).toEqual(
        op === 'update'
          ? [
              ['0', 6, true],
              ['1', 0, false],
            ]
          : [['1', 0, false]],
      )
    }
  })

  it('count no document twice though others keep changing it', async () => {
    const { driver, docs, hooks } = scriptedIndex(numbers(5, 5))
    let disturbances = 0
    hooks.beforeTake = async (one) => {
      if (disturbances++ >= 20) return
      const i = docs.findIndex((doc) => doc._id === idOf(one))
      docs[i] = changed(docs[i] as Doc, {})
    }
    expect(await openIndex(driver).update('c', where, { set: { seen: true } })).toBe(2)
    expect(docs.every((doc) => doc['seen'] === true)).toBe(true)
  })

  it('give up with CONFLICT where documents never rest, retryable', async () => {
    const disturb = () => {
      const scripted = scriptedIndex(numbers(5))
      scripted.hooks.beforeTake = async () => {
        scripted.docs[0] = changed(scripted.docs[0] as Doc, {})
      }
      return openIndex(scripted.driver)
    }
    const conflict = { code: 'CONFLICT', retryable: true }
    await expect(disturb().update('c', where, { set: { a: 1 } })).rejects.toMatchObject(conflict)
    await expect(disturb().delete('c', where)).rejects.toMatchObject(conflict)
    await expect(disturb().takeOne('c', where, { set: { a: 1 } })).rejects.toMatchObject(conflict)
  })

  it('takeOne takes the first in order that really matches; on a miss it looks again', async () => {
    const { driver, docs, hooks, calls } = scriptedIndex(numbers(1, 9, 7, 8))
    let stolen = false
    hooks.beforeTake = async (one) => {
      if (stolen || idOf(one) !== '1') return
      stolen = true
      const i = docs.findIndex((doc) => doc._id === '1')
      docs[i] = changed(docs[i] as Doc, { n: 0 })
    }
    const taken = await openIndex(driver).takeOne('c', where, { set: { mine: true } }, { order: parseSort({ n: -1 }) })
    expect(taken).toMatchObject({ _id: '3', n: 8, mine: true, _rev: 1 })
    expect(docs.filter((doc) => doc['mine'] === true).length).toBe(1)
    expect(calls.filter((call) => call.op === 'takeOne').map((call) => idOf(call.where))).toEqual(['1', '3'])
  })

  it('takeOne of nothing is null', async () => {
    expect(await openIndex(scriptedIndex(numbers(1)).driver).takeOne('c', where, { set: { a: 1 } })).toBeNull()
  })
})

describe('what core adds', () => {
  it('_rev 0 to new documents, one more at each change, _id to every order', async () => {
    const seen: unknown[] = []
    const { driver } = scriptedIndex([], { where: true, order: true })
    const store = openIndex({
      ...driver,
      async insert(_coll, docs) {
        seen.push(...docs)
      },
      async update(_coll, _where, change) {
        seen.push(change)
        return 0
      },
      async takeOne(_coll, _where, change, { order }) {
        seen.push(change.inc, order)
        return null
      },
    })
    await store.insert('c', [
      { _id: 'a', n: -0 },
      { _id: 'b', _rev: 7 },
    ])
    await store.insert('c', [])
    await store.update('c', parseFilter({}), { set: { a: 1 } })
    await store.takeOne('c', parseFilter({}), { inc: { a: 1 } }, { order: parseSort({ n: -1 }) })
    expect(seen).toEqual([
      { _id: 'a', n: 0, _rev: 0 },
      { _id: 'b', _rev: 0 },
      { set: { a: 1 }, unset: [], inc: { _rev: 1 } },
      { a: 1, _rev: 1 },
      [
        { path: ['n'], dir: -1 },
        { path: ['_id'], dir: 1 },
      ],
    ])
  })

  it('watching by polls, where the driver cannot', async () => {
    const { driver, docs } = scriptedIndex(numbers(1, 2))
    const store = openIndex(driver)
    const stop = new AbortController()
    const events = store.watch('c', parseFilter({ n: { $gte: 2 } }), { signal: stop.signal })
    const first = events.next()
    // The first look only remembers; later ones compare.
    const act = setInterval(() => docs.push({ _id: `new${docs.length}`, n: 5, _rev: 0 }), 30)
    const { value } = await first
    clearInterval(act)
    expect(value).toMatchObject({ op: 'insert' })
    docs[1] = changed(docs[1] as Doc, { n: 3 })
    docs.splice(0, 1)
    const later: unknown[] = []
    for (;;) {
      const { value: event } = await events.next()
      later.push(event)
      if (event?.op === 'update') break
    }
    expect(later).toContainEqual({ _id: '1', op: 'update' })
    expect(later).not.toContainEqual({ _id: '0', op: 'delete' })
    const last = events.next()
    stop.abort()
    await expect(last).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('the place of every failure', async () => {
    const { driver, hooks } = scriptedIndex([])
    const cause = new Error('down')
    hooks.now = async () => {
      throw cause
    }
    await expect(openIndex(driver).now()).rejects.toMatchObject({
      code: 'UNKNOWN',
      cause,
      at: { scheme: 'scripted', op: 'now' },
    })
    const failing = {
      ...driver,
      find: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(cause) }) }),
    }
    const place = { code: 'UNKNOWN', cause, at: { scheme: 'scripted', op: 'find', target: 'c' } }
    await expect(all(openIndex(failing).find('c', parseFilter({})))).rejects.toMatchObject(place)
    await expect(openIndex(failing).top('c', parseFilter({}))).rejects.toMatchObject(place)
    await expect(openIndex(failing).count('c', parseFilter({}))).rejects.toMatchObject({
      ...place,
      at: { op: 'count' },
    })
  })
})
