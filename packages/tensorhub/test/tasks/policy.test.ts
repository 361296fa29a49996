import { chmod, chown } from 'node:fs/promises'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import type { ScriptPolicy } from '../../src/tasks/script-policy.ts'
import type { Task } from '../../src/tasks/task.ts'
import { sameHub, temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { script, scriptFolder } from './script-folder.ts'

const REFUSED = { code: 'DENIED', reason: 'SCRIPTS_REFUSED', message: expect.stringMatching(/'any'.*hashes.*handlers/) }
const UNTOUCHED = { status: 'pending', attempts: 0, epoch: 0, claim: null }

describe('which scripts run without a word', { timeout: 60_000 }, () => {
  it('those of a folder that only this user can write', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({})'))
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished' })
  })

  it.each([0o777, 0o775, 0o757])('not those of a folder that others can write (%o)', async (mode) => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({})'))
    await chmod(hub.folder, mode)
    const open = await sameHub(hub.folder)
    await expect(open.runTopTask('t')).rejects.toMatchObject(REFUSED)
    expect(await open.tasks.top()).toMatchObject(UNTOUCHED)
    expect(await open.runTopTask('t', { scripts: 'any' })).toMatchObject({ status: 'finished', attempt: 1 })
  })

  it('nor those of a folder where others can read and its database can be written by them', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({})'))
    await chmod(hub.folder, 0o755)
    const readable = await sameHub(hub.folder)
    await chmod(`${hub.folder}/index.db`, 0o666)
    const writable = await sameHub(hub.folder)
    await expect(writable.runTopTask('t')).rejects.toMatchObject(REFUSED)
    expect(await readable.runTopTask('t')).toMatchObject({ status: 'finished' })
  })

  it.runIf(process.getuid?.() === 0)(
    'nor those of a folder of another user (needs a superuser to make one)',
    async () => {
      const hub = await temporaryHub()
      await hub.createTask('t', await script('export default () => ({})'))
      await chown(hub.folder, 12_345, 12_345)
      const theirs = await sameHub(hub.folder)
      await expect(theirs.runTopTask('t')).rejects.toMatchObject(REFUSED)
      expect(await theirs.tasks.top()).toMatchObject(UNTOUCHED)
    },
  )

  it('nor those of a hub that is no folder', async () => {
    const workDir = await temporaryFolder()
    for (const hub of [
      await TensorHub.connect('memory:', { projectName: 'p', workDir }),
      await TensorHub.connect({ index: memoryIndex(), blobs: memoryBlobs(), projectName: 'p', workDir }),
    ]) {
      await hub.createTask('t', await script('export default () => ({})'))
      await expect(hub.runTopTask('t')).rejects.toMatchObject(REFUSED)
      expect(await hub.tasks.top()).toMatchObject(UNTOUCHED)
      await hub.close()
    }
  })
})

describe('a policy', { timeout: 60_000 }, () => {
  it('of connect holds for its calls, and one of the call goes before it', async () => {
    const path = await script('export default () => ({ by: "script" })')
    const hub = await temporaryHub({ scripts: { handlers: { t: () => ({ by: 'handler' }) } } })
    const task = await hub.createTask('t', path)
    expect(await hub.runTopTask('t')).toMatchObject({ result: { by: 'handler' } })
    await hub.createTask('t', path)
    expect(await hub.runTopTask('t', { scripts: 'any' })).toMatchObject({ result: { by: 'script' } })
    const strict = await sameHub(hub.folder, { scripts: { hashes: [task.script.sha256] } })
    await hub.createTask('t', await script('export default () => ({ by: "other" })'), { priority: 9 })
    await hub.createTask('t', path)
    expect(await strict.runTopTask('t')).toMatchObject({ result: { by: 'script' } })
    expect(await strict.runTopTask('t')).toBe(false)
    expect(await hub.tasks.top({ priority: 9 })).toMatchObject(UNTOUCHED)
  })

  it('of another form is refused where it is given', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({})'))
    const wrong = [
      'all',
      true,
      null,
      {},
      [],
      { hashes: 'abc' },
      { hashes: ['sha256:00'] },
      { hashes: ['A'.repeat(64)] },
      { handlers: null },
      { handlers: [() => 1] },
      { handlers: { t: 'f' } },
      { hashes: [], handlers: {} },
      { signers: [] },
    ]
    for (const scripts of wrong as ScriptPolicy[]) {
      const what = JSON.stringify(scripts)
      await expect(hub.runTopTask('t', { scripts }), what).rejects.toMatchObject({ code: 'INVALID', path: 'scripts' })
      await expect(TensorHub.connect(hub.folder, { scripts }), what).rejects.toMatchObject({
        code: 'INVALID',
        path: 'scripts',
      })
    }
    expect(await hub.tasks.top()).toMatchObject(UNTOUCHED)
  })

  it('by hash stands for every file: another import makes another hash', async () => {
    const hub = await temporaryHub()
    const make = async (value: number) => {
      const file = await scriptFolder({
        'main.mjs': "import { value } from './value.mjs'\nexport default () => ({ value })",
        'value.mjs': `export const value = ${value}`,
      })
      return hub.createTask('t', file('main.mjs'))
    }
    const good = await make(1)
    const bad = await make(2)
    expect(good.script.sha256).not.toBe(bad.script.sha256)
    const scripts = { hashes: [good.script.sha256] }
    expect(await hub.runTopTask('t', { scripts })).toMatchObject({ result: { value: 1 } })
    expect(await hub.runTopTask('t', { scripts })).toBe(false)
    expect(await hub.tasks.top({ _id: bad._id })).toMatchObject(UNTOUCHED)
  })

  it('a file that is exchanged between the check and its run never runs (F21)', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'main.mjs': `
        import { writeFileSync } from 'node:fs'
        writeFileSync(new URL('./later.mjs', import.meta.url), 'export const evil = 1')
        export default async () => ({ ...(await import('./later.mjs')) })`,
      'later.mjs': 'export const good = 1',
    })
    await hub.createTask('t', file('main.mjs'), { maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining("'later.mjs' was changed after its task was created") },
    })
    // What a script makes itself while it runs is its own.
    const own = await script(`
      import { writeFileSync } from 'node:fs'
      const name = './made.mjs'
      writeFileSync(new URL(name, import.meta.url), 'export const made = 1')
      export default async () => ({ ...(await import(name)) })`)
    await hub.createTask('t', own)
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { made: 1 } })
  })
})

