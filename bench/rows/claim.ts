import { type ChildProcess, fork } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TensorHub } from 'tensorhub'
import { copyOfIndex, openDurable } from '../baseline-file.ts'
import { paired, type Row, speedResult, timed } from '../paired.ts'

/** What a claiming process is asked: to work off the tasks of a name, in one of the two ways. */
export interface ClaimOrder {
  readonly side: 'hub' | 'statements'
  readonly name: string
}
/** The tasks it had. */
export interface ClaimReport {
  readonly ids: readonly string[]
}

const PROCESSES = 2

function nextReport(child: ChildProcess): Promise<ClaimReport> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a claiming process ended with ${code}`))
    child.once('exit', ended)
    child.once('message', (report) => {
      child.off('exit', ended)
      resolve(report as ClaimReport)
    })
  })
}

/** All the tasks of a name by all the processes at once. @returns the ids, each as often as it was run. */
async function workOff(children: readonly ChildProcess[], order: ClaimOrder): Promise<string[]> {
  const reports = children.map(nextReport)
  for (const child of children) child.send(order)
  return (await Promise.all(reports)).flatMap(({ ids }) => ids)
}

export const claimRow: Row = {
  name: 'claim',
  path: 'claim + commit, no script, 2 processes, SQLite',
  baseline: 'the two raw statements, `synchronous=FULL`, 2 processes',
  bar: '≥ 0.4×, zero doubles',
  async run({ folder, quick }) {
    const hubFolder = join(folder, 'hub')
    const count = quick ? 20 : 200
    const rounds = quick ? 2 : 11
    const hub = await TensorHub.connect(hubFolder, { projectName: 'bench', collect: false })
    const script = join(folder, 'script.mjs')
    await writeFile(script, 'export default () => ({ done: 1 })\n')
    const nameOf = (round: number) => `round ${round}`
    // One round more than are counted, for the warm-up.
    for (let round = -1; round < rounds; round++)
      await Promise.all(Array.from({ length: count }, () => hub.createTask(nameOf(round), script)))
    // The indexes of tasks are made by their first use.
    await hub.runTopTask('none')
    await hub.close()
    const file = await copyOfIndex(hubFolder, 'baseline.db')
    const children = Array.from({ length: PROCESSES }, () =>
      fork(join(import.meta.dirname, 'claim-child.ts'), [hubFolder, file], { execArgv: [] }),
    )
    await Promise.all(children.map(nextReport))
    let doubles = 0
    let fewest = count
    const run = (side: ClaimOrder['side']) => (round: number) =>
      timed(async () => {
        const ids = await workOff(children, { side, name: nameOf(round) })
        const distinct = new Set(ids).size
        doubles += ids.length - distinct
        fewest = Math.min(fewest, distinct)
      })
    const measured = await paired(rounds, run('hub'), run('statements'))
    const ends = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
    for (const child of children) child.send('end')
    await Promise.all(ends)
    // What the processes say is held against what is stored: every task finished, at its first attempt.
    const database = openDurable(join(hubFolder, 'index.db'))
    const stored = database
      .prepare(
        "SELECT count(*) AS n FROM c_tasks WHERE json_extract(body,'$.status')='finished' AND json_extract(body,'$.attempts')=1 AND json_extract(body,'$.epoch')=1",
      )
      .get()?.['n'] as number
    database.close()
    if (fewest < count || stored !== count * (rounds + 1))
      throw new Error(`tasks were not run: at worst ${fewest} of ${count} in a round, ${stored} finished`)
    const each = (ms: number) => `${(ms / count).toFixed(2)} ms`
    const result = speedResult(
      measured,
      0.4,
      `${each(measured.ours)} a task against ${each(measured.baseline)}; ${doubles} doubles in ${count * (rounds + 1)} tasks`,
    )
    return { ...result, held: result.held && doubles === 0 }
  },
}
