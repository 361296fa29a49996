import { chmod, chown, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { newFolder } from '../suite/store-pair.ts'
import { HubProcess } from './hub-processes.ts'
import { treeOf } from './tree.ts'

const projectName = 'tutorial'
const ROOT = process.getuid?.() === 0
/** Nobody: a user without any right of root's. */
const NOBODY = 65_534

describe('a folder that cannot be a hub', () => {
  it('of somebody else, closed, or read only: DENIED that names it', async () => {
    const closed = await newFolder()
    const readable = await newFolder()
    await using hub = await TensorHub.connect(join(readable, 'hub'), { projectName })
    await hub.saveDataset(1, 'x')
    await chmod(readable, 0o755)
    for (const folder of ['.', 'blobs', 'work']) await chmod(join(readable, 'hub', folder), 0o555)
    for (const file of ['index.db', 'hub.json']) await chmod(join(readable, 'hub', file), 0o444)
    await chmod(closed, ROOT ? 0o700 : 0)
    // Root may read everything, so a process of nobody's asks.
    for (const folder of [closed, join(closed, 'new'), join(readable, 'hub'), join(readable, 'new')]) {
      if (folder.endsWith('hub') && !ROOT) continue // its owner may change the rights back, and so may read it
      await using other = await HubProcess.start()
      const answer = await other.open(ROOT ? { folder, uid: NOBODY } : { folder })
      // A hub that may be read connects; the save in it is what is refused, by the name of what it would write.
      const named = folder === join(readable, 'hub') ? 'owner or rights' : folder
      expect(answer, JSON.stringify(answer)).toMatchObject({ code: 'DENIED', message: expect.stringContaining(named) })
    }
    expect(await hub.findTopDataset('x')).toBe(1)
    expect(await readdir(closed)).toEqual([])
  })

  it('a file, or a file on the way: INVALID', async () => {
    const file = join(await newFolder(), 'file')
    await writeFile(file, 'text')
    for (const folder of [file, join(file, 'hub')])
      await expect(TensorHub.connect(folder, { projectName })).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('not a folder'),
      })
    expect(await readFile(file, 'utf8')).toBe('text')
  })

  it('a folder of something else is left alone', async () => {
    const folder = await newFolder()
    await writeFile(join(folder, 'thesis.tex'), 'years of work')
    const before = await treeOf(folder)
    await expect(TensorHub.connect(folder, { projectName })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('thesis.tex'),
    })
    expect(await treeOf(folder)).toEqual(before)
  })

  it('a path that cannot be: INVALID', async () => {
    const folder = await newFolder()
    const loop = join(folder, 'loop')
    await symlink(loop, loop)
    for (const path of [join(folder, 'x'.repeat(300)), `${folder}/a\0b`, join(loop, 'hub')])
      await expect(TensorHub.connect(path, { projectName }), path.slice(0, 80)).rejects.toMatchObject({
        code: 'INVALID',
      })
  })

  it('at or below a link that leads nowhere, as to a disk that is not mounted: UNAVAILABLE that names the link', async () => {
    const link = join(await newFolder(), 'disk')
    await symlink(`${link}-not-mounted`, link)
    for (const folder of [link, join(link, 'hub'), join(link, 'deep', 'hub')])
      await expect(TensorHub.connect(folder)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining(`'${link}' is a link`),
      })
  })

  it('a format record that is damaged: INTEGRITY, and nothing is touched', async () => {
    for (const text of ['', '{', '[]', '{}', '{"format":"1"}', '{"format":0}', 'null']) {
      const folder = await newFolder()
      await writeFile(join(folder, 'hub.json'), text)
      const before = await treeOf(folder)
      await expect(TensorHub.connect(folder, { projectName }), text).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await treeOf(folder)).toEqual(before)
    }
  })
})