describe('a handler', { timeout: 60_000 }, () => {
  it('that closes its hub closes it for itself alone', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({})'))
    const handlers = {
      t: async (task: Task) => {
        await using own = task.hub
        await own.logs.save('x')
        await own.close()
        return { after: await own.logs.count().catch((error) => error.code) }
      },
    }
    expect(await hub.runTopTask('t', { scripts: { handlers } })).toMatchObject({
      status: 'finished',
      result: { after: 'CLOSED' },
    })
    expect(await hub.logs.count()).toBe(1)
  })

  it('does not begin where the runner was asked to stop while it claimed the task', async () => {
    const stop = new AbortController()
    const index = memoryIndex()
    const { takeOne } = index
    index.takeOne = (...args) => {
      stop.abort()
      return takeOne.apply(index, args)
    }
    await using hub = await TensorHub.connect({ index, blobs: memoryBlobs(), projectName: 'p' })
    await hub.createTask('t', await script('export default () => ({})'))
    let begun = false
    const handlers = {
      t: () => {
        begun = true
      },
    }
    const run = await hub.runTopTask('t', { scripts: { handlers }, signal: stop.signal })
    expect(run).toMatchObject({ status: 'retrying', error: { code: 'RELEASED' } })
    expect(begun).toBe(false)
    expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 0 })
  })
})

describe('an altered task (F21)', { timeout: 60_000 }, () => {
  it.each<[string, (task: { script: unknown }) => Record<string, unknown>]>([
    ['hash', () => ({ 'script.sha256': '0'.repeat(64) })],
    ['list of files', () => ({ 'script.files': [] })],
    ['entry', () => ({ 'script.entry': 'other.mjs' })],
    ['file name', () => ({ 'script.files': [{ path: '../../escape.mjs', sha256: '0'.repeat(64) }] })],
  ])('with another %s is never run, fails by name and counts no attempt', async (_what, change) => {
    const index = memoryIndex()
    const hub = await TensorHub.connect({
      index,
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: 'any',
    })
    const task = await hub.createTask('t', await script('export default () => ({ ran: 1 })'))
    await index.update('tasks', { op: 'eq', path: ['_id'], value: task._id }, { set: change(task) as never }, {})
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'failed', error: { code: 'SCRIPT_HASH' } })
    expect(await hub.tasks.top()).toMatchObject({ status: 'failed', attempts: 0, result: {} })
    await hub.close()
  })
})

describe('tasks of later versions (F22)', { timeout: 60_000 }, () => {
  it('that need more than this one knows are left alone; unknown fields and states are kept', async () => {
    const index = memoryIndex()
    const hub = await TensorHub.connect({
      index,
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: { handlers: { t: () => ({ a: 1 }) } },
    })
    const path = await script('export default () => ({})')
    const [newer, odd, known] = await Promise.all(
      [1, 2, 3].map((n) => hub.createTask('t', path, { priority: 5 - n, n })),
    )
    const set = (id: string | undefined, change: object) =>
      index.update('tasks', { op: 'eq', path: ['_id'], value: id as string }, { set: change as never }, {})
    await set(newer?._id, { _v: 2, pipeline: 'x' })
    await set(odd?._id, { status: 'suspended' })
    await set(known?._id, { later_field: { deep: [1] } })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', task: { n: 3, later_field: { deep: [1] } } })
    expect(await hub.runTopTask('t')).toBe(false)
    expect(await hub.tasks.top({ n: 1 })).toMatchObject({ ...UNTOUCHED, pipeline: 'x' })
    expect(await hub.tasks.top({ n: 2 })).toMatchObject({ status: 'suspended', attempts: 0 })
    // A state it does not know is not success.
    expect(await hub.tasks.wait({ n: { $gt: 1 } })).toMatchObject({ ok: false, finished: 1 })
    await hub.close()
  })
})
