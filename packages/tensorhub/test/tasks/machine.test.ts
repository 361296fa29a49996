import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type Doc, IndexStore } from '@tensorhub/core'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { sqlite } from '@tensorhub/sqlite'
import { afterEach, describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { smallDisk } from '../faults/small-disk.ts'
import { sameHub, temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { script, scriptFolder } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

const UNTOUCHED = { status: 'pending', attempts: 0, infra_failures: 0, claim: null }
const node = process.execPath

/** How many processes this one has under way. */
function processes(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap').length
}

afterEach(() => {
  process.execPath = node
})

describe('a machine that cannot run tasks burns no attempts, says why, and leaves them to others', {
  timeout: 120_000,
}, () => {
  it('no process can be made', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({ a: 1 })'), { maxAttempts: 1 })
    process.execPath = '/nowhere/node'
    for (let n = 0; n < 3; n++)
      await expect(hub.runTopTask('t')).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'SPAWN',
        message: expect.stringContaining('/nowhere/node'),
      })
    expect(await hub.tasks.top()).toMatchObject(UNTOUCHED)
    process.execPath = node
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', attempt: 1, result: { a: 1 } })
  })

  it('the folder for scripts is a file', async () => {
    const workDir = join(await temporaryFolder(), 'work')
    const hub = await temporaryHub({ workDir })
    await hub.createTask('t', await script('export default () => ({ a: 1 })'), { maxAttempts: 1 })
    await writeFile(workDir, '')
    await expect(hub.runTopTask('t')).rejects.toMatchObject({
      code: 'DENIED',
      message: expect.stringMatching(/work.*workDir that this user can write/s),
    })
    expect(await hub.tasks.top()).toMatchObject(UNTOUCHED)
    await rm(workDir)
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', attempt: 1 })
  })

  it('no space is left for the script (a tmpfs of 1 MiB)', async (context) => {
    const disk = await smallDisk(2 ** 20)
    if ('reason' in disk) return context.skip(disk.reason)
    await using folder = disk
    const hub = await temporaryHub({ workDir: join(folder.folder, 'work') })
    const file = await scriptFolder({
      'main.mjs': "import data from './data.json' with { type: 'json' }\nexport default () => ({ n: data.length })",
      'data.json': JSON.stringify('x'.repeat(900_000)),
    })
    await hub.createTask('t', file('main.mjs'), { maxAttempts: 1 })
    await writeFile(join(folder.folder, 'filler'), Buffer.alloc(500_000))
    await expect(hub.runTopTask('t')).rejects.toMatchObject({
      code: 'STORAGE_FULL',
      message: expect.stringMatching(/free some, or give another workDir/),
    })
    expect(await hub.tasks.top()).toMatchObject(UNTOUCHED)
    await rm(join(folder.folder, 'filler'))
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', attempt: 1, result: { n: 900_000 } })
    expect(await readdir(join(folder.folder, 'work'))).toEqual([])
  })

  it('a runner that is asked to stop while its blob store is silent gives the task back at once', async () => {
    const blobs = memoryBlobs()
    await using hub = await TensorHub.connect({
      index: memoryIndex(),
      blobs,
      projectName: 'p',
      scripts: 'any',
      workDir: await temporaryFolder(),
    })
    await hub.createTask('t', await script(`export default () => ({}) // ${randomBytes(100_000).toString('hex')}`))
    const asked = Promise.withResolvers<void>()
    const silent = (...args: unknown[]) => {
      asked.resolve()
      const { signal } = args.at(-1) as { signal?: AbortSignal }
      return new Promise<never>((_, fail) => signal?.addEventListener('abort', () => fail(signal.reason)))
    }
    Object.assign(blobs, { read: silent, ...(blobs.readInto === undefined ? {} : { readInto: silent }) })
    const stop = new AbortController()
    const run = hub.runTopTask('t', { signal: stop.signal })
    await asked.promise
    stop.abort()
    expect(await run).toMatchObject({ status: 'retrying', error: { code: 'RELEASED' } })
    expect(await hub.tasks.top()).toMatchObject(UNTOUCHED)
  })

  it('its script is damaged in the store: an attempt each, then failed, for no machine can help', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'main.mjs': "import { text } from './data.mjs'\nexport default () => ({ size: text.length })",
      'data.mjs': `export const text = '${'x'.repeat(200_000)}'`,
    })
    await hub.createTask('t', file('main.mjs'), { maxAttempts: 1 })
    const blobs = join(hub.folder, 'blobs')
    for (const entry of await readdir(blobs, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) await writeFile(join(entry.parentPath, entry.name), 'damaged')
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'failed', error: { code: 'INTEGRITY' } })
    expect(await hub.tasks.top()).toMatchObject({ attempts: 1, infra_failures: 1 })
  })
})

describe('what is larger than a document', { timeout: 120_000 }, () => {
  it.each([
    ['all results', [], 'RESULT_INVALID'],
    ['results of an attempt that also lacks one', ['large', 'missing'], 'RESULT_MISSING'],
  ] as const)('%s: the attempt fails by name, and the runner lives', async (_what, savedResultKeys, code) => {
    const hub = await TensorHub.connect({
      index: memoryIndex(),
      blobs: memoryBlobs(),
      projectName: 'p',
      workDir: await temporaryFolder(),
      scripts: 'any',
    })
    const path = await script("export default () => ({ large: 'x'.repeat(17 * 2 ** 20) })")
    await hub.createTask('t', path, { savedResultKeys, maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'failed', error: { code } })
    expect(await hub.tasks.top()).toMatchObject({ status: 'failed', result: {} })
    await hub.close()
  })
})

