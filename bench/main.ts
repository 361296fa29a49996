import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from './paired.ts'
import { HEAD, machine, writeBetweenMarkers } from './report.ts'
import { taskByHandRow, topByHandRow } from './rows/by-hand.ts'
import { claimRow } from './rows/claim.ts'
import { cloudRows } from './rows/cloud/rows.ts'
import { concurrentLogsRow, singleLogsRow } from './rows/logs.ts'
import { frozenEpochsRow, loadRow, saveAgainRow, saveRow } from './rows/save-load.ts'
import { streamRow } from './rows/stream.ts'
import { runTopTaskRow } from './rows/task.ts'
import { flatTopRow, topRow } from './rows/top.ts'

const ROWS: readonly Row[] = [
  saveRow,
  loadRow,
  saveAgainRow,
  frozenEpochsRow,
  topRow,
  flatTopRow,
  singleLogsRow,
  concurrentLogsRow,
  claimRow,
  runTopTaskRow,
  streamRow,
  topByHandRow,
  taskByHandRow,
  ...cloudRows,
]

const HELP = `npm run bench -- [--only NAME]… [--quick] [--folder DIR] [--markdown FILE]

  --only NAME      only this row; may be repeated
  --quick          few and small rounds, to see that everything runs; the figures are then no claim
  --folder DIR     where to work (default .tensorhub/bench): the file system that is measured
  --markdown FILE  also puts the table and the machine between <!-- bench:start --> and <!-- bench:end --> of FILE,
                   and an adapter's rows into the README of its package

Rows: ${ROWS.map((row) => row.name).join(', ')}`

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    folder: { type: 'string' },
    markdown: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const unknown = (values.only ?? []).filter((name) => !ROWS.some((row) => row.name === name))
if (unknown.length > 0) stop(`No such row: ${unknown.join(', ')}. Rows: ${ROWS.map((row) => row.name).join(', ')}`)
if (values.markdown !== undefined && (values.quick || values.only))
  stop('--markdown writes the whole table in its full form; leave --quick and --only out.')

const parent = values.folder ?? join(dirname(import.meta.dirname), '.tensorhub', 'bench')
await mkdir(parent, { recursive: true })
console.log(`${machine()}${values.quick ? ', QUICK: no claims' : ''}\n\n${HEAD}`)
const lines: string[] = []
/** Lines by the package whose README shows them. */
const byPackage = new Map<string, string[]>()
let missed = 0
for (const row of ROWS) {
  if (values.only && !values.only.includes(row.name)) continue
  const folder = await mkdtemp(join(parent, `${row.name}-`))
  try {
    const { figure, held, detail } = await row.run({ folder, quick: values.quick })
    if (!held) missed++
    const line = `| ${row.path} | ${row.baseline} | ${row.bar} | ${figure}${held ? '' : ' **MISS**'} | ${detail} |`
    lines.push(line)
    if (row.package !== undefined) byPackage.set(row.package, [...(byPackage.get(row.package) ?? []), line])
    console.log(line)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
const summary = missed === 0 ? 'Every bar held.' : `${missed} bar${missed === 1 ? '' : 's'} missed.`
console.log(`\n${summary}`)
if (values.markdown !== undefined) {
  await writeBetweenMarkers(values.markdown, `${HEAD}\n${lines.join('\n')}\n\n${machine()}. ${summary}`)
  for (const [name, rows] of byPackage) {
    const readme = join(dirname(import.meta.dirname), 'packages', name, 'README.md')
    await writeBetweenMarkers(readme, `${HEAD}\n${rows.join('\n')}\n\n${machine()}.`)
  }
}

function stop(message: string): never {
  console.error(message)
  process.exit(2)
}
