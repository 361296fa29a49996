import { describe, expect, it } from 'vitest'
import { temporaryHub } from '../temporary-hub.ts'
import { script, scriptFolder } from './script-folder.ts'

/** Defects of the Python original in its tasks (B5-B15); none may return. */
describe('defects of the original', { timeout: 60_000 }, () => {
  it('B5, B6, B7: tasks have a name, and run and check by it', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    expect(await hub.createTask('A', path)).toMatchObject({ task_name: 'A' })
    expect(await hub.runTopTask('OTHER')).toBe(false)
    expect(await hub.checkUnfinishedTask('OTHER')).toBe(false)
    expect(await hub.checkUnfinishedTask('A')).toBe(true)
    expect(await hub.runTask('A')).toMatchObject({ status: 'finished' })
    expect(await hub.checkUnfinishedTask('A')).toBe(false)
  })

  it('B8: a script keeps its name and comes with its files', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'task_script.mjs':
        "import { y } from './lib/y.mjs'\nexport default () => ({ y, name: import.meta.url.split('/').at(-1) })",
      'lib/y.mjs': 'export const y = 3',
    })
    expect((await hub.createTask('t', file('task_script.mjs'))).script).toMatchObject({
      entry: 'task_script.mjs',
      files: [{ path: 'task_script.mjs' }, { path: 'lib/y.mjs' }],
    })
    expect(await hub.runTopTask('t')).toMatchObject({ result: { y: 3, name: 'task_script.mjs' } })
  })

  it('B9: a crash in a script neither ends the runner nor leaves the task running', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script("throw new Error('crash')"), { maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'failed' })
    expect(await hub.checkUnfinishedTask('t')).toBe(false)
  })

  it('B10: a task says who ran it, when, how often, what it printed and why it failed', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script(
        "export default (task) => { task.log('epoch', 1); task.progress({ epoch: 1 }); throw new TypeError('why') }",
      ),
      { maxAttempts: 1 },
    )
    await hub.runTopTask('t')
    const task = await hub.tasks.top()
    expect(task).toMatchObject({
      attempts: 1,
      runner: { pid: process.pid },
      output: expect.stringContaining('epoch 1\n'),
      error: { message: 'TypeError: why', stack: expect.any(String) },
    })
    for (const field of ['started_at', 'finished_at', 'heartbeat_at']) expect(task?.[field]).toBeInstanceOf(Date)
  })

  it('B11: no one ever sees a finished task without its results', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({ a: 1 })')
    await Promise.all(Array.from({ length: 5 }, () => hub.createTask('t', path)))
    let running = true
    let looks = 0
    const dispatcher = (async () => {
      while (running) {
        for (const task of await hub.tasks.find({ status: 'finished' }).toArray()) {
          looks++
          expect(task.result).toEqual({ a: 1 })
        }
        await new Promise((resolve) => setImmediate(resolve)) // reads of a small file never leave the microtask queue
      }
    })()
    while (await hub.runTopTask('t'));
    running = false
    await dispatcher
    expect(looks).toBeGreaterThan(0)
  })

  it('B12: a result that cannot be stored is named, and the rest is kept', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script('export default () => ({ good: NaN, weights: new Float32Array(3), f: () => 1 })'),
      { maxAttempts: 1 },
    )
    const outcome = await hub.runTopTask('t')
    expect(outcome).toMatchObject({
      status: 'failed',
      error: { code: 'RESULT_INVALID', message: expect.stringMatching(/'weights'.*'f'/s) },
    })
    expect((await hub.tasks.top())?.result).toEqual({ good: Number.NaN })
  })

  it('B13: nothing leaks from one task into the next', async () => {
    const hub = await temporaryHub()
    const path = await script(
      'export default (task) => { const leaked = globalThis.leak ?? null; globalThis.leak = 1; return { leaked, global: typeof x, y: task.hyperParameters.y ?? null } }',
    )
    await hub.createTask('t', path, { hyperParameters: { x: 1, y: 2 } })
    await hub.createTask('t', path)
    expect(await hub.runTopTask('t')).toMatchObject({ result: { leaked: null, global: 'undefined', y: 2 } })
    expect(await hub.runTopTask('t')).toMatchObject({ result: { leaked: null, global: 'undefined', y: null } })
    expect('leak' in globalThis).toBe(false)
  })

  it('B14: a parameter called time breaks nothing', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script('export default ({ hyperParameters }) => ({ time: hyperParameters.time })'),
      { hyperParameters: { time: 5, pymongo: 1 } },
    )
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { time: 5 } })
    expect((await hub.saveDataset([1], 'after')).time).toBeInstanceOf(Date)
  })

  it('B15: a script that asks whether it is the main program is told yes', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script(
        "import { fileURLToPath } from 'node:url'\nlet main = false\nif (process.argv[1] === fileURLToPath(import.meta.url)) main = true\nexport { main }",
      ),
    )
    expect(await hub.runTopTask('t')).toMatchObject({ result: { main: true } })
  })
})
