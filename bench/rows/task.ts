import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { paired, type Row, speedResult, timed } from '../paired.ts'

const ROOT = dirname(dirname(import.meta.dirname))

/** The package as users install it: its child process is then JavaScript, where the sources would first load what strips their types. */
async function builtPackage(): Promise<typeof import('tensorhub')> {
  const turbo = join(ROOT, 'node_modules', 'turbo', 'bin', 'turbo')
  const build = spawn(process.execPath, [turbo, 'run', 'build', '--filter=tensorhub'], { cwd: ROOT, stdio: 'pipe' })
  let said = ''
  for (const stream of [build.stdout, build.stderr]) stream.on('data', (piece: Buffer) => (said += piece.toString()))
  const [code] = (await once(build, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the build of tensorhub ended with ${code}:\n${said}`)
  return import(pathToFileURL(join(ROOT, 'packages', 'tensorhub', 'dist', 'index.js')).href)
}

export const runTopTaskRow: Row = {
  name: 'run-top-task',
  path: '`runTopTask` with a trivial script',
  baseline: 'bare `spawn(node)` of the same script',
  bar: '≥ 0.5×',
  async run({ folder, quick }) {
    const { TensorHub } = await builtPackage()
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
