import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError, openIndex } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { sqlite } from '@tensorhub/sqlite'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { embeddedDrivers } from '../faults/embedded-stores.ts'
import { treeOf } from '../faults/tree.ts'
import { newFolder } from '../suite/store-pair.ts'
import { LARGE, noise } from '../suite/values.ts'

const open = async (folder: string, projectName = 'tutorial') => {
  const hub = await TensorHub.connect(folder, { projectName, collect: false })
  return Object.assign(hub, { folder })
}

describe('copyTo refuses', () => {
  it.each<[string, (folder: string) => Promise<Parameters<TensorHub['copyTo']>[0]>]>([
    ['its own folder', async (folder) => folder],
    [
      'its own folder by another name',
      async (folder) => {
        const link = join(await newFolder(), 'link')
        await symlink(folder, link)
        return link
      },
    ],
    ['an open hub of the same stores', (folder) => open(folder, 'another')],
    [
      'the same index with other blobs',
      async (folder) => ({
        index: `sqlite://${folder}/index.db`,
        blobs: `file://${await newFolder()}/blobs`,
      }),
    ],
    [
      'the same blobs with another index',
      async (folder) => ({
        index: sqlite({ file: join(await newFolder(), 'index.db') }),
        blobs: fs({ folder: join(folder, 'blobs') }),
      }),
    ],
  ])('%s: INVALID, and nothing is written there', async (_, destination) => {
    await using hub = await open(await newFolder())
    await hub.saveDataset(noise(LARGE, 1), 'x')
    await expect(hub.copyTo(await destination(hub.folder))).rejects.toMatchObject({
      code: 'INVALID',
      reason: 'SAME_STORE',
    })
    expect(await hub.copyTo(await newFolder())).toMatchObject({ documents: 1 })
  })

  it('a destination of a newer format, before it is touched', async () => {
    await using hub = await open(await newFolder())
    const index = memoryIndex()
    await openIndex(index).insert('_hub', [{ _id: 'format', format: 2 }])
    const destination = { index: memoryIndex(index.native?.() as never), blobs: memoryBlobs() }
    await expect(hub.copyTo(destination)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await openIndex(index).count('_hub', { op: 'everything' })).toBe(1)
  })

  it.each([
    [undefined, undefined, 'destination'],
    [{}, undefined, 'destination'],
    [{ projectName: 'x' }, undefined, 'destination'],
    [{ index: 'memory:', blobs: 'memory:', projectName: 'x' }, undefined, 'projectName'],
    ['memory:', { everything: true }, 'everything'],
    ['memory:', { projects: [] }, 'projects'],
    ['memory:', { projects: 'mine' }, 'projects'],
    ['memory:', { verify: 'yes' }, 'verify'],
    ['memory:', { onConflict: 'replace' }, 'onConflict'],
  ])('%o with %o', async (destination, options, path) => {
    await using hub = await open(await newFolder())
    await expect(hub.copyTo(destination as never, options as never)).rejects.toMatchObject({ code: 'INVALID', path })
  })

  it('its own index also where another copy writes its nonce there at the same time', async () => {
    const documents = new Map()
    const blobs = memoryBlobs
    await using hub = await TensorHub.connect({ index: memoryIndex(documents), blobs: blobs(), projectName: 'p' })
    const shared = openIndex(memoryIndex(documents))
    await shared.insert('_hub', [{ _id: 'copy', nonce: 'of an earlier copy' }])
    const index = memoryIndex(documents)
    const { takeOne } = index
    let overwritten = false
    index.takeOne = async (...args) => {
      const taken = await takeOne.apply(index, args)
      const where = { op: 'eq', path: ['_id'], value: 'copy' } as const
      overwritten = (await shared.takeOne('_hub', where, { set: { nonce: 'of another copy' } })) !== null
      return taken
    }
    await expect(hub.copyTo({ index, blobs: blobs() })).rejects.toMatchObject({ reason: 'SAME_STORE' })
    expect(overwritten).toBe(true)
  })

  it('a closed hub at either end', async () => {
    const [hub, other] = [await open(await newFolder()), await open(await newFolder())]
    await other.close()
    await expect(hub.copyTo(other)).rejects.toMatchObject({ code: 'CLOSED' })
    await hub.close()
    await expect(hub.copyTo('memory:')).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

it('a hub that copyTo opened is closed, and a given one stays open', async () => {
  await using hub = await open(await newFolder())
  await using other = await open(await newFolder())
  await hub.copyTo(other)
  await other.saveDataset([1], 'x')
  const closed: string[] = []
  const noting = <D extends object>(driver: D): D =>
    Object.assign(driver, { close: async () => void closed.push((driver as { scheme: string }).scheme) })
  const destination = { index: noting(memoryIndex()), blobs: noting(memoryBlobs()) }
  await hub.copyTo(destination)
  expect(closed).toEqual(['memory', 'memory'])
  const aborted = hub.copyTo(
    { index: noting(memoryIndex()), blobs: noting(memoryBlobs()) },
    { signal: AbortSignal.abort() },
  )
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
})

it('the source is not written to but for its id', async () => {
  await using hub = await open(await newFolder())
  await hub.saveDataset(noise(LARGE, 1), 'x')
  await hub.copyTo('memory:')
  const blobs = await treeOf(join(hub.folder, 'blobs'))
  const index = openIndex(embeddedDrivers(hub.folder).index)
  const rows = async () => {
    const all = []
    for (const coll of ['datasets', '_chunks', '_hub'])
      for await (const doc of index.find(coll, { op: 'everything' })) all.push(doc)
    return all
  }
  const before = await rows()
  expect(before.filter(({ _id }) => _id === 'id')).toHaveLength(1)
  await hub.copyTo('memory:')
  expect(await rows()).toEqual(before)
  expect(await treeOf(join(hub.folder, 'blobs'))).toEqual(blobs)
  await index.close()
})

it('a source that must not be written to is copied all the same; what changed there must be told apart by hand', async () => {
  await using writer = await open(await newFolder())
  const { _id } = await writer.saveModel(noise(LARGE, 1), 'a')
  // What connecting by drivers would write; and a task whose runner died, which somebody else has to take back.
  const direct = openIndex(embeddedDrivers(writer.folder).index)
  await direct.insert('_hub', [{ _id: 'format', format: 1 }])
  const task = {
    _id: 't',
    project_name: 'tutorial',
    status: 'running',
    epoch: 1,
    claim: 'x',
    attempts: 1,
    max_attempts: 3,
    infra_failures: 0,
    lease_until: new Date(0),
  }
  await direct.insert('tasks', [task])
  await direct.close()
  const { index, blobs } = embeddedDrivers(writer.folder)
  const denied = async () => {
    throw new HubError('DENIED', 'This user may only read.')
  }
  await using hub = await TensorHub.connect({
    index: Object.assign(index, { insert: denied, update: denied, takeOne: denied, delete: denied }),
    blobs: Object.assign(blobs, { write: denied, writeBytes: denied, delete: denied }),
    projectName: 'tutorial',
  })
  await using other = await open(await newFolder())
  expect(await hub.copyTo(other)).toMatchObject({ documents: 1, running: 1 })
  expect(await hub.copyTo(other)).toMatchObject({ documents: 0, skipped: 1, running: 1 })
  await writer.models.update({ _id }, { set: { stage: 'new' } })
  await expect(hub.copyTo(other)).rejects.toMatchObject({ code: 'CONFLICT' })
})
