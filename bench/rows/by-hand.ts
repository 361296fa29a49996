import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TensorHub } from 'tensorhub'
import { openDurable } from '../baseline-file.ts'
import { type Paired, paired, type Row, timed } from '../paired.ts'
import { MODELS_OPTIONS, modelsHub } from './models-hub.ts'

/** What a program without this library would do: plain columns, one index for the question, prepared statements. No bar, a price list. */
function priceResult(measured: Paired, count: number): { figure: string; held: true; detail: string } {
  const each = (ms: number) => {
    const us = (ms / count) * 1000
    return us < 1000 ? `${us.toFixed(1)} µs` : `${(us / 1000).toFixed(2)} ms`
  }
  return {
    figure: `${measured.ratio.toFixed(2)}×`,
    held: true,
    detail: `${each(measured.ours)} against ${each(measured.baseline)}`,
  }
}

export const topByHandRow: Row = {
  name: 'top-by-hand',
  path: '`models.top` by accuracy in 100,000',
  baseline: 'by hand: `node:sqlite`, plain columns, one index',
  bar: '—',
  async run({ folder, quick }) {
    const count = quick ? 1000 : 100_000
    const calls = 500
    await modelsHub(join(folder, 'hub'), count)
    const hub = await TensorHub.connect(join(folder, 'hub'), MODELS_OPTIONS)
    const database = openDurable(join(folder, 'by-hand.db'))
    database.exec(
      `CREATE TABLE models(id INTEGER PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL, accuracy REAL, run TEXT,
         epoch INTEGER, file TEXT NOT NULL);
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
         INSERT INTO models SELECT i, 'bench', 'mlp', 1700000000000 + i, abs(random() % 1000000007) / 1000000007.0, 'r' || (i / 100), i % 100,
           'models/' || i || '.bin' FROM n;
       CREATE INDEX models_best ON models(project, accuracy)`,
    )
    const best = database.prepare('SELECT * FROM models WHERE project = ? ORDER BY accuracy DESC LIMIT 1')
    const measured = await paired(
      quick ? 3 : 31,
      () =>
        timed(async () => {
          for (let i = 0; i < calls; i++) await hub.models.top({}, { sort: { accuracy: -1 } })
        }),
      () =>
        timed(() => {
          for (let i = 0; i < calls; i++) best.get('bench')
        }),
      quick ? 1 : 100,
    )
    database.close()
    await hub.close()
    return priceResult(measured, calls)
  },
}

export const taskByHandRow: Row = {
  name: 'task-by-hand',
  path: '`runTopTask` with a handler',
  baseline: 'by hand: `node:sqlite`, plain columns, one index, `synchronous=FULL`',
  bar: '—',
  async run({ folder, quick }) {
    const count = quick ? 10 : 100
    const rounds = quick ? 2 : 15
    const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'bench', collect: false })
    const script = join(folder, 'script.mjs')
    await writeFile(script, 'export default () => ({ done: 1 })\n')
    const database = openDurable(join(folder, 'by-hand.db'))
    database.exec(
      `CREATE TABLE tasks(id INTEGER PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, priority INTEGER NOT NULL, created INTEGER NOT NULL,
         parameters TEXT NOT NULL, attempts INTEGER NOT NULL, owner TEXT, lease_until INTEGER, result TEXT, finished INTEGER);
       CREATE INDEX tasks_due ON tasks(name, status, priority DESC, created)`,
    )
    const add = database.prepare(
      "INSERT INTO tasks(name, status, priority, created, parameters, attempts) VALUES('work', 'pending', 0, ?, ?, 0)",
    )
    const total = count * (rounds + 1)
    database.exec('BEGIN')
    for (let i = 0; i < total; i++) add.run(i, '{"n":1}')
    database.exec('COMMIT')
    for (let i = 0; i < total; i += 100)
      await Promise.all(
        Array.from({ length: Math.min(100, total - i) }, () =>
          hub.createTask('work', script, { hyperParameters: { n: 1 } }),
        ),
      )
    const claim = database.prepare(
      `UPDATE tasks SET status = 'running', owner = ?, lease_until = ?, attempts = attempts + 1 WHERE id = (SELECT id FROM tasks
         WHERE name = ? AND status = 'pending' ORDER BY priority DESC, created LIMIT 1) RETURNING *`,
    )
    const commit = database.prepare(
      "UPDATE tasks SET status = 'finished', result = ?, finished = ? WHERE id = ? AND owner = ? AND status = 'running'",
    )
    const work = (parameters: { readonly n?: unknown }) => ({ done: parameters.n })
    const scripts = { handlers: { work: (task: { hyperParameters: object }) => work(task.hyperParameters) } }
    const measured = await paired(
      rounds,
      () =>
        timed(async () => {
          for (let i = 0; i < count; i++) {
            const outcome = await hub.runTopTask('work', { scripts })
            if (outcome === false || outcome.result?.['done'] !== 1) throw new Error('a task was not done')
          }
        }),
      () =>
        timed(() => {
          for (let i = 0; i < count; i++) {
            const owner = randomUUID()
            const task = claim.get(owner, Date.now() + 60_000, 'work')
            if (task === undefined) throw new Error('a task was not found')
            const result = work(JSON.parse(task['parameters'] as string) as object)
            commit.run(JSON.stringify(result), Date.now(), task['id'] as number, owner)
          }
        }),
    )
    database.close()
    await hub.close()
    return priceResult(measured, count)
  },
}
