/**
 * The index's paths against the same work in plain `node:sqlite` on a copy of the file, in turn: `node packages/sqlite/bench/bars.ts [FOLDER]`.
 * Prints medians and ratios (baseline time ÷ our time; 1 = as fast as the raw statements).
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Doc, IndexStore, parseFilter, parseSort } from '@tensorhub/core'
import { compileFilter, compileOrder } from '../src/filter.ts'
import { sqlite } from '../src/index.ts'
import { Shapes } from '../src/shapes.ts'

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'tensorhub-bench-'))
const keys = (...names: string[]) => names.map((name) => ({ path: [name], dir: 1 as const }))
const median = (times: readonly number[]) => [...times].sort((a, b) => a - b)[times.length >> 1] as number

async function paired(name: string, rounds: number, ours: () => Promise<void>, baseline: () => void): Promise<void> {
  const a: number[] = []
  const b: number[] = []
  for (let i = 0; i < rounds; i++) {
    let t = performance.now()
    await ours()
    a.push(performance.now() - t)
    t = performance.now()
    baseline()
    b.push(performance.now() - t)
  }
  console.log(
    `${name.padEnd(44)} ours ${median(a).toFixed(3)} ms, baseline ${median(b).toFixed(3)} ms, ratio ${(median(b) / median(a)).toFixed(2)}`,
  )
}

let n = 0
const log = (): Doc => ({
  _id: `l${String(++n).padStart(12, '0')}`,
  project_name: 'p',
  kind: 'training',
  time: new Date(n),
  loss: Math.random(),
  epoch: n % 10,
  _rev: 0,
})
const bodyOf = (doc: Doc) => JSON.stringify({ ...doc, time: { $date: n } })

async function prepared(file: string, coll: string, indexes: readonly string[][]): Promise<IndexStore> {
  const store = new IndexStore(sqlite({ file }))
  for (const names of indexes) await store.ensureIndex(coll, keys(...names))
  return store
}

function raw(file: string): DatabaseSync {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY')
  return database
}

// models.top by tag, 10^3 to 10^6
for (const size of [1_000, 100_000, 1_000_000]) {
  const file = join(folder, `top${size}.db`)
  const store = await prepared(file, 'models', [
    ['project_name', 'time', '_id'],
    ['project_name', 'accuracy'],
  ])
  for (let from = 0; from < size; from += 10_000) {
    await store.insert(
      'models',
      Array.from({ length: Math.min(10_000, size - from) }, (_, i) => ({
        _id: `m${String(from + i).padStart(9, '0')}`,
        project_name: 'p',
        time: new Date(from + i),
        accuracy: Math.random(),
        content: { v: 1, format: 'value', bytes: 10 },
      })),
    )
  }
  const where = parseFilter({ project_name: 'p', accuracy: { $gte: 0.5 } })
  const order = [...parseSort({ accuracy: -1 }), { path: ['_id'], dir: 1 as const }]
  const filter = compileFilter(where, 'models', new Shapes())
  const database = raw(file)
  const statement = database.prepare(
    `SELECT body FROM c_models WHERE ${filter.sql} ORDER BY ${compileOrder(order, 'models', new Shapes(), filter.terms)} LIMIT 1`,
  )
  await paired(
    `top by tag in ${size}, 200 calls`,
    15,
    async () => {
      for (let i = 0; i < 200; i++) await store.top('models', where, { order })
    },
    () => {
      for (let i = 0; i < 200; i++) JSON.parse(statement.get(...filter.params)?.['body'] as string)
    },
  )
  database.close()
  await store.close()
}

// logs
{
  const file = join(folder, 'logs.db')
  const indexes = [
    ['project_name', 'kind', 'time', '_id'],
    ['project_name', 'time', '_id'],
  ]
  const store = await prepared(file, 'logs', indexes)
  const other = join(folder, 'logs-baseline.db')
  await store.close()
  copyFileSync(file, other)
  const ours = new IndexStore(sqlite({ file }))
  const database = raw(other)
  const insert = database.prepare('INSERT INTO c_logs(_id,body) VALUES(?,?)')
  await paired(
    '50 logs awaited singly',
    15,
    async () => {
      for (let i = 0; i < 50; i++) await ours.insert('logs', [log()])
    },
    () => {
      for (let i = 0; i < 50; i++) {
        const doc = log()
        insert.run(doc._id, bodyOf(doc))
      }
    },
  )
  await paired(
    '1,000 logs concurrently',
    15,
    async () => {
      await Promise.all(Array.from({ length: 1000 }, () => ours.insert('logs', [log()])))
    },
    () => {
      database.exec('BEGIN IMMEDIATE')
      for (let i = 0; i < 1000; i++) {
        const doc = log()
        insert.run(doc._id, bodyOf(doc))
      }
      database.exec('COMMIT')
    },
  )
  database.close()
  await ours.close()
}

// claim and commit
{
  const file = join(folder, 'tasks.db')
  const store = await prepared(file, 'tasks', [
    ['project_name', 'status', 'time', '_id'],
    ['status', 'lease_until'],
  ])
  await store.insert(
    'tasks',
    Array.from({ length: 4000 }, (_, i) => ({
      _id: `t${String(i).padStart(6, '0')}`,
      project_name: 'p',
      status: 'pending',
      time: new Date(i),
      epoch: 0,
      claim: null,
      lease_until: null,
      result: null,
    })),
  )
  await store.close()
  const other = join(folder, 'tasks-baseline.db')
  copyFileSync(file, other)
  const ours = new IndexStore(sqlite({ file }))
  const database = raw(other)
  const pending = compileFilter(parseFilter({ project_name: 'p', status: 'pending' }), 'tasks', new Shapes())
  const byTime = compileOrder(keys('time', '_id'), 'tasks', new Shapes(), pending.terms)
  const claim = database.prepare(
    `UPDATE c_tasks SET body=json_set(body,'$.status','running','$.claim',?,'$.lease_until',json('{"$date":9}'),'$.epoch',json_extract(body,'$.epoch')+1) WHERE _id=(SELECT _id FROM c_tasks WHERE ${pending.sql} ORDER BY ${byTime} LIMIT 1) RETURNING body`,
  )
  const commit = database.prepare(
    `UPDATE c_tasks SET body=json_set(body,'$.status','finished','$.result',1,'$.lease_until',NULL) WHERE _id=? AND json_extract(body,'$.claim')=? AND json_extract(body,'$.epoch')=1`,
  )
  await paired(
    '20 claims and commits, one process',
    15,
    async () => {
      for (let i = 0; i < 20; i++) {
        const task = await ours.takeOne(
          'tasks',
          parseFilter({ project_name: 'p', status: 'pending' }),
          { set: { status: 'running', claim: 'me', lease_until: new Date(9) }, inc: { epoch: 1 } },
          { order: keys('time') },
        )
        await ours.takeOne('tasks', parseFilter({ _id: task?._id ?? '', claim: 'me', epoch: 1, status: 'running' }), {
          set: { status: 'finished', result: 1, lease_until: null },
        })
      }
    },
    () => {
      for (let i = 0; i < 20; i++) {
        const task = JSON.parse(claim.get('me', ...pending.params)?.['body'] as string) as Doc
        commit.run(task._id, 'me')
      }
    },
  )
  database.close()
  await ours.close()
}
rmSync(folder, { recursive: true })
