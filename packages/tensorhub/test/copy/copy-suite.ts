import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Doc } from '@tensorhub/core'
import { afterAll, describe, expect, it } from 'vitest'
import type { CopyProgress, TensorHub } from '../../src/index.ts'
import { collectAll, keysOf } from '../suite/receipts.ts'
import type { StorePair, Stores } from '../suite/store-pair.ts'
import { LARGE, noise } from '../suite/values.ts'

const scripts = mkdtempSync(join(tmpdir(), 'tensorhub-copy-'))
const script = join(scripts, 'script.ts')
writeFileSync(
  script,
  'export default async ({ hyperParameters }) => ({ doubled: 2 * (hyperParameters.n as number) })\n',
)
afterAll(() => rmSync(scripts, { recursive: true, force: true }))

const manyTensors = () => Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i]))
async function* film() {
  for (let i = 0; i < 3; i++) yield new Uint8Array(noise(1024 * 1024, 40 + i).buffer)
}

/** Something of each kind: inline, chunks that are shared, a manifest that is a blob, a file, compressed chunks, logs, tasks in several states. */
export async function fill(hub: TensorHub): Promise<void> {
  const frozen = noise(LARGE, 1)
  await hub.saveDataset([1, 2, 3], 'small', { version: '1.0', when: new Date(1e12), tags: ['a'] })
  await hub.saveDataset({ frozen, zeros: new Float32Array(100_000), same: noise(LARGE, 1) }, 'tensors')
  await hub.saveDataset(film(), 'film')
  await hub.saveDataset(manyTensors(), 'many')
  for (let epoch = 0; epoch < 3; epoch++)
    await hub.saveModel({ frozen, head: noise(LARGE, 10 + epoch) }, 'mlp', { epoch, loss: Number.NaN, big: 12n ** 17n })
  for (let step = 0; step < 450; step++) await hub.saveTrainingLog({ step, nested: { loss: 1 / (step + 1) } })
  await hub.createTask('fit', script, {
    hyperParameters: { n: 21 },
    savedResultKeys: ['doubled'],
    idempotencyKey: 'once',
  })
  const outcome = await hub.runTopTask('fit', { scripts: 'any' })
  expect(outcome, outcome === false ? 'no task' : outcome.error?.message).toMatchObject({
    status: 'finished',
    result: { doubled: 42 },
  })
  await hub.createTask('fit', script, { hyperParameters: { n: 1 } })
}

const COLLECTIONS = ['datasets', 'models', 'logs', 'tasks']

/** All documents of a hub without what is each store's own: revisions, marks, and where chunks lie. */
async function documents(stores: Stores): Promise<Doc[]> {
  const found: Doc[] = []
  for (const coll of COLLECTIONS)
    for await (const doc of stores.index.find(coll, { op: 'everything' })) {
      const { _rev, _copy, content, ...rest } = doc
      const { bytes, format } = (content ?? {}) as { bytes?: number; format?: string }
      found.push({
        ...rest,
        coll,
        ...(content === undefined ? {} : { bytes: bytes as number, format: format as string }),
      } as Doc)
    }
  return found
}

/** Both hubs hold the same, and the destination is whole. */
export async function expectSame(from: Stores, to: Stores): Promise<void> {
  expect(await documents(to)).toEqual(await documents(from))
  const [source, copy] = [await from.connect({ collect: false }), await to.connect({ collect: false })]
  expect(await copy.check({ readData: true })).toMatchObject({ problems: [] })
  for (const name of ['small', 'tensors', 'film', 'many'])
    expect(await copy.findTopDataset(name)).toStrictEqual(await source.findTopDataset(name))
  for (const epoch of [0, 1, 2])
    expect(await copy.findTopModel({ epoch })).toStrictEqual(await source.findTopModel({ epoch }))
}

