import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TensorHub } from 'tensorhub'
import { paired, type Row, speedResult, timed } from '../paired.ts'

export const runTopTaskRow: Row = {
  name: 'run-top-task',
  path: '`runTopTask` with a trivial script',
  baseline: 'bare `spawn(node)` of the same script',
  bar: '≥ 0.5×',
  async run({ folder, quick }) {
    const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'bench' })
    const script = join(folder, 'script.mjs')
    await writeFile(script, 'export default () => ({ one: 1 })\n')
    const rounds = quick ? 3 : 15
    for (let i = 0; i < rounds + 1; i++) await hub.createTask('trivial', script)
    const measured = await paired(
      rounds,
      () =>
        timed(async () => {
          const outcome = await hub.runTopTask('trivial')
          if (outcome === false || outcome.status !== 'finished')
            throw new Error(`the task ended ${outcome === false ? 'unseen' : outcome.status}`)
        }),
      () =>
        timed(async () => {
          const child = spawn(process.execPath, [script], { stdio: 'ignore' })
          await once(child, 'close')
        }),
    )
    await hub.close()
    return speedResult(measured, 0.5, `${measured.ours.toFixed(0)} ms against ${measured.baseline.toFixed(0)}`)
  },
}
