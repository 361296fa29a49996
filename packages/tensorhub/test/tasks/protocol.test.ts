import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { memoryBlobs } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import type { Task } from '../../src/tasks/task.ts'
import { type Fault, faultyIndex } from '../faults/faulty-index.ts'
import { sameHub, temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { script } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

const forever =
  "import { writeFileSync } from 'node:fs'\nexport default (task) => { writeFileSync(task.hyperParameters.mark, 'begun'); console.log('begun'); return new Promise((_, fail) => task.signal.addEventListener('abort', () => fail(task.signal.reason))) }"

describe('lost replies', { timeout: 60_000 }, () => {
  it.each(['claim', 'commit', 'fail'] as const)('of a %s are made certain by reading back', async (step) => {
    let faults = 0
    const hub = await TensorHub.connect({
      index: faultyIndex((change): Fault => {
        const status = change.set?.['status']
        const is =
          status === 'running' ? 'claim' : status === 'finished' ? 'commit' : status === 'failed' ? 'fail' : undefined
        return is === step && faults++ === 0 ? 'reply lost' : 'none'
      }),
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: { handlers: { t: () => (step === 'fail' ? Promise.reject(new Error('no')) : { a: 1 }) } },
    })
    await hub.createTask('t', await script('export default () => ({})'), { maxAttempts: 1 })
    const outcome = await hub.runTopTask('t')
    expect(faults).toBeGreaterThan(0)
    expect(outcome).toMatchObject({ status: step === 'fail' ? 'failed' : 'finished', attempt: 1 })
    expect(await hub.tasks.top()).toMatchObject({ attempts: 1, status: step === 'fail' ? 'failed' : 'finished' })
    await hub.close()
  })

  it('and storms: every task is finished once, no attempt is counted twice', async () => {
    let calls = 0
    const runs = new Map<string, number>()
    const hub = await TensorHub.connect({
      index: faultyIndex(() => {
        calls++
        return calls % 5 === 0 ? 'reply lost' : calls % 7 === 0 ? 'not applied' : 'none'
      }),
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: { handlers: { t: ({ id }) => void runs.set(id, (runs.get(id) ?? 0) + 1) } },
    })
    const path = await script('export default () => ({})')
    for (let n = 0; n < 30; n++) await hub.createTask('t', path)
    const runner = async () => {
      for (;;) {
        if ((await hub.runTopTask('t')) === false && !(await hub.checkUnfinishedTask('t'))) return
        await new Promise((resolve) => setImmediate(resolve)) // memory answers in microtasks, which would starve the timers of the others
      }
    }
    await Promise.all([runner(), runner(), runner()])
    expect(await hub.tasks.count({ status: 'finished', attempts: 1 })).toBe(30)
    expect([...runs.values()].every((n) => n === 1)).toBe(true)
    await hub.close()
  })
})

describe('cancelling', { timeout: 60_000 }, () => {
  it('a waiting task is at once, a running one through its heartbeat', async () => {
    const hub = await temporaryHub()
    const mark = join(hub.folder, 'work', 'mark')
    const path = await script(forever)
    await hub.createTask('t', path, { lease: 4000, hyperParameters: { mark }, which: 'running' })
    const run = hub.runTopTask('t')
    await waitUntil(() => existsSync(mark), 'the script')
    await hub.createTask('t', path, { which: 'waiting' })
    expect(await hub.tasks.cancel({ task_name: 't' })).toEqual({ documents: 2 })
    expect(await run).toMatchObject({ status: 'cancelled', attempt: 1, error: { code: 'CANCELLED' } })
    expect(await hub.tasks.wait()).toMatchObject({ ok: false, cancelled: 2 })
    expect(await hub.tasks.requeue({ which: 'waiting' })).toEqual({ documents: 1 })
    expect(await hub.tasks.top({ which: 'waiting' })).toMatchObject({
      status: 'pending',
      attempts: 0,
      cancel_requested: false,
    })
  })

  it('just before a failure is not forgotten by the retry', async () => {
    const hub = await temporaryHub({
      scripts: {
        handlers: {
          t: async ({ id }) => {
            await hub.tasks.cancel({ _id: id })
            throw new Error('and then it failed')
          },
        },
      },
    })
    await hub.createTask('t', await script('export default () => ({})'))
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'cancelled' })
    expect(await hub.checkUnfinishedTask('t')).toBe(false)
  })

  it('deleting tasks ends the running ones, whose commit finds nothing', async () => {
    const hub = await temporaryHub()
    const mark = join(hub.folder, 'work', 'mark')
    await hub.createTask('t', await script(forever), { lease: 4000, hyperParameters: { mark } })
    const run = hub.runTopTask('t')
    await waitUntil(() => existsSync(mark), 'the script')
    expect(await hub.deleteTasks()).toMatchObject({ documents: 1 })
    expect(await run).toMatchObject({ status: 'lost' })
    expect(await hub.tasks.count()).toBe(0)
  })

  it('deleting by status deletes what has it, and changes nothing else', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    for (const n of [1, 2]) await hub.createTask('t', path, { n })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished' })
    expect(await hub.tasks.delete({ status: 'pending' })).toEqual({ documents: 1 })
    expect(await hub.tasks.find().toArray()).toMatchObject([{ n: 1, status: 'finished' }])
  })

  it('a runner that is asked to stop gives the attempt back', async () => {
    const hub = await temporaryHub()
    const mark = join(hub.folder, 'work', 'mark')
    await hub.createTask('t', await script(forever), { hyperParameters: { mark } })
    const stop = new AbortController()
    const run = hub.runTopTask('t', { signal: stop.signal })
    await waitUntil(() => existsSync(mark), 'the script')
    stop.abort()
    expect(await run).toMatchObject({ status: 'retrying' })
    expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 0 })
  })
})

