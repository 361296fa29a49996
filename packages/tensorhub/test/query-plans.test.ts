import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { IndexDriver, Order, Predicate } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'
import { expect, it, onTestFinished } from 'vitest'
import { TensorHub } from '../src/index.ts'
import { temporaryFolder } from './temporary-hub.ts'

/** One step, in an index that gives the order too; its columns (type and value of each field) hold the project and at least so many fields. */
function seek(fields: number): RegExp {
  const columns = Array<string>(2 * (1 + fields)).fill('<expr>[=<>]\\?')
  return new RegExp(`^SEARCH c_\\w+ USING INDEX \\S+ \\(${columns.join(' AND ')}( AND <expr>[=<>]\\?)*\\)$`)
}

/** A hub on SQLite that tells how SQLite runs what it asked last. */
async function explainedHub(): Promise<{ hub: TensorHub; plan: () => Promise<string> }> {
  const folder = await temporaryFolder()
  const driver = sqlite({ file: join(folder, 'index.db') }) as IndexDriver & {
    explain(coll: string, where: Predicate, order: Order, limit?: number): Promise<string[]>
  }
  const find = driver.find.bind(driver)
  let asked: Parameters<typeof driver.explain> | undefined
  driver.find = (coll, where, o) => {
    asked = [coll, where, o.order, o.limit]
    return find(coll, where, o)
  }
  const hub = await TensorHub.connect({ index: driver, blobs: fs({ folder: join(folder, 'blobs') }), projectName: 'p' })
  onTestFinished(() => hub.close())
  return {
    hub,
    plan: async () => (await driver.explain(...(asked as Parameters<typeof driver.explain>))).join('\n'),
  }
}

it('the newest, the oldest and the best by name and tag are seeks in an index', async () => {
  const { hub, plan } = await explainedHub()
  for (let i = 0; i < 30; i++) {
    await hub.models.save(`m${i % 3}`, [i], { run: `r${i % 5}`, accuracy: i / 30 })
    await hub.logs.save('training', { epoch: i })
  }
  await hub.models.index('run')
  await hub.models.index('accuracy')
  for (const sort of [undefined, { time: -1 }, { time: 1 }, { _id: -1 }] as const) {
    const options = sort === undefined ? {} : { sort }
    for (const filter of [{}, { model_name: 'm1' }, { run: 'r2' }]) {
      await hub.models.top(filter, options)
      expect(await plan(), JSON.stringify([filter, sort])).toMatch(seek(Object.keys(filter).length))
    }
    await hub.logs.find({ kind: 'training' }, options).toArray()
    expect(await plan()).toMatch(seek(1))
  }
  for (const filter of [{}, { accuracy: { $gte: 0.2 } }, { accuracy: { $lt: 0.8 } }]) {
    const best = await hub.models.top(filter, { sort: { accuracy: -1 } })
    expect(best).toBeDefined()
    expect(await plan(), JSON.stringify(filter)).toMatch(seek(Object.keys(filter).length))
    const worst = await hub.models.top(filter, { sort: { accuracy: 1 } })
    expect(worst?.['accuracy']).toBeLessThan(best?.['accuracy'] as number)
    // Upwards, those without a number come last: a second condition.
    expect(await plan(), JSON.stringify(filter)).toMatch(seek(1))
  }
})

it('two fields compared for equality: whichever of them is rare, the third query is one seek in an index of both', async () => {
  const { hub, plan } = await explainedHub()
  await Promise.all(
    Array.from({ length: 1100 }, (_, i) => {
      const name = i % 100 === 7 ? 'rare' : 'mlp'
      return hub.models.save(name, [i], { run: `r${i % 100}`, machine: 'one' })
    }),
  )
  // By these alone SQLite, which has no statistics, may walk the index of the field that all models share.
  await hub.models.index('run')
  await hub.models.index('machine')
  for (const [filter, found] of [
    [{ model_name: 'mlp', run: 'r8' }, 1008],
    [{ model_name: 'rare', machine: 'one' }, 1007],
  ] as const) {
    for (let i = 0; i < 3; i++) {
      const handle = await hub.models.open(filter)
      expect(await handle?.load()).toEqual([found])
    }
    await hub.models.top(filter)
    expect(await plan(), JSON.stringify(filter)).toMatch(seek(2))
  }
  const best = await hub.models.find({ $or: [{ model_name: 'rare' }, { run: 'r8' }] }).toArray()
  expect(best).toHaveLength(22)
})

it('the order by age is that of time, whatever the filter, forwards and backwards', async () => {
  const { hub } = await explainedHub()
  const begun = new Date(0)
  for (let i = 0; i < 40; i++) await hub.logs.save('training', { epoch: i })
  for (const filter of [{}, { kind: 'training' }, { time: { $gte: begun } }, { $or: [{ time: { $gt: begun } }] }]) {
    const oldest = await hub.logs.find(filter).toArray()
    expect(oldest.map((log) => log['epoch'])).toEqual(Array.from({ length: 40 }, (_, i) => i))
    expect([...oldest].sort((a, b) => a.time.getTime() - b.time.getTime())).toEqual(oldest)
    expect(await hub.logs.find(filter, { sort: { time: -1 } }).toArray()).toEqual(oldest.toReversed())
    const newest = await hub.logs.top(filter)
    expect(newest?.['epoch']).toBe(39)
  }
})

it('claims and waits stand on the indexes that are made for them: over many tasks no other is made, which would mislead SQLite', async () => {
  const { hub, plan } = await explainedHub()
  const script = join(await temporaryFolder(), 'script.mjs')
  await writeFile(script, 'export default () => ({})\n')
  await Promise.all(Array.from({ length: 1100 }, (_, i) => hub.tasks.create('work', script, { priority: i % 3 })))
  const ran: number[] = []
  for (let i = 0; i < 8; i++) {
    const outcome = await hub.runTopTask('work', { scripts: { handlers: { work: () => ({}) } } })
    if (outcome !== false) ran.push(outcome.task.priority)
    expect(await hub.checkUnfinishedTask('work')).toBe(true)
  }
  expect(ran).toEqual(Array(8).fill(2))
  const made = (hub.db as DatabaseSync)
    .prepare("SELECT count(*) AS n FROM sqlite_schema WHERE type='index' AND tbl_name='c_tasks' AND sql IS NOT NULL")
    .get()
  expect(made?.['n']).toBe(3)
  // The question for expired leases comes with every claim.
  await hub.runTopTask('nothing of this name', { scripts: { handlers: {} } })
  expect(await plan()).toMatch(seek(2))
})
