import { describe, expect, it } from 'vitest'
import { type FilterInput, type FindOptions, queryId } from '../../src/index.ts'
import type { StorePair } from './store-pair.ts'
import { LARGE, noise } from './values.ts'

/** The namespaces of design §7, method by method. */
export function namespaces(pair: StorePair): void {
  const filled = async () => {
    const stores = await pair.create()
    const hub = await stores.connect()
    for (const [i, accuracy] of [0.7, 0.9, 0.8].entries())
      await hub.models.save('mlp', { i }, { accuracy, epoch: i, tags: i === 1 ? ['best'] : [], opt: { rate: i / 10 } })
    await hub.models.save('cnn', { i: 3 }, { epoch: 3 })
    return { stores, hub }
  }

  describe('namespaces', () => {
    it('save: each namespace under a name with tags', async () => {
      const hub = await (await pair.create()).connect()
      expect(await hub.datasets.save('mnist', [1], { version: '1.0' })).toMatchObject({
        dataset_name: 'mnist',
        version: '1.0',
      })
      expect(await hub.models.save('mlp', [1], { accuracy: 1 })).toMatchObject({ model_name: 'mlp', accuracy: 1 })
      expect(await hub.logs.save('gpu', { watts: 300 })).toMatchObject({ kind: 'gpu', watts: 300 })
      expect(await hub.logs.find({ kind: 'gpu' }).toArray()).toHaveLength(1)
    })

    it('find: oldest first, by filter, sort, limit, fields and cursor', async () => {
      const { hub } = await filled()
      const epochs = async (filter?: FilterInput, options?: FindOptions) =>
        (await hub.models.find(filter, options).toArray()).map((model) => model.epoch)
      expect(await epochs()).toEqual([0, 1, 2, 3])
      expect(await epochs({ accuracy: { $gte: 0.8 } })).toEqual([1, 2])
      expect(await epochs({ 'opt.rate': { $gt: 0 } })).toEqual([1, 2])
      expect(await epochs({}, { sort: [['accuracy', -1]] })).toEqual([1, 2, 0, 3])
      expect(await epochs({}, { sort: { model_name: 1, epoch: -1 } })).toEqual([3, 2, 1, 0])
      expect(await epochs({}, { limit: 2 })).toEqual([0, 1])
      expect(await epochs({}, { limit: 0 })).toEqual([])
      const [first] = await hub.models.find({}, { fields: ['epoch', 'opt.rate'], limit: 1 }).toArray()
      expect(first).toEqual({ _id: expect.any(String), epoch: 0, opt: { rate: 0 } })
    })

    it('find: pages by cursor give every record once, in either direction', async () => {
      const { hub } = await filled()
      for (const sort of [{ accuracy: 1 }, { accuracy: -1 }, { model_name: 1 }, { time: -1 }] as const) {
        const whole = (await hub.models.find({}, { sort }).toArray()).map((model) => model._id)
        const paged: string[] = []
        let after: string | undefined
        for (;;) {
          const page = hub.models.find(
            {},
            { sort, limit: 1, ...(after === undefined ? {} : { after }), fields: ['epoch'] },
          )
          for await (const model of page) paged.push(model._id)
          if (page.cursor === undefined) break
          after = page.cursor
        }
        expect(paged).toEqual(whole)
      }
    })

    it('find is read as it is needed, and anew by each loop', async () => {
      const { hub } = await filled()
      const cursor = hub.models.find()
      for await (const model of cursor) {
        expect(model.epoch).toBe(0)
        break
      }
      await hub.models.save('late', 1, { epoch: 4 })
      expect(await cursor.toArray()).toHaveLength(5)
    })

    it('top, count and open: newest first, by filter, sort and id', async () => {
      const { hub } = await filled()
      expect((await hub.models.top())?.epoch).toBe(3)
      expect((await hub.models.top({ model_name: 'mlp' }))?.epoch).toBe(2)
      expect((await hub.models.top({}, { sort: { accuracy: -1 } }))?.epoch).toBe(1)
      expect(await hub.models.top({ model_name: 'x' })).toBeUndefined()
      expect(await hub.models.count()).toBe(4)
      expect(await hub.models.count({ model_name: 'mlp' })).toBe(3)
      const best = await hub.models.open<{ i: number }>({}, { sort: [['accuracy', -1]] })
      expect(best?.record.accuracy).toBe(0.9)
      expect((await best?.load())?.i).toBe(1)
      const byId = await hub.models.open(best?.record._id as string)
      expect(byId?.record._id).toBe(best?.record._id)
      expect(await hub.models.open('01ARZ3NDEKTSV4RRFFQ69G5FAV')).toBeUndefined()
      expect(await hub.models.open({ model_name: 'x' })).toBeUndefined()
    })

    it('a handle gives the value, rows of it, and the bytes of a file', async () => {
      const hub = await (await pair.create()).connect()
      const pixels = { dtype: 'float32', shape: [LARGE / 64, 16], data: noise(LARGE, 1) }
      await hub.datasets.save('mnist', { pixels, labels: noise(LARGE / 16, 2), note: 'train' })
      const mnist = await hub.datasets.open('mnist')
      expect(await mnist?.load()).toStrictEqual({ pixels, labels: noise(LARGE / 16, 2), note: 'train' })
      expect(await mnist?.rows(10, 12)).toStrictEqual({
        pixels: { dtype: 'float32', shape: [2, 16], data: pixels.data.slice(160, 192) },
        labels: noise(LARGE / 16, 2).slice(10, 12),
        note: 'train',
      })
      expect(await mnist?.rows(0, 1, { tensor: 0 })).toStrictEqual({
        dtype: 'float32',
        shape: [1, 16],
        data: pixels.data.slice(0, 16),
      })
      const pieces = [1, 2, 3].map((seed) => new Uint8Array(noise(LARGE, seed).buffer))
      await hub.datasets.save('film', ReadableStream.from(pieces) as ReadableStream<Uint8Array>)
      const film = await hub.datasets.open('film')
      const read: Uint8Array[] = []
      for await (const bytes of film?.stream() ?? []) read.push(bytes)
      expect(Buffer.concat(read).equals(Buffer.concat(pieces))).toBe(true)
      await expect(mnist?.rows(2, 1)).rejects.toMatchObject({ code: 'INVALID' })
      await expect(mnist?.rows(0, 1, { tensor: 'absent' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    it('a record that was read in part has no handle, and says which field is missing', async () => {
      const { hub } = await filled()
      for (const [fields, path] of [
        [['epoch'], 'content'],
        [['content'], 'project_name'],
      ] as const) {
        const [record] = await hub.models.find({}, { fields, limit: 1 }).toArray()
        if (record === undefined) throw new Error('no record')
        expect(() => hub.models.handle(record)).toThrow(expect.objectContaining({ code: 'INVALID', path }))
      }
    })

    it('update corrects tags, in place and in objects', async () => {
      const { hub } = await filled()
      const change = { set: { note: 'good', 'opt.decay': 0.5 }, unset: ['accuracy'] }
      expect(await hub.models.update({ model_name: 'mlp', epoch: { $gt: 0 } }, change)).toEqual({ documents: 2 })
      const changed = await hub.models.find({ note: 'good' }).toArray()
      expect(changed.map(({ opt, accuracy, _rev }) => ({ opt, accuracy, _rev }))).toEqual([
        { opt: { rate: 0.1, decay: 0.5 }, accuracy: undefined, _rev: 1 },
        { opt: { rate: 0.2, decay: 0.5 }, accuracy: undefined, _rev: 1 },
      ])
      expect(await hub.findTopModel({ note: 'good' })).toEqual({ i: 2 })
      expect(await hub.logs.update({ kind: 'absent' }, { set: { a: 1 } })).toEqual({ documents: 0 })
    })

    it('delete deletes what matches', async () => {
      const { hub } = await filled()
      expect(await hub.models.delete({ model_name: 'mlp' })).toEqual({ documents: 3, blobs: 0, bytes: 0 })
      expect(await hub.models.delete({ _id: { $exists: true } })).toEqual({ documents: 1, blobs: 0, bytes: 0 })
      await hub.logs.save('gpu', { watts: 300 })
      expect(await hub.logs.delete({ watts: { $lt: 100 } })).toEqual({ documents: 0 })
      expect(await hub.logs.delete({ kind: 'gpu' })).toEqual({ documents: 1 })
    })

    it('more records than one batch are deleted, and counted', async () => {
      const hub = await (await pair.create()).connect()
      await Promise.all(Array.from({ length: 1203 }, (_, i) => hub.datasets.save('many', i)))
      expect(await hub.datasets.delete({ dataset_name: 'many' })).toEqual({ documents: 1203, blobs: 0, bytes: 0 })
    })

    it('watch tells of records that match, and ends with its signal', async () => {
      const { hub } = await filled()
      const stop = new AbortController()
      const seen = new Map<string, string>()
      const watching = (async () => {
        for await (const event of hub.models.watch({ model_name: 'mlp' }, { signal: stop.signal })) {
          seen.set(event._id, event.op)
          if (seen.size === 1) break
        }
      })()
      // Saved until one is seen: from when on the watch looks is the store's affair.
      let other = 0
      while (seen.size === 0) {
        await hub.models.save('cnn', other++)
        await hub.models.save('mlp', 1)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      await watching
      const [event] = seen
      expect(event?.[1]).toBe('insert')
      expect((await hub.models.top({ _id: event?.[0] as string }))?.model_name).toBe('mlp')
      const aborted = (async () => {
        for await (const _ of hub.models.watch({ model_name: 'none' }, { signal: stop.signal }));
      })()
      stop.abort()
      await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
    })

    it('index makes later queries no different in their answers', async () => {
      const { hub } = await filled()
      await hub.models.index('accuracy')
      await hub.models.index('opt.rate', 'epoch')
      await hub.models.index('accuracy')
      expect((await hub.models.find({ accuracy: { $gte: 0.8 } }).toArray()).map((model) => model.epoch)).toEqual([1, 2])
      await expect(hub.models.index()).rejects.toMatchObject({ code: 'INVALID', path: 'fields' })
      await expect(hub.models.index('a..b')).rejects.toMatchObject({ code: 'INVALID' })
    })

    it('queries as text say the same as objects', async () => {
      const { hub } = await filled()
      const epochs = async (text: string) => (await hub.models.find(text).toArray()).map((model) => model.epoch)
      expect(await epochs('mlp accuracy>=0.8')).toEqual([1, 2])
      expect(await epochs('sort:-accuracy limit:2')).toEqual([1, 2])
      expect(await epochs('tag:best')).toEqual([1])
      expect(await epochs('')).toEqual([0, 1, 2, 3])
      expect(await epochs('time>-1h epoch:0..1')).toEqual([0, 1])
      expect(await epochs('time<-1h')).toEqual([])
      expect((await hub.models.top('mlp sort:accuracy'))?.epoch).toBe(0)
      expect(await hub.models.count('mlp')).toBe(3)
      expect(await (await hub.models.open('mlp epoch:1'))?.load()).toEqual({ i: 1 })
      expect(await hub.models.update('mlp epoch:1', { set: { note: 'x' } })).toEqual({ documents: 1 })
      expect(await hub.models.delete('note:x')).toMatchObject({ documents: 1 })
      // What a call says beside the text wins.
      expect(
        (await hub.models.find('sort:epoch limit:1', { sort: { epoch: -1 }, limit: 2 }).toArray()).map((m) => m.epoch),
      ).toEqual([3, 2])
    })

    it('queries as hub:// URIs, also pinned to the record they once found', async () => {
      const { hub } = await filled()
      await hub.datasets.save('mnist', 'old', { version: '1.0' })
      const record = await hub.datasets.save('mnist', 'new', { version: '1.1' })
      const load = async (uri: string) => (await hub.datasets.open(uri))?.load()
      expect(await load('hub://tutorial/datasets/mnist')).toBe('new')
      expect(await load('hub://tutorial/datasets/mnist@1.0')).toBe('old')
      await hub.datasets.save('mnist', 'newest', { version: '1.2' })
      expect(await load(`hub://tutorial/datasets/mnist#${record._id}`)).toBe('new')
      expect(
        (await hub.models.find('hub://tutorial/models/mlp?q=accuracy%3E%3D0.8&sort=-accuracy').toArray()).map(
          (m) => m.epoch,
        ),
      ).toEqual([1, 2])
      await expect(load('hub://other/datasets/mnist')).rejects.toMatchObject({ code: 'INVALID', path: 'project' })
      await expect(load('hub://tutorial/models/mlp')).rejects.toMatchObject({ code: 'INVALID', path: 'kind' })
      expect(queryId({ filter: { a: 1 } })).toMatch(/^[0-9a-f]{64}$/)
    })

    it('what a text says and the method cannot do is refused, never dropped', async () => {
      const { hub } = await filled()
      const refused = { code: 'INVALID', path: 'limit' }
      await expect(hub.models.delete('mlp limit:1')).rejects.toMatchObject(refused)
      await expect(hub.models.update('mlp limit:1', { set: { a: 1 } })).rejects.toMatchObject(refused)
      await expect(hub.models.count('mlp limit:1')).rejects.toMatchObject(refused)
      await expect(hub.models.top('mlp after:x')).rejects.toMatchObject({ code: 'INVALID', path: 'after' })
      await expect(hub.models.open('mlp after:x')).rejects.toMatchObject({ code: 'INVALID', path: 'after' })
      // The first of the first n is the first.
      expect((await hub.models.top('mlp limit:2 sort:epoch'))?.epoch).toBe(0)
      expect(await hub.models.top('mlp limit:0')).toBeUndefined()
      await expect(hub.models.count('mlp sort:epoch')).rejects.toMatchObject({ code: 'INVALID', path: 'sort' })
      expect(await hub.models.count()).toBe(4)
    })
  })
}