describe('which scripts may run', { timeout: 60_000 }, () => {
  it('a shared hub refuses scripts and says how to allow them, and claims nothing', async () => {
    const hub = await TensorHub.connect('memory:', { projectName: 'p', workDir: await temporaryFolder() })
    await hub.createTask('t', await script('export default () => ({ a: 1 })'))
    await expect(hub.runTopTask('t')).rejects.toMatchObject({
      code: 'DENIED',
      message: expect.stringContaining("'any'"),
    })
    expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 0, epoch: 0 })
    expect(await hub.runTopTask('t', { scripts: 'any' })).toMatchObject({ status: 'finished', result: { a: 1 } })
    await hub.close()
  })

  it('by hash, by handler; another task is not touched', async () => {
    const hub = await temporaryHub()
    const task = await hub.createTask('t', await script('export default () => ({ ran: 1 })'))
    for (const scripts of [{ hashes: [] }, { hashes: ['0'.repeat(64)] }, { handlers: { other: () => ({}) } }])
      expect(await hub.runTopTask('t', { scripts })).toBe(false)
    await expect(hub.runTopTask('t', { scripts: 'all' as 'any' })).rejects.toMatchObject({
      code: 'INVALID',
      path: 'scripts',
    })
    expect(await hub.tasks.top()).toMatchObject({ attempts: 0, epoch: 0 })
    expect(await hub.runTopTask('t', { scripts: { hashes: [task.script.sha256] } })).toMatchObject({
      status: 'finished',
      result: { ran: 1 },
    })
    await hub.createTask('t', await script('process.exit(1)'), { hyperParameters: { x: 2 } })
    expect(
      await hub.runTopTask('t', {
        scripts: { handlers: { t: ({ hyperParameters }: Task) => ({ y: hyperParameters['x'] }) } },
      }),
    ).toMatchObject({ status: 'finished', result: { y: 2 } })
  })

  it('an altered script is never run, and no attempt is counted', async () => {
    const hub = await temporaryHub()
    const good = await hub.createTask('t', await script('export default () => ({})'))
    const bad = await hub.createTask('t', await script('export default () => ({ evil: 1 })'))
    const index = (hub as unknown as { tasks: { context: { index: { update(...a: unknown[]): Promise<number> } } } })
      .tasks.context.index
    await index.update('tasks', { op: 'eq', path: ['_id'], value: good._id }, { set: { content: bad.content } })
    expect(await hub.runTopTask('t', { sort: { time: 1 } })).toMatchObject({
      status: 'failed',
      error: { code: 'SCRIPT_HASH' },
    })
    expect(await hub.tasks.top({ _id: good._id })).toMatchObject({ status: 'failed', attempts: 0, result: {} })
  })

  it('parameters are data: names of the language and of databases mean nothing', async () => {
    const hub = await temporaryHub()
    const path = await script(
      'export default ({ hyperParameters }) => ({ keys: Object.keys(hyperParameters), polluted: {}.x === 1 })',
    )
    await hub.createTask('t', path, { hyperParameters: { time: 1, pymongo: 2, hub: 3, require: 4 } })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'finished',
      result: { keys: ['time', 'pymongo', 'hub', 'require'], polluted: false },
    })
    for (const hyperParameters of [
      { $where: '1' },
      { a: { $gt: 1 } },
      { constructor: 1 },
      JSON.parse('{"__proto__":{"x":1}}') as Record<string, unknown>,
      { f: () => 1 },
    ]) {
      await expect(hub.createTask('t', path, { hyperParameters })).rejects.toMatchObject({
        code: 'INVALID',
        path: expect.stringContaining('hyper_parameters'),
      })
    }
  })
  it('whose options are misspelt are refused: as tags they would be silently without effect', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    for (const [misspelt, option] of [
      ['hyperparameters', 'hyperParameters'],
      ['hyper_parameters', 'hyperParameters'],
      ['SavedResultKeys', 'savedResultKeys'],
      ['maxattempts', 'maxAttempts'],
      ['idempotency_key', 'idempotencyKey'],
    ] as const)
      await expect(hub.createTask('t', path, { [misspelt]: 1 })).rejects.toMatchObject({
        code: 'INVALID',
        path: misspelt,
        reason: 'RESERVED_TAG',
        message: expect.stringContaining(`'${option}'`),
      })
    expect(await hub.tasks.count()).toBe(0)
  })
})

