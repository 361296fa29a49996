import { parseFilter, parseSort } from '@tensorhub/core'
import { TensorHub } from 'tensorhub'
import { compileFilter, compileOrder } from '../../packages/sqlite/src/filter.ts'
import { Shapes } from '../../packages/sqlite/src/shapes.ts'
import { openDurable } from '../baseline-file.ts'
import type { ClaimOrder, ClaimReport } from './claim.ts'

/** One of the processes that claim: works off the tasks of a name, through the hub or by the bare statements, and reports which it had. */
const [hubFolder, file] = process.argv.slice(2) as [string, string]
const hub = await TensorHub.connect(hubFolder, { projectName: 'bench', collect: false })
const database = openDurable(file)
const shapes = new Shapes()
const due = compileFilter(
  parseFilter({ project_name: 'bench', task_name: '', status: 'pending', not_before: { $lte: new Date(0) } }),
  'tasks',
  shapes,
)
const first = compileOrder(parseSort({ priority: -1, time: 1, _id: 1 }), 'tasks', shapes, due.terms)
const claim = database.prepare(
  `UPDATE c_tasks SET body=json_set(body,'$.status','running','$.claim',?,'$.lease_until',json(?),'$.started_at',json(?),` +
    `'$.attempts',json_extract(body,'$.attempts')+1,'$.epoch',json_extract(body,'$.epoch')+1) ` +
    `WHERE _id=(SELECT _id FROM c_tasks WHERE ${due.sql} ORDER BY ${first} LIMIT 1) RETURNING body`,
)
const commit = database.prepare(
  `UPDATE c_tasks SET body=json_set(body,'$.status','finished','$.result',json(?),'$.lease_until',NULL,'$.finished_at',json(?)) ` +
    `WHERE _id=? AND json_extract(body,'$.epoch')=? AND json_extract(body,'$.claim')=? AND json_extract(body,'$.status')='running'`,
)

async function byHub(name: string): Promise<string[]> {
  const done: string[] = []
  const scripts = { handlers: { [name]: () => ({ done: 1 }) } }
  for (;;) {
    const outcome = await hub.runTopTask(name, { scripts })
    if (outcome === false) return done
    if (outcome.status !== 'finished') throw new Error(`task ${outcome.task._id} ended ${outcome.status}`)
    done.push(outcome.task._id)
  }
}

function byStatements(name: string): string[] {
  const done: string[] = []
  for (;;) {
    const nonce = `${process.pid}-${done.length}-${name}`
    const now = Date.now()
    // In the order in which the filter names its fields.
    const row = claim.get(nonce, date(now + 60_000), date(now), 'bench', name, 'pending', now)
    if (row === undefined) return done
    const task = JSON.parse(row['body'] as string) as { _id: string; epoch: number }
    const { changes } = commit.run('{"done":1}', date(Date.now()), task._id, task.epoch, nonce)
    if (Number(changes) !== 1) throw new Error(`task ${task._id} was lost`)
    done.push(task._id)
  }
}

const date = (ms: number) => `{"$date":${ms}}`

process.on('message', (order: ClaimOrder | 'end') => {
  if (order === 'end') {
    database.close()
    void hub.close().then(() => process.disconnect())
    return
  }
  const work = order.side === 'hub' ? byHub(order.name) : Promise.resolve(byStatements(order.name))
  work.then(
    (ids) => process.send?.({ ids } satisfies ClaimReport),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.send?.({ ids: [] } satisfies ClaimReport)
