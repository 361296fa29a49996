import { parseArgs } from 'node:util'
import { MUTATIONS } from './fake-stores.ts'
import { schedule } from './schedule.ts'

// node packages/content/test/simulation/main.ts --schedules 100000 [--seed 1] [--mutation late-clock|no-age-check|no-verify|no-pins|young-blobs]
const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    mutation: { type: 'string' },
  },
})
const mutation = MUTATIONS.find((name) => name === values.mutation)
if (values.mutation !== undefined && mutation === undefined)
  throw new Error(`--mutation is one of ${MUTATIONS.join(', ')}`)
const first = Number(values.seed)
const sum = { schedules: 0, lostIn: 0, leakedIn: 0, acknowledged: 0, conflicts: 0, steps: 0 }
const bad: number[] = []
const start = performance.now()
for (let seed = first; seed < first + Number(values.schedules); seed++) {
  const outcome = await schedule(seed, mutation)
  sum.schedules++
  if (outcome.lost > 0) sum.lostIn++
  if (outcome.leaked > 0) sum.leakedIn++
  if ((outcome.lost > 0 || outcome.leaked > 0) && bad.length < 10) bad.push(seed)
  sum.acknowledged += outcome.acknowledged
  sum.conflicts += outcome.conflicts
  sum.steps += outcome.steps
  if (sum.schedules % 10_000 === 0)
    console.error(`${sum.schedules} schedules, lost in ${sum.lostIn}, leaked in ${sum.leakedIn}`)
}
console.log(
  JSON.stringify({
    ...sum,
    seed: first,
    ...(values.mutation ? { mutation: values.mutation } : {}),
    badSeeds: bad,
    seconds: Math.round((performance.now() - start) / 1000),
  }),
)
process.exitCode = values.mutation === undefined && (sum.lostIn > 0 || sum.leakedIn > 0) ? 1 : 0
