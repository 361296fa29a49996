import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { TensorHub } from 'tensorhub'
import { copyOfIndex, openDurable } from '../baseline-file.ts'
import { paired, type Row, speedResult, timed } from '../paired.ts'

interface Prepared {
  readonly hub: TensorHub
  readonly database: DatabaseSync
  /** Stores one log by the bare statement. */
  readonly insert: () => void
  close(): Promise<void>
}

/** A hub, and a copy of its index file for the bare statement. */
async function prepare(folder: string): Promise<Prepared> {
  const hubFolder = join(folder, 'hub')
  const options = { projectName: 'bench', collect: false }
  // The first log makes the table; then both files are the same.
  const first = await TensorHub.connect(hubFolder, options)
  await first.saveTrainingLog({ epoch: 0, loss: 0 })
  await first.close()
  const database = openDurable(await copyOfIndex(hubFolder, 'baseline.db'))
  const statement = database.prepare('INSERT INTO c_logs(_id,body) VALUES(?,?)')
  let n = 0
  const insert = () => {
    n++
    const _id = `01M00000${String(n).padStart(18, '0')}`
    const body = { _id, project_name: 'bench', time: { $date: 1e12 + n }, kind: 'training', ...tags(n), _rev: 0 }
    statement.run(_id, JSON.stringify(body))
  }
  const hub = await TensorHub.connect(hubFolder, options)
  return {
    hub,
    database,
    insert,
    close: async () => {
      database.close()
      await hub.close()
    },
  }
}

function tags(n: number): { epoch: number; loss: number; accuracy: number } {
  return { epoch: n, loss: 1 / (n + 1), accuracy: 1 - 1 / (n + 1) }
}

export const singleLogsRow: Row = {
  name: 'logs',
  path: 'logs awaited singly',
  baseline: 'one INSERT a transaction, `synchronous=FULL`, same table and indexes',
  bar: '≥ 0.5×',
  async run({ folder, quick }) {
    const { hub, insert, close } = await prepare(folder)
    const count = quick ? 20 : 200
    const measured = await paired(
      quick ? 3 : 51,
      () =>
        timed(async () => {
          for (let i = 0; i < count; i++) await hub.saveTrainingLog(tags(i))
        }),
      () =>
        timed(() => {
          for (let i = 0; i < count; i++) insert()
        }),
    )
    await close()
    const each = (ms: number) => `${(ms / count).toFixed(3)} ms`
    return speedResult(measured, 0.5, `${each(measured.ours)} a log against ${each(measured.baseline)}`)
  },
}

export const concurrentLogsRow: Row = {
  name: 'logs-concurrent',
  path: '1,000 logs concurrently',
  baseline: 'transactions of 1,000, `synchronous=FULL`, same table and indexes',
  bar: '≥ 0.5×',
  async run({ folder, quick }) {
    const { hub, database, insert, close } = await prepare(folder)
    const measured = await paired(
      quick ? 3 : 51,
      () => timed(() => Promise.all(Array.from({ length: 1000 }, (_, i) => hub.saveTrainingLog(tags(i))))),
      () =>
        timed(() => {
          database.exec('BEGIN IMMEDIATE')
          for (let i = 0; i < 1000; i++) insert()
          database.exec('COMMIT')
        }),
      quick ? 1 : 40,
    )
    await close()
    return speedResult(measured, 0.5, `${measured.ours.toFixed(1)} ms against ${measured.baseline.toFixed(1)}`)
  },
}