/** What `copyTo` promises, from one pair of stores to another. */
export function copySuite(source: StorePair, destination: StorePair): void {
  describe(`copyTo from ${source.name} to ${destination.name}`, () => {
    const both = async () => {
      const [from, to] = [await source.create(), await destination.create()]
      return { from, to, hub: await from.connect({ collect: false }), other: await to.connect({ collect: false }) }
    }

    it('moves everything; a second run copies no document and no byte', async () => {
      const { from, to, hub, other } = await both()
      await fill(hub)
      const told: CopyProgress[] = []
      const receipt = await hub.copyTo(other, { onProgress: (progress) => void told.push(progress) })
      expect(receipt).toMatchObject({ documents: 4 + 3 + 450 + 2, updated: 0, skipped: 0, running: 0, conflicts: 0 })
      await expectSame(from, to)
      const keys = (await keysOf(to)).length
      expect(receipt.chunks).toBeGreaterThan(5)
      // One more: the manifest that is a blob.
      expect(keys).toBe(receipt.chunks + 1)
      expect(told.at(-1)).toEqual({
        phase: 'copy',
        collection: 'tasks',
        documents: 459,
        total: 459,
        bytes: receipt.bytes,
      })
      for (const [i, { documents, bytes }] of told.entries()) {
        expect(documents).toBeGreaterThanOrEqual(told[i - 1]?.documents ?? 0)
        expect(bytes).toBeGreaterThanOrEqual(told[i - 1]?.bytes ?? 0)
      }
      const revisions = await to.index.count('logs', { op: 'eq', path: ['_rev'], value: 0 })
      expect(await hub.copyTo(other)).toEqual({
        documents: 0,
        updated: 0,
        skipped: 459,
        running: 0,
        conflicts: 0,
        chunks: 0,
        bytes: 0,
      })
      expect(await to.index.count('logs', { op: 'eq', path: ['_rev'], value: 0 })).toBe(revisions)
      expect(await keysOf(to)).toHaveLength(keys)
      await collectAll(other)
      await expectSame(from, to)
      // The pending task runs at its new home, and the finished one keeps its result.
      expect(await other.runTopTask('fit', { scripts: 'any' })).toMatchObject({
        status: 'finished',
        result: { doubled: 2 },
      })
      expect(await other.tasks.count({ status: 'finished' })).toBe(2)
    })

    it('chunks that the destination has are not read, and each is uploaded once', async () => {
      const { from, to, hub, other } = await both()
      await hub.saveDataset({ a: noise(LARGE, 1), b: noise(LARGE, 2) }, 'x')
      await hub.saveDataset({ a: noise(LARGE, 1), b: noise(LARGE, 3) }, 'y')
      const { content } = await other.saveDataset(noise(LARGE, 2), 'own')
      const damaged = (await hub.datasets.top('x'))?.content as unknown as { chunks: { id: string; key: string }[] }
      const held = (content as unknown as { chunks: { id: string }[] }).chunks[0]?.id
      // What would be damage if it were read.
      for (const { id, key } of damaged.chunks) if (id === held) await from.blobs.write(key, new Uint8Array(LARGE))
      expect(await hub.copyTo(other)).toMatchObject({ documents: 2, chunks: 2, bytes: 2 * LARGE })
      expect(await keysOf(to)).toHaveLength(3)
      expect(await other.findTopDataset('x')).toStrictEqual({ a: noise(LARGE, 1), b: noise(LARGE, 2) })
    })

    it('documents that changed at the source are changed at the destination, those changed there stay', async () => {
      const { hub, other } = await both()
      const [first, second] = [await hub.saveModel(noise(LARGE, 1), 'a'), await hub.saveModel(noise(LARGE, 2), 'b')]
      await hub.copyTo(other)
      await hub.models.update({ model_name: 'a' }, { set: { stage: 'production' } })
      await other.models.update({ model_name: 'b' }, { set: { stage: 'tried here' } })
      expect(await hub.copyTo(other)).toMatchObject({ documents: 0, updated: 1, skipped: 1, chunks: 0, bytes: 0 })
      expect(await other.models.top({ _id: first._id })).toMatchObject({ stage: 'production' })
      expect(await other.models.top({ _id: second._id })).toMatchObject({ stage: 'tried here' })
      await hub.models.update({ model_name: 'a' }, { unset: ['stage'] })
      expect(await hub.copyTo(other)).toMatchObject({ updated: 1, skipped: 1 })
      expect((await other.models.top({ _id: first._id }))?.['stage']).toBeUndefined()
      expect(await hub.copyTo(other)).toMatchObject({ updated: 0, skipped: 2 })
    })

    it('changed on both sides: everything else is copied, then CONFLICT; or the destination is kept', async () => {
      const { hub, other } = await both()
      const { _id } = await hub.saveModel(noise(LARGE, 1), 'a')
      await hub.copyTo(other)
      await hub.models.update({ _id }, { set: { stage: 'here' } })
      await other.models.update({ _id }, { set: { stage: 'there' } })
      await hub.saveTrainingLog({ loss: 1 })
      const failed = hub.copyTo(other)
      await expect(failed).rejects.toMatchObject({ code: 'CONFLICT', at: { target: `models/${_id}` } })
      expect(await other.logs.count()).toBe(1)
      expect(await other.models.top({ _id })).toMatchObject({ stage: 'there' })
      expect(await hub.copyTo(other, { onConflict: 'keep' })).toMatchObject({ conflicts: 1, skipped: 1, documents: 0 })
      // The same change on both sides is none.
      await other.models.update({ _id }, { set: { stage: 'here' } })
      expect(await hub.copyTo(other)).toMatchObject({ conflicts: 0, skipped: 2 })
    })

    it('back home: what was changed in the copy comes back', async () => {
      const { hub, other } = await both()
      const { _id } = await hub.saveModel(noise(LARGE, 1), 'a')
      await hub.saveModel(noise(LARGE, 2), 'b')
      await hub.copyTo(other)
      expect(await other.copyTo(hub)).toMatchObject({ documents: 0, updated: 0, skipped: 2 })
      await other.models.update({ _id }, { set: { stage: 'production' } })
      await other.saveTrainingLog({ loss: 2 })
      expect(await other.copyTo(hub)).toMatchObject({ documents: 1, updated: 1, skipped: 1 })
      expect(await hub.models.top({ _id })).toMatchObject({ stage: 'production' })
      expect(await hub.copyTo(other)).toMatchObject({ documents: 0, updated: 0, skipped: 3 })
    })

    it('deleted at the source stays, deleted at the destination comes again', async () => {
      const { hub, other } = await both()
      await hub.saveDataset(noise(LARGE, 1), 'x')
      await hub.saveDataset(noise(LARGE, 2), 'y')
      await hub.copyTo(other)
      await hub.deleteDatasets('x')
      await other.deleteDatasets('y')
      await collectAll(other)
      expect(await hub.copyTo(other)).toMatchObject({ documents: 1, chunks: 1, bytes: LARGE })
      expect(await other.findTopDataset('x')).toStrictEqual(noise(LARGE, 1))
      expect(await other.findTopDataset('y')).toStrictEqual(noise(LARGE, 2))
    })

    it('one project, named ones, or all', async () => {
      const { from, to, hub, other } = await both()
      for (const projectName of ['b', 'c'])
        await (await from.connect({ projectName })).saveDataset(noise(LARGE, 1), projectName)
      await hub.saveDataset(noise(LARGE, 2), 'a')
      expect(await hub.copyTo(other)).toMatchObject({ documents: 1 })
      expect(await hub.copyTo(other, { projects: ['b'] })).toMatchObject({ documents: 1, skipped: 0 })
      expect(await hub.copyTo(other, { projects: 'all' })).toMatchObject({ documents: 1, skipped: 2, chunks: 0 })
      for (const projectName of ['b', 'c'])
        expect(await (await to.connect({ projectName })).findTopDataset()).toStrictEqual(noise(LARGE, 1))
      expect((await documents(to)).map((doc) => doc['project_name'])).toEqual(
        (await documents(from)).map((doc) => doc['project_name']),
      )
    })

    it('a task that a runner has stays behind until it has ended', async () => {
      const { from, hub, other } = await both()
      await hub.createTask('t', script, { hyperParameters: { n: 2 } })
      const task = await hub.tasks.top()
      const lease = new Date(Date.now() + 3_600_000)
      const claim = { status: 'running', claim: 'x', epoch: 1, attempts: 1, lease_until: lease }
      await from.index.update('tasks', { op: 'everything' }, { set: claim })
      expect(await hub.copyTo(other)).toMatchObject({ documents: 0, running: 1 })
      expect(await other.tasks.count()).toBe(0)
      // Its runner died: it is taken back, as any runner would, and comes over pending.
      await from.index.update('tasks', { op: 'everything' }, { set: { lease_until: new Date(0) } })
      expect(await hub.copyTo(other)).toMatchObject({ documents: 1, running: 0 })
      expect(await other.tasks.top()).toMatchObject({ _id: task?._id, status: 'pending', epoch: 2, attempts: 1 })
    })

    it('a damaged chunk: INTEGRITY that names it, nothing half there, and all others copied', async () => {
      const { from, to, hub, other } = await both()
      const bad = await hub.saveDataset({ a: noise(LARGE, 1), b: noise(LARGE, 2) }, 'bad')
      await hub.saveDataset(noise(LARGE, 3), 'good')
      const key = (bad.content as unknown as { chunks: { key: string }[] }).chunks[1]?.key as string
      const bytes = await from.blobs.bytes(key)
      await from.blobs.write(
        key,
        bytes.map((byte, i) => (i === 4711 ? byte ^ 1 : byte)),
      )
      await expect(hub.copyTo(other)).rejects.toMatchObject({ code: 'INTEGRITY', at: { target: key } })
      expect((await documents(to)).map((doc) => doc['dataset_name'])).toEqual(['good'])
      expect(await other.check({ readData: true })).toMatchObject({ documents: 1, problems: [] })
      await from.blobs.write(key, bytes)
      expect(await hub.copyTo(other, { verify: true })).toMatchObject({ documents: 1, verified: { documents: 2 } })
    })

    it('a damaged value inside its document: INTEGRITY', async () => {
      const { from, to, hub, other } = await both()
      const { _id } = await hub.saveDataset([1, 2, 3], 'bad')
      await hub.saveDataset([4], 'good')
      await from.index.update(
        'datasets',
        { op: 'eq', path: ['_id'], value: _id },
        { set: { 'content.inline': 'AAAA' } },
      )
      await expect(hub.copyTo(other)).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect((await documents(to)).map((doc) => doc['dataset_name'])).toEqual(['good'])
    })

    it('verify finds damage at the destination', async () => {
      const { to, hub, other } = await both()
      await hub.saveDataset(noise(LARGE, 1), 'x')
      await hub.copyTo(other)
      const key = (await keysOf(to))[0] as string
      await to.blobs.write(key, new Uint8Array(LARGE))
      await expect(hub.copyTo(other, { verify: true })).rejects.toMatchObject({
        code: 'INTEGRITY',
        at: { target: key },
      })
    })

    it('an abort leaves whole documents, and the next run goes on', async () => {
      const { from, to, hub, other } = await both()
      await fill(hub)
      const stop = new AbortController()
      const aborted = hub.copyTo(other, {
        signal: stop.signal,
        onProgress: ({ bytes }) => bytes > 0 && stop.abort(new Error('enough')),
      })
      await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
      expect(await other.check({ readData: true })).toMatchObject({ problems: [] })
      await hub.copyTo(other)
      await expectSame(from, to)
    })

    it('two copies at once do no harm', async () => {
      const { from, to, hub, other } = await both()
      await fill(hub)
      const receipts = await Promise.all([hub.copyTo(other), hub.copyTo(other)])
      expect(receipts[0].documents + receipts[1].documents).toBe(459)
      await expectSame(from, to)
      await collectAll(other)
      await expectSame(from, to)
    })

    it('another document under the same _id is refused, whatever it holds', async () => {
      const { from, to, hub, other } = await both()
      const one = await hub.saveDataset(noise(LARGE, 1), 'x')
      const two = await other.saveDataset(noise(LARGE, 2), 'x')
      const doc = (await to.index.top('datasets', { op: 'eq', path: ['_id'], value: two._id })) as Doc
      await to.index.insert('datasets', [{ ...doc, _id: one._id, time: one.time }])
      await expect(hub.copyTo(other)).rejects.toMatchObject({
        code: 'CONFLICT',
        message: expect.stringContaining('value'),
      })
      expect(await from.index.count('datasets', { op: 'everything' })).toBe(1)
    })
  })
}
