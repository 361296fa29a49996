import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const own = fileURLToPath(new URL('..', import.meta.url))
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorhub-in-task-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it("a task's script gets the native build that the runner's project has, wherever the hub is", async () => {
  const project = join(folder, 'project')
  await mkdir(join(project, 'node_modules', '@tensorhub'), { recursive: true })
  await symlink(own, join(project, 'node_modules', '@tensorhub', 'tfjs'))
  await symlink(join(own, 'node_modules', 'tensorhub'), join(project, 'node_modules', 'tensorhub'))
  // Which package is found is the question, so any will do that says it is a native build.
  const native = join(project, 'node_modules', '@tensorflow', 'tfjs-node')
  await mkdir(native, { recursive: true })
  await writeFile(
    join(native, 'index.js'),
    "exports.ready = async () => {}; exports.getBackend = () => 'tensorflow'; exports.backend = () => ({})",
  )
  await writeFile(
    join(folder, 'script.ts'),
    "import { loadTf } from '@tensorhub/tfjs'\nexport default async () => ({ from: (await loadTf()).from })\n",
  )
  await writeFile(
    join(project, 'runner.mjs'),
    `import { TensorHub } from 'tensorhub'
     await using hub = await TensorHub.connect(${JSON.stringify(join(folder, 'hub'))}, { projectName: 'in-task' })
     await hub.createTask('which', ${JSON.stringify(join(folder, 'script.ts'))}, { maxAttempts: 1 })
     const { result, error } = await hub.runTopTask('which')
     console.log(JSON.stringify({ result, error }))`,
  )
  const { stdout } = await run(process.execPath, [join(project, 'runner.mjs')], {
    cwd: project,
    env: { PATH: process.env.PATH, HOME: folder, TENSORHUB_CACHE: join(folder, 'cache') },
  })
  expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual({ result: { from: '@tensorflow/tfjs-node' } })
})