describe('waiting', { timeout: 60_000 }, () => {
  it('ends when the tasks have, wakes on changes, reports, and says at its timeout that no runner has them', async () => {
    const hub = await temporaryHub({ scripts: { handlers: { t: () => ({ a: 1 }) } } })
    const path = await script('export default () => ({})')
    expect(await hub.tasks.wait()).toMatchObject({ ok: true, finished: 0, tasks: [] })
    await hub.createTask('t', path)
    await expect(hub.tasks.wait({}, { timeout: 100 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'WAIT_TIMEOUT',
      message: expect.stringContaining('no runner'),
    })
    const stop = new AbortController()
    const aborted = hub.tasks.wait({}, { signal: stop.signal })
    stop.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
    const seen: number[] = []
    const wait = hub.tasks.wait({ task_name: 't' }, { onProgress: (state) => seen.push(state.finished) })
    await hub.runTopTask('t')
    expect(await wait).toMatchObject({ ok: true, finished: 1, tasks: [{ result: { a: 1 } }] })
    expect(seen.at(-1)).toBe(1)
  })

  it('is confined to its project', async () => {
    const hub = await temporaryHub()
    const other = await sameHub(hub.folder, { projectName: 'other' })
    await hub.createTask('t', await script('export default () => ({})'))
    expect(await other.checkUnfinishedTask()).toBe(false)
    expect(await other.runTopTask()).toBe(false)
    expect(await other.tasks.cancel({ task_name: 't' })).toEqual({ documents: 0 })
    expect(await other.deleteTasks()).toMatchObject({ documents: 0 })
  })

  it('tasks run by priority, then oldest first, and a given sort replaces that', async () => {
    const order: unknown[] = []
    const hub = await temporaryHub({
      scripts: { handlers: { t: ({ hyperParameters }) => void order.push(hyperParameters['n']) } },
    })
    const path = await script('export default () => ({})')
    for (const [n, priority] of [
      [1, 0],
      [2, 0],
      [3, 5],
    ] as const)
      await hub.createTask('t', path, { priority, hyperParameters: { n } })
    await hub.createTask('t', path, { notBefore: new Date(Date.now() + 3_600_000), priority: 9 })
    while (await hub.runTopTask('t'));
    for (const n of [4, 5]) await hub.createTask('t', path, { hyperParameters: { n } })
    while (await hub.runTopTask('t', { sort: [['_id', -1]] })); // newest first; `time` may be the same millisecond
    expect(order).toEqual([3, 1, 2, 5, 4])
  })
})
