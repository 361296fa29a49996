import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { type Partition, partitionedIndex } from '../faults/faulty-index.ts'
import { temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { script } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

describe('hub.tasks.wait()', { timeout: 120_000 }, () => {
  it('gives the outcome of every task: finished, failed and cancelled', async () => {
    const hub = await temporaryHub({
      scripts: {
        handlers: {
          t: ({ hyperParameters: { n } }) => {
            if (n === 2) throw new Error('no')
            return { n }
          },
        },
      },
    })
    const path = await script('export default () => ({})')
    for (const n of [1, 2, 3]) await hub.createTask('t', path, { hyperParameters: { n }, maxAttempts: 1, n })
    await hub.tasks.cancel({ n: 3 })
    const wait = hub.tasks.wait({ task_name: 't' })
    while (await hub.runTopTask('t'));
    expect(await wait).toMatchObject({
      ok: false,
      finished: 1,
      failed: 1,
      cancelled: 1,
      pending: 0,
      tasks: [
        { status: 'finished', result: { n: 1 } },
        { status: 'failed', error: { message: 'Error: no' } },
        { status: 'cancelled' },
      ],
    })
    expect(await hub.tasks.wait({ n: 1 })).toMatchObject({ ok: true, tasks: [{ n: 1 }] })
  })

  it('says that no runner lives, and gives up on that when told to; not while one works or nothing is due', async () => {
    const hub = await temporaryHub({ scripts: { handlers: { t: () => ({}) } } })
    const path = await script('export default () => ({})')
    await hub.createTask('t', path)
    await expect(hub.tasks.wait({}, { runnerTimeout: 200 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'NO_RUNNER',
      message: expect.stringMatching(/1 pending.*no runner has any of them: start one with runTopTask/),
    })
    // Reported also to those who go on waiting.
    const seen: boolean[] = []
    const wait = hub.tasks.wait({}, { onProgress: (state) => seen.push(state.noRunner) })
    await waitUntil(() => seen.includes(true), 'the report')
    await hub.runTopTask('t')
    expect(await wait).toMatchObject({ ok: true })
    expect(seen[0]).toBe(false)
    expect(seen.at(-1)).toBe(false)
    // Delayed: nobody could run it.
    await hub.createTask('t', path, { notBefore: new Date(Date.now() + 3_600_000) })
    await expect(hub.tasks.wait({}, { runnerTimeout: 100, timeout: 1000 })).rejects.toMatchObject({
      reason: 'WAIT_TIMEOUT',
      message: expect.not.stringContaining('runTopTask'),
    })
  })

  it('does not poll hotly: a second of quiet costs few questions, a change in the same process none', async () => {
    let calls = 0
    const index = memoryIndex()
    const hub = await TensorHub.connect({
      index: partitionedIndex(index, () => {
        calls++
        return 'none'
      }),
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: { handlers: { t: () => ({}) } },
    })
    await hub.createTask('t', await script('export default () => ({})'))
    const wait = hub.tasks.wait()
    await new Promise((resolve) => setTimeout(resolve, 5000))
    const before = calls
    await new Promise((resolve) => setTimeout(resolve, 5000))
    // At one round a second, of about nine questions each; the machine may be slower, never faster.
    expect(calls - before).toBeLessThanOrEqual(8 * 9)
    await hub.runTopTask('t')
    expect(await wait).toMatchObject({ ok: true, finished: 1 })
    await hub.close()
  })

  it('waits out an index that does not answer, and ends with its error when told so by a timeout', async () => {
    const index = memoryIndex()
    let state: Partition = 'none'
    const options = { blobs: memoryBlobs(), projectName: 'p', workDir: await temporaryFolder() }
    const dispatcher = await TensorHub.connect({ index: partitionedIndex(index, () => state), ...options })
    const runner = await TensorHub.connect({ index, ...options, scripts: { handlers: { t: () => ({ a: 1 }) } } })
    await dispatcher.createTask('t', await script('export default () => ({})'))
    const wait = dispatcher.tasks.wait()
    state = 'refused'
    expect(await runner.runTopTask('t')).toMatchObject({ status: 'finished' })
    await new Promise((resolve) => setTimeout(resolve, 500))
    await expect(dispatcher.tasks.wait({}, { timeout: 300 })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    state = 'none'
    expect(await wait).toMatchObject({ ok: true, tasks: [{ result: { a: 1 } }] })
    await dispatcher.close()
    await runner.close()
  })

  it('ends with its hub, with its signal, and refuses options it does not know', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({})'))
    const stop = new AbortController()
    const aborted = hub.tasks.wait({}, { signal: stop.signal })
    setTimeout(() => stop.abort(new Error('enough')), 200)
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(hub.tasks.wait({}, { timeout: 'soon' })).rejects.toMatchObject({ code: 'INVALID', path: 'timeout' })
    await expect(hub.tasks.wait({}, { runnerTimeout: -1 })).rejects.toMatchObject({ code: 'INVALID' })
    await expect(hub.tasks.wait({}, { timeOut: 5 } as object)).rejects.toMatchObject({
      code: 'INVALID',
      path: 'timeOut',
    })
    await expect(hub.tasks.wait('t limit:5')).rejects.toMatchObject({ code: 'INVALID', path: 'limit' })
    const closing = expect(hub.tasks.wait()).rejects.toMatchObject({ code: 'CLOSED' })
    await new Promise((resolve) => setTimeout(resolve, 100))
    await hub.close()
    await closing
  })

  it('is not deceived by a retry that slips between its counts', async () => {
    const hub = await temporaryHub({
      scripts: {
        handlers: {
          t: ({ attempt }) => {
            if (attempt < 3) throw new Error('again')
            return { attempt }
          },
        },
      },
    })
    await hub.createTask('t', await script('export default () => ({})'))
    const wait = hub.tasks.wait()
    const runner = (async () => {
      while (await hub.checkUnfinishedTask('t')) {
        await hub.runTopTask('t')
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    })()
    expect(await wait).toMatchObject({ ok: true, tasks: [{ attempts: 3, result: { attempt: 3 } }] })
    await runner
  })
})
