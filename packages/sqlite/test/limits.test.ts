import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { collect, temporaryIndex, where } from './temporary-index.ts'

describe('filters as large as core lets through', () => {
  const numbers = Array.from({ length: 1000 }, (_, i) => i)
  const docs = [
    { _id: 'number', v: 999 },
    { _id: 'text', v: 'x5' },
    { _id: 'list', v: ['x5', 7] },
    { _id: 'yes', v: true },
    { _id: 'day', v: new Date(5) },
    { _id: 'nan', v: Number.NaN },
    { _id: 'null', v: null },
    { _id: 'none' },
    { _id: 'all', v: numbers },
  ]
  const lists: [name: string, values: unknown[], found: string[]][] = [
    ['numbers', numbers, ['all', 'list', 'number']],
    [
      'every type',
      [...numbers.slice(0, 990), 'x5', true, new Date(5), Number.NaN, null, numbers],
      docs.map((d) => d._id),
    ],
    ['dates and booleans', [...numbers.map((n) => new Date(n)).slice(0, 998), true, false], ['day', 'yes']],
  ]

  it.each(lists)('$in and $nin of a thousand values: %s', async (name, values, found) => {
    const { store } = await temporaryIndex()
    await store.insert('c', docs)
    const wanted = name === 'every type' ? found.filter((id) => id !== 'number') : found
    const ids = async (filter: Record<string, unknown>) =>
      (await collect(store.find('c', where(filter)))).map((doc) => doc._id).sort()
    expect(await ids({ v: { $in: values } })).toEqual([...wanted].sort())
    expect(await ids({ v: { $nin: values } })).toEqual(
      docs
        .map((doc) => doc._id)
        .filter((id) => !wanted.includes(id))
        .sort(),
    )
  })

  it('$all of a thousand values, and filters beyond what SQLite takes as text or parameters', async () => {
    const { store } = await temporaryIndex()
    await store.insert('c', docs)
    expect((await collect(store.find('c', where({ v: { $all: numbers } })))).map((doc) => doc._id)).toEqual(['all'])
    expect(await store.count('c', where({ v: { $all: [...numbers.slice(1), 2000] } }))).toBe(0)
    expect(await store.count('c', where({ _id: { $all: Array(1000).fill('all') } }))).toBe(1)
    const many = { $or: Array.from({ length: 60 }, (_, i) => ({ v: { $in: numbers.map((n) => n + 1000 * i) } })) }
    expect(await store.count('c', where(many))).toBe(3)
    const long = 'a'.repeat(90)
    const wide = { $or: Array.from({ length: 60 }, () => ({ [`${long}.${long}.${long}`]: { $all: numbers } })) }
    expect(await store.delete('c', where(wide))).toBe(0)
  })
})

describe('a file', () => {
  it('spoiled by another program so that no transaction can begin: every write is answered', async () => {
    const { store, file } = await temporaryIndex()
    await store.insert('c', [{ _id: 'a' }])
    const other = new DatabaseSync(file)
    other.exec('DROP TABLE th_shapes')
    other.close()
    const writes = await Promise.allSettled(['b', 'd'].map((_id) => store.insert('c', [{ _id }])))
    for (const write of writes) expect(write).toMatchObject({ status: 'rejected', reason: { code: 'UNKNOWN' } })
  })
})
