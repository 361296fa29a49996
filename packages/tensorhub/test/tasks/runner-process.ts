import { isHubError } from '@tensorhub/core'
import { TensorHub } from '../../src/index.ts'
import { startingHandler } from './history.ts'

/**
 * A runner as a process of its own: `node runner-process.ts <stop: idle | never> <kind: scripts | any | handlers> [work folder]`; its hub is named by
 * TENSORHUB_URL. Prints one JSON line an outcome, with the most memory it ever had. Ends by itself on SIGTERM, giving back what it runs. */
const [stop, kind, workDir] = process.argv.slice(2) as ['idle' | 'never', 'scripts' | 'any' | 'handlers', string?]

const hub = await TensorHub.connect({
  projectName: 'tutorial',
  ...(workDir === undefined ? {} : { workDir }),
  ...(kind === 'handlers'
    ? { scripts: { handlers: { t: startingHandler } } }
    : kind === 'any'
      ? { scripts: 'any' }
      : {}),
})
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort(new Error('SIGTERM')))
const { signal } = stopping
process.stdout.write('ready\n')
while (!signal.aborted) {
  const outcome = await hub.runTopTask('t', { signal }).catch((error: unknown) => {
    // Told to end while it asked for a task.
    if (signal.aborted && isHubError(error, 'ABORTED')) return false as const
    throw error
  })
  if (outcome !== false)
    process.stdout.write(
      `${JSON.stringify({ id: outcome.task._id, status: outcome.status, attempt: outcome.attempt, rss: process.resourceUsage().maxRSS * 1024 })}\n`,
    )
  else if (stop === 'idle' && !(await hub.checkUnfinishedTask('t'))) break
  else await new Promise((resolve) => setTimeout(resolve, 20))
}
await hub.close()