describe('a hub of a newer version', () => {
  const past = new Date('2026-01-01T00:00:00Z')

  it('its folder is refused before anything in it is touched', async () => {
    const folder = await newFolder()
    await (await TensorHub.connect(folder, { projectName })).close()
    await writeFile(join(folder, 'hub.json'), '{"format":2,"more":true}')
    for (const name of await readdir(folder)) await utimes(join(folder, name), past, past)
    const before = await treeOf(folder)
    await expect(TensorHub.connect(folder, { projectName })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/format 2.*up to 1.*upgrade/),
    })
    expect(await treeOf(folder)).toEqual(before)
    expect((await stat(folder)).isDirectory()).toBe(true)
  })

  it('so is an index of a newer layout', async () => {
    const folder = await newFolder()
    await (await TensorHub.connect(folder, { projectName })).close()
    const database = new DatabaseSync(join(folder, 'index.db'))
    database.exec('PRAGMA user_version=99')
    database.close()
    const before = await treeOf(folder)
    await expect(TensorHub.connect(folder, { projectName })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    const after = await treeOf(folder)
    for (const name of ['hub.json', 'index.db']) expect(after[name]).toBe(before[name])
  })

  it('so are stores without a folder, by the record in their index; the blob store is not even opened', async () => {
    const folder = await newFolder()
    const index = `sqlite://${join(folder, 'index.db')}`
    const blobs = pathToFileURL(join(folder, 'blobs')).href
    await (await TensorHub.connect({ index, blobs, projectName })).close()
    await using raw = await TensorHub.connect({ index, blobs, projectName })
    const database = raw.db as DatabaseSync
    expect(database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()).toBeDefined()
    const { sqlite } = await import('@tensorhub/sqlite')
    const { openIndex } = await import('@tensorhub/core')
    await using store = openIndex(sqlite({ file: join(folder, 'index.db') }))
    await store.update('_hub', { op: 'eq', path: ['_id'], value: 'format' }, { set: { format: 2 } })
    const elsewhere = join(folder, 'other-blobs')
    await expect(TensorHub.connect({ index, blobs: pathToFileURL(elsewhere).href, projectName })).rejects.toMatchObject(
      { code: 'UNSUPPORTED', at: { target: '_hub/format' } },
    )
    await expect(stat(elsewhere)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('several processes', () => {
  it('two that make a new hub at once make one, 20 times', async () => {
    await using a = await HubProcess.start()
    await using b = await HubProcess.start()
    for (let round = 0; round < 20; round++) {
      const folder = join(await newFolder(), 'deep', 'hub')
      expect(await Promise.all([a.open({ folder }), b.open({ folder })])).toEqual([{ ok: true }, { ok: true }])
      expect(JSON.parse(await readFile(join(folder, 'hub.json'), 'utf8'))).toEqual({ format: 1 })
      expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
      await using hub = await TensorHub.connect(folder, { projectName })
      expect(await hub.datasets.count({ dataset_name: 'of a process' })).toBe(2)
      expect((await hub.check({ readData: true })).problems).toEqual([])
    }
  })

  it('one that is killed while it makes a hub leaves a folder that the next one can use, 20 times', async () => {
    for (let round = 0; round < 20; round++) {
      const folder = join(await newFolder(), 'hub')
      await using killed = await HubProcess.start()
      await killed.kill({ folder }, round * 3)
      await using hub = await TensorHub.connect(folder, { projectName })
      const before = await hub.datasets.count()
      expect(before).toBeLessThanOrEqual(1)
      await hub.saveDataset(new Float32Array(50_000), 'x')
      expect(await hub.findTopDataset('x')).toEqual(new Float32Array(50_000))
      expect((await hub.check({ readData: true })).problems).toEqual([])
    }
  })

  it('on a file system without hard links, hubs are made, used and shared all the same', async () => {
    const preload = new URL('./no-links.mjs', import.meta.url).href
    await using a = await HubProcess.start(preload)
    await using b = await HubProcess.start(preload)
    for (let round = 0; round < 5; round++) {
      const folder = join(await newFolder(), 'hub')
      expect(await Promise.all([a.open({ folder }), b.open({ folder })])).toEqual([{ ok: true }, { ok: true }])
      expect(await a.open({ folder })).toEqual({ ok: true })
      expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
      await using hub = await TensorHub.connect(folder, { projectName })
      expect(await hub.datasets.count()).toBe(3)
      expect((await hub.check({ readData: true })).problems).toEqual([])
    }
  })

  it('the folder is its owner’s alone, and scripts run by default only where it is', async () => {
    const folder = join(await newFolder(), 'hub')
    await using hub = await TensorHub.connect(folder, { projectName })
    expect(((await stat(folder)).mode & 0o777).toString(8)).toBe('700')
    expect(await hub.runTopTask('t')).toBe(false)
    const shared = join(await newFolder(), 'hub')
    await mkdir(shared)
    await chmod(shared, 0o777)
    await using other = await TensorHub.connect(shared, { projectName })
    await expect(other.runTopTask('t')).rejects.toMatchObject({ code: 'DENIED' })
    if (!ROOT) return
    const theirs = join(await newFolder(), 'hub')
    await mkdir(theirs, { mode: 0o700 })
    await chown(theirs, NOBODY, NOBODY)
    await using foreign = await TensorHub.connect(theirs, { projectName })
    await expect(foreign.runTopTask('t')).rejects.toMatchObject({ code: 'DENIED' })
  })
})
