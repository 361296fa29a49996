import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from './paired.ts'
import { claimRow } from './rows/claim.ts'
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
]

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    folder: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(
    `npm run bench -- [--only NAME]… [--quick] [--folder DIR]\n\nRows: ${ROWS.map((row) => row.name).join(', ')}`,
  )
  process.exit(0)
}
const unknown = (values.only ?? []).filter((name) => !ROWS.some((row) => row.name === name))
if (unknown.length > 0) {
  console.error(`No such row: ${unknown.join(', ')}. Rows: ${ROWS.map((row) => row.name).join(', ')}`)
  process.exit(2)
}

const parent = values.folder ?? join(dirname(import.meta.dirname), '.tensorhub', 'bench')
await mkdir(parent, { recursive: true })
console.log(
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}${values.quick ? ', QUICK: no claims' : ''}\n`,
)
console.log('| path | baseline, same run | bar | measured | behind it |')
console.log('|---|---|---|---|---|')
let missed = 0
for (const row of ROWS) {
  if (values.only && !values.only.includes(row.name)) continue
  const folder = await mkdtemp(join(parent, `${row.name}-`))
  try {
    const result = await row.run({ folder, quick: values.quick })
    if (!result.held) missed++
    console.log(
      `| ${row.path} | ${row.baseline} | ${row.bar} | ${result.figure}${result.held ? '' : ' **MISS**'} | ${result.detail} |`,
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
console.log(missed === 0 ? '\nEvery bar held.' : `\n${missed} bar${missed === 1 ? '' : 's'} missed.`)
