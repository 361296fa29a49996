import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { originalTarget } from '../src/connect/options.ts'
import { defaultProjectName } from '../src/connect/project-name.ts'
import { TensorHub } from '../src/index.ts'
import { sameHub, temporaryFolder, temporaryHub } from './temporary-hub.ts'

/** Defects of the Python original that must not return (B5–B15 of tasks stand in tests of tasks). */
describe('defects of the original', () => {
  it('B1: a user name authenticates, and none (or the original default "None") does not', () => {
    expect(originalTarget({ ip: 'localhost', dbname: 'temp', username: 'ann', password: 'p@ss/w' }).index).toBe(
      'mongodb://ann:p%40ss%2Fw@localhost:27017/temp',
    )
    expect(originalTarget({ ip: 'localhost', dbname: 'temp', username: null, password: 'password' }).index).toBe(
      'mongodb://localhost:27017/temp',
    )
    expect(originalTarget({ ip: '::1', port: 1, dbname: 'temp', username: 'None' }).index).toBe(
      'mongodb://[::1]:1/temp',
    )
  })

  it('B2: no secret in errors or in toString', async () => {
    const error = await TensorHub.connect('mongodb://ann:topsecret@127.0.0.1:1/temp').then(
      () => undefined,
      (reason: unknown) => reason as Error,
    )
    expect(error).toBeDefined()
    for (let e: unknown = error; e instanceof Error; e = e.cause)
      expect(`${e.message} ${e.stack}`).not.toContain('topsecret')
    const hub = await temporaryHub()
    expect(String(hub)).toContain("project 'tutorial'")
  })

  it('B3: the default project name is never empty and not cut at dots', async () => {
    const folder = join(await temporaryFolder(), 'my.project')
    await mkdir(folder)
    expect(await defaultProjectName(folder)).toBe('my.project')
    await writeFile(join(folder, 'package.json'), '{"name":"@me/nets"}')
    await mkdir(join(folder, 'deep'))
    expect(await defaultProjectName(join(folder, 'deep'))).toBe('@me/nets')
    await expect(TensorHub.connect(join(folder, 'hub'), { projectName: '' })).rejects.toMatchObject({
      code: 'INVALID',
      path: 'projectName',
    })
  })

  it('B4: connect reaches the stores before it resolves', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'hub.json'), '{"format":1}')
    await writeFile(
      join(folder, 'index.db'),
      'this is not a database, only text that is long enough to be read as one'.repeat(50),
    )
    await expect(TensorHub.connect(folder, { projectName: 'p' })).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('B16, B17: deleted content is freed, and an unfinished save leaves nothing that is seen', async () => {
    const hub = await temporaryHub()
    await hub.saveModel({ weights: new Float32Array(50_000).fill(1) })
    expect(await hub.deleteModel()).toMatchObject({ documents: 1, blobs: 1 })
    const abort = new AbortController()
    abort.abort()
    await expect(
      hub.saveModel({ weights: new Float32Array(50_000).fill(2) }, { signal: abort.signal }),
    ).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError' })
    expect(await hub.models.count()).toBe(0)
  })

  it('B18: a found model carries its tags', async () => {
    const hub = await temporaryHub()
    await hub.saveModel({ w: [1] }, { test_accuracy: 0.9, name: '800-800' })
    const net = (await hub.findTopModel({ sort: [['test_accuracy', -1]] })) as { _test_accuracy: number; _name: string }
    expect([net._test_accuracy, net._name]).toEqual([0.9, '800-800'])
    await hub.saveModel(net, 'again')
    expect(await hub.findTopModel('again')).toEqual({ w: [1] })
  })

  it('B19, B20: findDatasets gives false when nothing matches and is ordered', async () => {
    const hub = await temporaryHub()
    expect(await hub.findDatasets('x')).toBe(false)
    for (let i = 0; i < 20; i++) await hub.saveDataset(i, 'x')
    expect(await hub.findDatasets('x')).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  it('B22: sorting by a metric never gives a model without it first', async () => {
    const hub = await temporaryHub()
    await hub.saveModel({ n: 1 }, { loss: Number.NaN })
    await hub.saveModel({ n: 2 })
    await hub.saveModel({ n: 3 }, { loss: null })
    for (const dir of [1, -1] as const) expect(await hub.models.top({}, { sort: [['loss', dir]] })).toBeDefined()
    await hub.saveModel({ n: 4 }, { loss: 0.5 })
    await hub.saveModel({ n: 5 }, { loss: 0.2 })
    expect(await hub.findTopModel({ sort: [['loss', 1]] })).toEqual({ n: 5 })
    expect(await hub.findTopModel({ sort: [['loss', -1]] })).toEqual({ n: 4 })
  })

  it('B23: values are data; nothing in them is run', async () => {
    const hub = await temporaryHub()
    await expect(hub.saveDataset({ f: () => 1 }, 'x')).rejects.toMatchObject({ code: 'INVALID' })
    await hub.saveDataset({ code: 'process.exit(1)', ['__proto__x']: 1 }, 'x')
    expect(await hub.findTopDataset('x')).toEqual({ code: 'process.exit(1)', __proto__x: 1 })
  })

  it('B24: a failure throws; only "nothing matches" is false', async () => {
    const hub = await temporaryHub()
    const data = new Float32Array(50_000).map((_, i) => i)
    await hub.saveDataset(data, 'x')
    expect(await hub.findTopDataset('y')).toBe(false)
    await hub.close()
    await expect(hub.findTopDataset('x')).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('B25: reserved tags are refused, not overwritten, and no filter reaches another project', async () => {
    const hub = await temporaryHub()
    for (const name of ['project_name', 'time', 'content', 'task', '_id', '_rev', 'model_name']) {
      await expect(hub.saveModel({ w: 1 }, { [name]: 'x' }), name).rejects.toMatchObject({
        code: 'INVALID',
        path: name,
      })
    }
    await expect(hub.saveModel({ w: 1 }, { tags: 'x' })).rejects.toMatchObject({ code: 'INVALID', path: 'tags' })
    await hub.saveModel(
      { w: 1 },
      { status: 'ok', result: 1, epoch: 3, error: 'no', progress: 1, name: 'n', version: '1', tags: ['a'] },
    )
    const other = await sameHub(hub.folder, { projectName: 'other' })
    expect(await other.models.count({ $or: [{ project_name: 'tutorial' }, {}] })).toBe(0)
    expect(await other.deleteModel()).toMatchObject({ documents: 0 })
    expect(await hub.models.count()).toBe(1)
  })

  it('B26: a null model name means any', async () => {
    const hub = await temporaryHub()
    await hub.saveModel({ w: 7 }, 'mlp')
    expect(await hub.findTopModel(null)).toEqual({ w: 7 })
    expect(await hub.findTopModel({ modelName: null })).toEqual({ w: 7 })
  })

  it('B27: architectures larger than a document have room', async () => {
    const hub = await temporaryHub()
    const architecture = { text: 'x'.repeat(20 * 1024 * 1024) }
    await hub.saveModel({ architecture })
    expect(await hub.findTopModel()).toEqual({ architecture })
  })

  it('B29: time is a Date of the store, and never runs backwards', async () => {
    const hub = await temporaryHub()
    const times: number[] = []
    for (let i = 0; i < 50; i++) times.push((await hub.saveTrainingLog({ i })).time.getTime())
    expect([...times].sort((a, b) => a - b)).toEqual(times)
    expect((await hub.findTrainingLogs()).map((log) => log['i'])).toEqual(times.map((_, i) => i))
  })

  it('B31: tags can be corrected', async () => {
    const hub = await temporaryHub()
    await hub.saveModel({ w: 1 }, 'mlp', { accuracy: 0.8, note: 'wrong' })
    expect(await hub.models.update({ model_name: 'mlp' }, { set: { accuracy: 0.9 }, unset: ['note'] })).toEqual({
      documents: 1,
    })
    expect(await hub.models.top()).toMatchObject({ accuracy: 0.9 })
    expect(await hub.models.top()).not.toHaveProperty('note')
    await expect(hub.models.update({}, { set: { content: 1 } })).rejects.toMatchObject({
      code: 'INVALID',
      path: 'content',
    })
  })

  it('an unreadable folder says so', async () => {
    if (process.getuid?.() === 0) return // root reads everything; CI runs as root in a container and the mapping is unit-tested below
    const folder = await temporaryFolder()
    await chmod(folder, 0)
    await expect(TensorHub.connect(folder)).rejects.toMatchObject({ code: 'DENIED' })
  })
})