describe('folders of scripts', { timeout: 120_000 }, () => {
  it('that a killed runner left behind are removed by the next, those of running attempts and of strangers are not', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    const [ended, running] = await Promise.all([hub.createTask('t', path), hub.createTask('u', path)])
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished' })
    const work = join(hub.folder, 'work')
    const make = (...steps: string[]) => mkdir(join(work, ...steps), { recursive: true })
    await make(ended._id, '1', 'lib')
    await make(ended._id, '2')
    await make('01J00000000000000000000000', '3') // A task that was deleted.
    await make('not-of-a-hub', '1')
    // Another runner's attempt, under way.
    const other = await sameHub(hub.folder)
    let release: (value: object) => void = () => undefined
    const going = new Promise<object>((resolve) => {
      release = resolve
    })
    const run = other.runTopTask('u', { scripts: { handlers: { u: () => going } } })
    await waitUntil(async () => (await hub.tasks.top({ task_name: 'u' }))?.status === 'running', 'the other attempt')
    await make(running._id, '1')
    await make(running._id, '0')
    const next = await sameHub(hub.folder)
    expect(await next.runTopTask('t')).toBe(false)
    expect((await readdir(work)).sort()).toEqual([running._id, 'not-of-a-hub'].sort())
    expect(await readdir(join(work, running._id))).toEqual(['1'])
    release({})
    expect(await run).toMatchObject({ status: 'finished' })
  })

  it('of two hubs with one workDir never meet, whatever id their tasks have', async () => {
    const workDir = await temporaryFolder()
    const flag = join(await temporaryFolder(), 'go-on')
    const path = await script(`
      import { existsSync } from 'node:fs'
      import { setTimeout } from 'node:timers/promises'
      export default async ({ hyperParameters }) => {
        while (hyperParameters.waits && !existsSync(${JSON.stringify(flag)})) await setTimeout(20)
        return { there: existsSync(import.meta.filename), of: hyperParameters.of }
      }`)
    const hubs = await Promise.all(
      [0, 1].map(async () => {
        const folder = await temporaryFolder()
        const stores = { index: `sqlite://${join(folder, 'index.db')}`, blobs: `file://${folder}/blobs` }
        return TensorHub.connect({ ...stores, projectName: 'p', workDir, scripts: 'any' })
      }),
    )
    const create = (hub: TensorHub, of: number) =>
      hub.createTask('t', path, { idempotencyKey: 'once', hyperParameters: { of, waits: of === 0 }, maxAttempts: 1 })
    const [first, second] = hubs as [TensorHub, TensorHub]
    const tasks = [await create(first, 0), await create(second, 1)]
    expect(tasks[0]?._id).toBe(tasks[1]?._id)
    const run = first.runTopTask('t')
    const unpacked = async () => (await readdir(workDir, { recursive: true })).some((name) => name.endsWith('.mjs'))
    await waitUntil(unpacked, 'the script of the first hub')
    expect(await second.runTopTask('t')).toMatchObject({ status: 'finished', result: { there: true, of: 1 } })
    await writeFile(flag, '')
    expect(await run).toMatchObject({ status: 'finished', result: { there: true, of: 0 } })
    await Promise.all(hubs.map((hub) => hub.close()))
  })

  it('are in the folder for scripts, whatever id a task was given: one with steps in it is never unpacked', async () => {
    const hub = await temporaryHub()
    const precious = await scriptFolder({ '1/file': 'kept' })
    const { script: allowed } = await hub.createTask('t', await script('export default () => ({ a: 1 })'))
    await using direct = new IndexStore(sqlite({ file: join(hub.folder, 'index.db') }))
    const [task] = (await hub.tasks.find().toArray()) as Doc[]
    await hub.deleteTasks()
    await direct.insert('tasks', [{ ...(task as Doc), _id: relative(join(hub.folder, 'work'), precious('')) }])
    const scripts = { hashes: [allowed.sha256] }
    expect(await hub.runTopTask('t', { scripts })).toMatchObject({
      status: 'failed',
      error: { code: 'SCRIPT_HASH', message: expect.stringContaining('id') },
    })
    expect(await readFile(precious('1/file'), 'utf8')).toBe('kept')
  })

  it('and processes go also where the heartbeats end by a defect', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({ a: 1 })'))
    await using direct = new IndexStore(sqlite({ file: join(hub.folder, 'index.db') }))
    await direct.update('tasks', { op: 'everything' }, { set: { lease_ms: 'damaged' } })
    const before = processes()
    await expect(hub.runTopTask('t')).rejects.toThrow(RangeError)
    await waitUntil(() => processes() === before, 'the end of the process')
    await expect(readdir(join(hub.folder, 'work'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('that a script made hard to remove change nothing in its outcome', async () => {
    const hub = await temporaryHub()
    const path = await script(`
      import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
      export default () => { mkdirSync('locked'); writeFileSync('locked/file', ''); chmodSync('locked', 0o500); chmodSync('.', 0o500); return { done: 1 } }`)
    const task = await hub.createTask('t', path)
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { done: 1 } })
    await chmod(join(hub.folder, 'work', task._id, '1', 'locked'), 0o700).catch(() => undefined) // Gone already where the superuser runs.
    await chmod(join(hub.folder, 'work', task._id, '1'), 0o700).catch(() => undefined)
  })
})
