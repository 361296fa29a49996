import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { script, scriptFolder } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

describe('running a script', { timeout: 120_000 }, () => {
  it('its files lie under work/<task>/<epoch>/ with their relative names, for this user alone, and only while it runs', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'main.mjs': `
        import { readdirSync, statSync } from 'node:fs'
        import { where } from './lib/where.mjs'
        export default () => ({
          where, cwd: process.cwd(), files: readdirSync('.', { recursive: true }).sort(),
          modes: ['.', 'lib', 'main.mjs'].map((path) => statSync(path).mode & 0o777),
        })`,
      'lib/where.mjs': 'export const where = import.meta.dirname',
    })
    const task = await hub.createTask('t', file('main.mjs'))
    const folder = join(hub.folder, 'work', task._id, '1')
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'finished',
      result: {
        where: join(folder, 'lib'),
        cwd: folder,
        files: ['lib', 'lib/where.mjs', 'main.mjs', 'package.json'],
        modes: [0o700, 0o700, 0o600],
      },
    })
    expect(existsSync(join(hub.folder, 'work'))).toBe(false)
  })

  it('its packages are those of the runner: of its working folder, then of its program', async () => {
    const hub = await temporaryHub()
    const runner = await temporaryFolder()
    const program = await temporaryFolder()
    const pack = async (folder: string, name: string, value: string) => {
      const home = join(folder, 'node_modules', ...name.split('/'))
      await mkdir(home, { recursive: true })
      await writeFile(join(home, 'package.json'), JSON.stringify({ name, type: 'module', exports: './index.js' }))
      await writeFile(join(home, 'index.js'), `export const value = '${value}'`)
    }
    await pack(runner, 'in-both', 'working folder')
    await pack(program, 'in-both', 'program')
    await pack(program, '@scope/in-program', 'program')
    const index = pathToFileURL(fileURLToPath(new URL('../../src/index.ts', import.meta.url))).href
    await writeFile(
      join(program, 'runner.mjs'),
      `import { TensorHub } from '${index}'
       const hub = await TensorHub.connect(process.argv[2], { projectName: 'tutorial' })
       const outcome = await hub.runTopTask('t')
       console.log(JSON.stringify([outcome.status, outcome.result ?? outcome.error]))
       await hub.close()`,
    )
    // Not what lies beside the script where it was created.
    const file = await scriptFolder({
      'main.mjs':
        "import { value as both } from 'in-both'\nimport { value as one } from '@scope/in-program'\nimport { createRequire } from 'node:module'\nexport default () => ({ both, one, required: createRequire(import.meta.url)('in-both').value })",
      'node_modules/in-both/package.json': '{"type":"module","exports":"./index.js"}',
      'node_modules/in-both/index.js': "export const value = 'creator'",
    })
    await hub.createTask('t', file('main.mjs'))
    const child = spawn(process.execPath, [join(program, 'runner.mjs'), hub.folder], {
      cwd: runner,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.on('data', (piece) => {
      text += piece
    })
    await new Promise((resolve) => child.once('close', resolve))
    expect(JSON.parse(text)).toEqual([
      'finished',
      { both: 'working folder', one: 'program', required: 'working folder' },
    ])
  })

  it('works where the folder for scripts lies behind a link', async () => {
    const real = await temporaryFolder()
    const link = join(await temporaryFolder(), 'link')
    await symlink(real, link)
    const hub = await temporaryHub({ workDir: join(link, 'work') })
    await hub.createTask(
      't',
      await script("import { task } from 'tensorhub/task'\nexport default () => ({ name: task.name })"),
    )
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { name: 't' } })
  })

  it('the imported task and the given one are the same object, also for a file beside it', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'main.mjs':
        "import { task as imported } from 'tensorhub/task'\nimport { there } from './beside.mjs'\nexport default (task) => ({ same: task === imported, beside: there === task, x: imported.hyperParameters.x })",
      'beside.mjs': "import { task } from 'tensorhub/task'\nexport const there = task",
    })
    await hub.createTask('t', file('main.mjs'), { hyperParameters: { x: 3 } })
    expect(await hub.runTopTask('t')).toMatchObject({ result: { same: true, beside: true, x: 3 } })
    const { task } = await import('../../src/tasks/task-module.ts')
    expect(() => task.hub).toThrow(/only inside a script/)
  })

  it('a default export that is no function is refused with the way out; helpers among named exports are named', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default { accuracy: 1 }'), { maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'failed',
      error: { code: 'SCRIPT_ERROR', message: expect.stringMatching(/must be a function.*named exports/) },
    })
    const helper = await script('export const accuracy = 0.9\nexport function helper() {}')
    await hub.createTask('t', helper, { maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'failed',
      result: { accuracy: 0.9 },
      error: { code: 'RESULT_INVALID', message: expect.stringContaining("'helper'") },
    })
    await hub.createTask('t', helper, { savedResultKeys: ['accuracy'] })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { accuracy: 0.9 } })
    for (const [source, message] of [
      ['export default () => 5', /must return an object.*not a number/],
      ['export default () => [1]', /must return an object.*not an array/],
    ] as const) {
      await hub.createTask('t', await script(source), { maxAttempts: 1 })
      expect(await hub.runTopTask('t')).toMatchObject({ error: { message: expect.stringMatching(message) } })
    }
    await hub.createTask('t', await script('export default () => {}'))
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: {} })
  })

  it.each(['script', 'handler'])('exactly the results that are asked for are kept (%s)', async (kind) => {
    const hub = await temporaryHub()
    const returned = { a: 1, b: [2, { c: null }], d: new Date(7), extra: 'x' }
    const scripts = kind === 'script' ? 'any' : { handlers: { t: () => returned } }
    const path = await script("export default () => ({ a: 1, b: [2, { c: null }], d: new Date(7), extra: 'x' })")
    await hub.createTask('t', path)
    expect((await hub.runTopTask('t', { scripts })) || {}).toMatchObject({ result: returned })
    expect((await hub.tasks.top())?.result).toEqual(returned)
    await hub.createTask('t', path, { savedResultKeys: ['a', 'd'] })
    await hub.runTopTask('t', { scripts })
    expect((await hub.tasks.top())?.result).toEqual({ a: 1, d: new Date(7) })
    await hub.createTask('t', path, { savedResultKeys: ['a', 'gone', 'b', 'toString'], maxAttempts: 1 })
    expect(await hub.runTopTask('t', { scripts })).toMatchObject({
      status: 'failed',
      error: { code: 'RESULT_MISSING', message: expect.stringMatching(/no 'gone', 'toString'/) },
    })
    expect((await hub.tasks.top())?.result).toEqual({ a: 1, b: [2, { c: null }] })
  })

  it('everything written through task.hub carries the task and stays in its project, whatever is written', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'main.mjs': `
        import { fileURLToPath } from 'node:url'
        export default async ({ hub }) => {
          await hub.saveDataset([1, 2], 'd'); await hub.datasets.save('d2', new Float32Array(3))
          await hub.saveModel({ architecture: {}, weights: { w: new Float32Array(2) } }, 'm')
          await hub.saveTrainingLog({ a: 1 }); await hub.saveValidationLog({ a: 1 }); await hub.saveTestingLog({ a: 1 }); await hub.logs.save('own', { a: 1 })
          await hub.createTask('child', fileURLToPath(new URL('./child.mjs', import.meta.url)))
          const found = await hub.datasets.find({ project_name: 'other' }).toArray()
          return { project: hub.projectName, found: found.length }
        }
        if (Math.random() > 2) await import('./child.mjs')`,
      'child.mjs': 'export default () => ({})',
    })
    await (await TensorHub.connect(hub.folder, { projectName: 'other' })).saveDataset([1], 'd')
    const task = await hub.createTask('t', file('main.mjs'))
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { project: 'tutorial', found: 0 } })
    const records = [
      ...(await hub.datasets.find().toArray()),
      ...(await hub.models.find().toArray()),
      ...(await hub.logs.find().toArray()),
      ...(await hub.tasks.find({ task_name: 'child' }).toArray()),
    ]
    expect(records).toHaveLength(8)
    for (const record of records)
      expect(record).toMatchObject({ task: { id: task._id, epoch: 1 }, project_name: 'tutorial' })
    // What is written outside the task does not.
    expect(await hub.saveTrainingLog({ a: 1 })).not.toHaveProperty('task')
  })

  it('reaches a hub of URLs too, and the way to it is nowhere to be seen from outside', async () => {
    const place = await temporaryFolder()
    const secret = 'sEcReT-in-the-url'
    await mkdir(join(place, secret))
    const hub = await TensorHub.connect({
      index: pathToFileURL(join(place, secret, 'hub.db')).href.replace('file:', 'sqlite:'),
      blobs: pathToFileURL(join(place, secret, 'blobs')).href,
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: 'any',
    })
    try {
      await hub.saveDataset(new Float32Array(100_000).fill(2), 'd')
      const go = join(await temporaryFolder(), 'go')
      const path = await script(`
        import { existsSync, writeFileSync } from 'node:fs'
        export default async ({ hub, hyperParameters: { go } }) => {
          const d = await hub.findTopDataset('d')
          await hub.saveModel({ w: d.slice(0, 50_000) }, 'm')
          writeFileSync(go + '.pid', String(process.pid))
          while (!existsSync(go)) await new Promise((r) => setTimeout(r, 20))
          return { n: d.length, at: d[99_999] }
        }`)
      await hub.createTask('t', path, { hyperParameters: { go } })
      const run = hub.runTopTask('t')
      const pid = await waitUntil(async () => readFile(`${go}.pid`, 'utf8').catch(() => ''), 'the script')
      if (process.platform === 'linux') {
        for (const file of ['cmdline', 'environ'])
          expect(await readFile(`/proc/${pid}/${file}`, 'utf8')).not.toContain(secret)
        expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain('bootstrap')
      }
      await writeFile(go, '')
      expect(await run).toMatchObject({ status: 'finished', result: { n: 100_000, at: 2 } })
      expect(await hub.findTopModel('m')).toEqual({ w: new Float32Array(50_000).fill(2) })
    } finally {
      await hub.close()
    }
  })

  it('creating a task from TypeScript leaves nothing on the terminal', async () => {
    const folder = await temporaryFolder()
    const path = await script('const a: number = 1\nexport default () => ({ a })', 'script.ts')
    const index = new URL('../../src/index.ts', import.meta.url).href
    const program = `
      import { TensorHub } from '${index}'
      const hub = await TensorHub.connect(${JSON.stringify(folder)}, { projectName: 'p' })
      await hub.createTask('t', ${JSON.stringify(path)})
      console.log((await hub.runTopTask('t')).status)
      process.emitWarning('another one', 'ExperimentalWarning')
      await hub.close()`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] })
    const text = { out: '', err: '' }
    child.stdout.on('data', (piece) => {
      text.out += piece
    })
    child.stderr.on('data', (piece) => {
      text.err += piece
    })
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0)
    expect(text.out).toBe('finished\n')
    // Only this warning is kept back.
    expect(text.err).toMatch(/another one/)
    expect(text.err).not.toMatch(/stripTypeScriptTypes/)
  })
})
