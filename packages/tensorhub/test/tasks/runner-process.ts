import { TensorHub } from '../../src/index.ts'

/**
 * A runner as a process of its own: `node runner-process.ts <folder> <stop: idle | never> [handlers]`. Prints one JSON line an
 * outcome, with the most memory it ever had. Ends by itself on SIGTERM, giving back what it runs. */
const [folder, stop, kind] = process.argv.slice(2) as [string, 'idle' | 'never', 'handlers' | undefined]
const hub = await TensorHub.connect(folder, {
  projectName: 'tutorial',
  ...(kind === 'handlers'
    ? { scripts: { handlers: { t: ({ hyperParameters }) => ({ n: hyperParameters['n'], pid: process.pid }) } } }
    : {}),
})
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort(new Error('SIGTERM')))
const { signal } = stopping
process.stdout.write('ready\n')
while (!signal.aborted) {
  const outcome = await hub.runTopTask('t', { signal })
  if (outcome !== false)
    process.stdout.write(
      `${JSON.stringify({ id: outcome.task._id, status: outcome.status, attempt: outcome.attempt, rss: process.resourceUsage().maxRSS * 1024 })}\n`,
    )
  else if (stop === 'idle' && !(await hub.checkUnfinishedTask('t'))) break
  else await new Promise((resolve) => setTimeout(resolve, 20))
}
await hub.close()
