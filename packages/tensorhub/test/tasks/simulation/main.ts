import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { schedule } from './schedule.ts'

/** `node packages/tensorhub/test/tasks/simulation/main.ts --schedules 100000 [--seed 1]`; a failure prints its shrunk decisions and the seed. */
const { values } = parseArgs({
  options: { schedules: { type: 'string', default: '100000' }, seed: { type: 'string' } },
})
const decisions = fc.array(fc.nat(10_000), { minLength: 30, maxLength: 400, size: 'max' })
const seen = { schedules: 0, commits: 0, zombies: 0 }
await fc.assert(
  fc.asyncProperty(decisions, async (list) => {
    const { commits, zombies } = await schedule(list)
    seen.schedules++
    seen.commits += commits
    seen.zombies += zombies
    if (seen.schedules % 10_000 === 0) process.stdout.write(`${JSON.stringify(seen)}\n`)
  }),
  { numRuns: Number(values.schedules), ...(values.seed === undefined ? {} : { seed: Number(values.seed) }) },
)
process.stdout.write(`no violation: ${JSON.stringify(seen)}\n`)
