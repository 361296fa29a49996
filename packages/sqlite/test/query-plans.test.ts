import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fill, keys, openFile, order, plan, temporaryIndex, where } from './temporary-index.ts'

const SEARCH = /^SEARCH c_\w+ USING INDEX \S+ \(.*\)$/

describe('query plans', () => {
  it('serves the hub’s own orders from its indexes, whole', async () => {
    const { store } = await temporaryIndex()
    await store.ensureIndex('models', keys('project_name', 'model_name', 'time', '_id'))
    await store.ensureIndex('models', keys('project_name', 'time', '_id'))
    await fill(store, 'models', 2000, (i) => ({
      project_name: 'p',
      model_name: `m${i % 7}`,
      time: new Date(i),
      accuracy: i / 2000,
    }))
    for (const filter of [
      { project_name: 'p' },
      { project_name: 'p', model_name: 'm3' },
      { project_name: 'p', time: { $gte: new Date(5) } },
    ]) {
      expect(await plan(store, 'models', filter, { time: -1, _id: -1 }, 1)).toMatch(SEARCH)
      expect(await plan(store, 'models', filter, { time: 1, _id: 1 })).toMatch(SEARCH)
    }
  })

  it('serves equality, ranges and the best by a tag that has an index, whatever types stand in the field', async () => {
    const { store } = await temporaryIndex({ autoIndex: false })
    await store.ensureIndex('models', keys('project_name', 'accuracy'))
    const odd = [null, 'high', true, new Date(3), Number.NaN, 5n]
    await fill(store, 'models', 2000, (i) => ({
      project_name: 'p',
      ...(i % 3 === 0 ? { accuracy: odd[i % odd.length] ?? null } : { accuracy: i / 2000 }),
    }))
    expect(await plan(store, 'models', { project_name: 'p', accuracy: 0.9 })).toMatch(SEARCH)
    expect(await plan(store, 'models', { project_name: 'p', accuracy: { $gte: 0.9 } })).toMatch(SEARCH)
    expect(await plan(store, 'models', { project_name: 'p', accuracy: { $gt: 0.1, $lt: 0.2 } })).toMatch(SEARCH)
    expect(await plan(store, 'models', { project_name: 'p' }, { accuracy: -1 }, 1)).toMatch(SEARCH)
    expect(await plan(store, 'models', { project_name: 'p', accuracy: { $gte: 0.5 } }, { accuracy: -1 }, 1)).toMatch(
      SEARCH,
    )
    await store.ensureIndex('models', keys('project_name', 'loss', '_id'))
    expect(
      await plan(store, 'models', { project_name: 'p', loss: { $gte: Number.NEGATIVE_INFINITY } }, { loss: 1 }, 1),
    ).toMatch(SEARCH)
  })

  it('makes an index at the third query by a tag over more than 1,000 documents, not before', async () => {
    const { store } = await temporaryIndex()
    await store.ensureIndex('models', keys('project_name', 'time', '_id'))
    await fill(store, 'models', 1500, (i) => ({ project_name: 'p', time: new Date(i), accuracy: i / 2000 }))
    const best = () => store.top('models', where({ project_name: 'p' }), { order: order({ accuracy: -1 }) })
    await best()
    await best()
    expect(await plan(store, 'models', { project_name: 'p' }, { accuracy: -1 }, 1)).toContain('TEMP B-TREE')
    expect((await best())?._id).toBe('d00001499')
    expect(await plan(store, 'models', { project_name: 'p' }, { accuracy: -1 }, 1)).toMatch(SEARCH)
  })

  it('makes no index for small collections, nor for queries that have one', async () => {
    const { store } = await temporaryIndex()
    await fill(store, 'small', 900, (i) => ({ project_name: 'p', accuracy: i }))
    for (let i = 0; i < 5; i++) await store.top('small', where({ accuracy: i }))
    expect(await plan(store, 'small', { accuracy: 1 })).toContain('SCAN')
    await store.ensureIndex('large', keys('project_name', 'model_name', 'time', '_id'))
    await fill(store, 'large', 1500, (i) => ({ project_name: 'p', model_name: 'm', time: new Date(i) }))
    for (let i = 0; i < 5; i++)
      await store.top('large', where({ project_name: 'p', model_name: 'm' }), { order: order({ time: -1, _id: -1 }) })
    const database = store.driver.native?.() as DatabaseSync
    expect(
      database
        .prepare("SELECT count(*) AS n FROM sqlite_schema WHERE type='index' AND name LIKE 'i\\_%' ESCAPE '\\'")
        .get(),
    ).toEqual({ n: 1 })
  })

  it('makes at most 32 indexes a collection, whichever process made them', async () => {
    const { store, file } = await temporaryIndex()
    const fields = Array.from({ length: 40 }, (_, i) => `tag${i}`)
    await fill(store, 'models', 1100, (i) => Object.fromEntries(fields.map((name) => [name, i])))
    const query = async (index: typeof store, names: readonly string[]) => {
      for (const name of names) for (let i = 0; i < 3; i++) await index.count('models', where({ [name]: 5 }))
    }
    await query(store, fields.slice(0, 20))
    await query(openFile(file), fields.slice(20))
    const database = store.driver.native?.() as DatabaseSync
    const made = database
      .prepare("SELECT count(*) AS n FROM sqlite_schema WHERE type='index' AND tbl_name='c_models' AND sql IS NOT NULL")
      .get()
    expect(made).toEqual({ n: 32 })
    // Asked for, one more is made all the same.
    await store.ensureIndex('models', keys('tag39'))
    expect(await plan(store, 'models', { tag39: 5 })).toMatch(SEARCH)
  })

  it('answers without an index, and warns, where one cannot be made', async () => {
    const { store, file } = await temporaryIndex({ lockTimeout: 50 })
    await fill(store, 'models', 1500, (i) => ({ accuracy: i }))
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    onTestFinished(() => void process.off('warning', onWarning))
    const holder = new DatabaseSync(file)
    onTestFinished(() => holder.close())
    holder.exec('BEGIN IMMEDIATE')
    for (let i = 0; i < 3; i++) expect(await store.count('models', where({ accuracy: 5 }))).toBe(1)
    await expect.poll(() => warnings.map((warning) => warning.message).join()).toMatch(/No index of models .*accuracy/)
    holder.exec('ROLLBACK')
    for (let i = 0; i < 3; i++) expect(await store.count('models', where({ accuracy: 5 }))).toBe(1)
    expect(await plan(store, 'models', { accuracy: 5 })).toMatch(SEARCH)
  })

  it('claims and reaps tasks by index', async () => {
    const { store } = await temporaryIndex()
    const claimOrder = [
      ...keys('project_name', 'task_name', 'status'),
      { path: ['priority'], dir: -1 as const },
      ...keys('time', '_id'),
    ]
    await store.ensureIndex('tasks', claimOrder)
    await store.ensureIndex('tasks', keys('status', 'lease_until'))
    await fill(store, 'tasks', 2000, (i) => ({
      project_name: 'p',
      task_name: 't',
      status: i % 2 ? 'pending' : 'running',
      priority: i % 3,
      time: new Date(i),
      not_before: new Date(0),
      lease_until: new Date(i),
    }))
    expect(
      await plan(
        store,
        'tasks',
        { project_name: 'p', task_name: 't', status: 'pending', not_before: { $lte: new Date() } },
        { priority: -1, time: 1 },
        1,
      ),
    ).toMatch(SEARCH)
    expect(await plan(store, 'tasks', { status: 'running', lease_until: { $lt: new Date(5) } })).toMatch(SEARCH)
    expect(await plan(store, 'tasks', { _id: 'd00000001', epoch: 1, claim: 'x', status: 'running' })).toMatch(
      /SEARCH .*_id=\?/,
    )
  })
})
