import { TensorHub } from '../../src/index.ts'

/** A runner as a process of its own: `node runner-process.ts <folder> <stop: idle | never> [lease of a handler's tasks]`. Prints one JSON line an outcome. */
const [folder, stop, kind] = process.argv.slice(2) as [string, 'idle' | 'never', 'handlers' | undefined]
const hub = await TensorHub.connect(folder, {
  projectName: 'tutorial',
  ...(kind === 'handlers'
    ? { scripts: { handlers: { t: ({ hyperParameters }) => ({ n: hyperParameters['n'], pid: process.pid }) } } }
    : {}),
})
process.stdout.write('ready\n')
for (;;) {
  const outcome = await hub.runTopTask('t')
  if (outcome !== false)
    process.stdout.write(
      `${JSON.stringify({ id: outcome.task._id, status: outcome.status, attempt: outcome.attempt })}\n`,
    )
  else if (stop === 'idle' && !(await hub.checkUnfinishedTask('t'))) break
  else await new Promise((resolve) => setTimeout(resolve, 20))
}
await hub.close()
