import { fileURLToPath } from 'node:url'
import { openIndex, openIndexUrl } from '@tensorhub/core'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { ulid } from 'ulid'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TensorHub } from '../../src/index.ts'
import { FAR_BLOBS, type FarBlobs, type ProxiedStores, proxiedStores, type StoreUrls } from './proxied-stores.ts'

const MIB = 1024 * 1024
const LIST = 10_000
/** The client's own watching of its server would be counted at any moment. */
const mongo = { serverMonitoringMode: 'poll', heartbeatFrequencyMS: '3600000' }
const handlers = { t: () => ({ accuracy: 0.9 }) }

/** Requests of the two layers; handshakes of new connections aside. */
interface Cost {
  readonly index: number
  readonly blobs: number
}

/** What each operation may cost on any store, blobs by store: exact, or an upper bound where work goes on in parallel. */
const BOUNDS: Readonly<Record<string, { readonly index: number; readonly blobs: Readonly<Record<FarBlobs, number>> }>> =
  {
    // Its abilities (6), the format, indexes of three collections, the clock, what the server is; a probe of the blob store.
    'connect, there already': { index: 12, blobs: { gridfs: 0, s3: 4, gcs: 3, azure: 4 } },
    'save a value of 100 bytes': { index: 1, blobs: { gridfs: 0, s3: 0, gcs: 0, azure: 0 } },
    // 7 batches of chunks: pin, look, time, and two to enter their rows in a transaction; then the record.
    'save a model of 100 MiB': { index: 45, blobs: { gridfs: 150, s3: 50, gcs: 50, azure: 50 } },
    'save it again': { index: 20, blobs: { gridfs: 0, s3: 0, gcs: 0, azure: 0 } },
    'load it': { index: 1, blobs: { gridfs: 100, s3: 50, gcs: 50, azure: 50 } },
    // Pages of 2,000.
    'list 10,000 records': { index: 6, blobs: { gridfs: 0, s3: 0, gcs: 0, azure: 0 } },
    'findTopModel by tag': { index: 1, blobs: { gridfs: 0, s3: 0, gcs: 0, azure: 0 } },
    'one log': { index: 1, blobs: { gridfs: 0, s3: 0, gcs: 0, azure: 0 } },
    // Time, expired leases, the claim, the commit.
    'claim and commit a task': { index: 4, blobs: { gridfs: 0, s3: 0, gcs: 0, azure: 0 } },
  }

/** Requests one behind another, at most; the handshake of a new connection comes on top. */
const DEPTHS: Readonly<Record<string, Readonly<Record<FarBlobs, number>>>> = {
  // What the server is, its transactions and change streams (5), the format; then all at once, of which the blob store's probe takes longest.
  'connect, there already': { gridfs: 9, s3: 11, gcs: 10, azure: 11 },
  // Time; pin, look, upload, row; time, confirm, record, look. An upload to GridFS: chunks, file, key.
  'save a model of 1 MiB': { gridfs: 11, s3: 9, gcs: 9, azure: 9 },
  'load it': { gridfs: 3, s3: 2, gcs: 2, azure: 2 },
  'list 10,000 records': { gridfs: 6, s3: 6, gcs: 6, azure: 6 },
  'findTopModel by tag': { gridfs: 1, s3: 1, gcs: 1, azure: 1 },
  'one log': { gridfs: 1, s3: 1, gcs: 1, azure: 1 },
  'claim and commit a task': { gridfs: 4, s3: 4, gcs: 4, azure: 4 },
}

function costOf({ index, blobs }: ProxiedStores): Cost {
  const commands = index.count() - index.connections.made - index.count({ operation: 'endSessions' })
  return { index: commands, blobs: blobs === index ? 0 : blobs.count() }
}

/** The longest row of requests of which each came when the one before could be answered. */
function depthOf({ proxies }: ProxiedStores, roundTrip: number): number {
  const sent = proxies.flatMap(({ requests }) => requests.filter(({ operation }) => !/^ismaster$/i.test(operation)))
  let depth = 0
  let answered = Number.NEGATIVE_INFINITY
  for (const at of sent.map((request) => request.at).sort((a, b) => a - b)) {
    if (at < answered) continue
    depth++
    answered = at + roundTrip * 0.98
  }
  return depth
}

const table = new Map<string, Map<string, string>>()
function note(operation: string, column: string, cell: string): void {
  const row = table.get(operation) ?? new Map<string, string>()
  row.set(column, cell)
  table.set(operation, row)
}

afterAll(() => {
  const columns = [...new Set([...table.values()].flatMap((row) => [...row.keys()]))]
  const lines = [...table].map(([operation, row]) => [operation, ...columns.map((column) => row.get(column) ?? '')])
  if (lines.length > 0)
    console.info(['requests (index + blobs)', ...columns].join(' | ') + lines.map((l) => `\n${l.join(' | ')}`).join(''))
})

for (const name of FAR_BLOBS)
  await serverSuite(serversOf('mongodb', name), `requests, counted at the proxy: MongoDB and ${name}`, () => {
    let stores: ProxiedStores
    let urls: StoreUrls
    let hub: TensorHub | undefined

    beforeAll(async () => {
      stores = await proxiedStores(name, { mongo })
    })
    afterAll(async () => {
      await hub?.close()
      await stores?.close()
    })

    // On a busy machine a client asks once more what its server is, and batches are smaller. Several tries, and one is proof.
    it('each operation costs as many as the table says', { retry: 3 }, async () => {
      await hub?.close()
      urls = await stores.newUrls()
      const counted = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
        for (const proxy of stores.proxies) proxy.forget()
        const result = await work()
        const cost = costOf(stores)
        const bound = BOUNDS[operation] as (typeof BOUNDS)[string]
        note(operation, name, stores.blobs === stores.index ? `${cost.index}` : `${cost.index} + ${cost.blobs}`)
        const shared = stores.blobs === stores.index
        expect(cost.index, `${operation}: ${JSON.stringify(stores.index.counts())}`).toBeLessThanOrEqual(
          bound.index + (shared ? bound.blobs[name] : 0),
        )
        expect(cost.blobs, `${operation}: ${JSON.stringify(stores.blobs.counts())}`).toBeLessThanOrEqual(
          bound.blobs[name],
        )
        return result
      }
      await (await stores.connect(urls)).close()
      hub = await counted('connect, there already', () => stores.connect(urls, { scripts: { handlers } }))
      const own = hub
      const weights = Array.from({ length: 50 }, (_, seed) => noise((2 * MIB) / 4, seed))
      // GridFS makes its indexes before the first write of a process; not counted with the model.
      await own.models.save('other', noise(100_000, 77))
      await counted('save a value of 100 bytes', () => own.models.save('small', { a: 'x'.repeat(100) }, { rank: 1 }))
      await counted('save a model of 100 MiB', () => own.models.save('mlp', weights, { accuracy: 0.5 }))
      await counted('save it again', () => own.models.save('mlp', weights, { accuracy: 0.6 }))
      const loaded = await counted('load it', async () => (await own.models.open({ model_name: 'mlp' }))?.load())
      expect(isSame(loaded, weights)).toBe(true)
      await fill(urls.index)
      const all = await counted('list 10,000 records', () => own.models.find({ model_name: 'many' }).toArray())
      expect(all.length).toBe(LIST)
      const top = await counted('findTopModel by tag', () => own.findTopModel({ rank: 1, sort: [['rank', -1]] }))
      expect(top).toMatchObject({ a: 'x'.repeat(100) })
      await counted('one log', () => own.saveTrainingLog({ loss: 0.5 }))
      const create = () => own.createTask('t', fileURLToPath(new URL('./far-script.ts', import.meta.url)))
      await create()
      await own.runTopTask('t')
      await create()
      const outcome = await counted('claim and commit a task', () => own.runTopTask('t'))
      expect(outcome).toMatchObject({ status: 'finished', result: {} })
    })

    it('one behind another, as few as the table says', async () => {
      const roundTrip = 150
      /** The fewest of some tries: on a busy machine what is sent at once may go off one by one. */
      const deep = async (operation: string, work: () => Promise<unknown>) => {
        const bound = (DEPTHS[operation] as (typeof DEPTHS)[string])[name]
        let least = Number.POSITIVE_INFINITY
        for (let tries = 0; tries < 6 && least > bound; tries++) {
          for (const proxy of stores.proxies) {
            proxy.forget()
            proxy.setLine({ roundTrip })
          }
          await work()
          least = Math.min(least, depthOf(stores, roundTrip))
          for (const proxy of stores.proxies) proxy.setLine({ roundTrip: 0 })
        }
        note(`${operation}: one behind another`, name, String(least))
        expect(least, operation).toBeLessThanOrEqual(bound)
      }
      const own = hub as TensorHub
      let seed = 100
      await deep('save a model of 1 MiB', () => own.models.save('deep', noise(MIB / 4, seed++)))
      await deep('load it', async () => (await own.models.open({ model_name: 'deep' }))?.load())
      if (name === 'gcs') {
        await deep('list 10,000 records', () => own.models.find({ model_name: 'many' }).toArray())
        await deep('findTopModel by tag', () => own.findTopModel({ rank: 1, sort: [['rank', -1]] }))
        await deep('one log', () => own.saveTrainingLog({ loss: 0.5 }))
        const script = fileURLToPath(new URL('./far-script.ts', import.meta.url))
        for (let n = 0; n < 4; n++) await own.createTask('t', script)
        await deep('claim and commit a task', () => own.runTopTask('t'))
      }
      await own.close()
      const opened: TensorHub[] = []
      await deep('connect, there already', async () => {
        // Another URL each time: hubs of one share a client.
        const index = `${urls.index}&appName=deep${opened.length}`
        opened.push(await stores.connect({ index, blobs: name === 'gridfs' ? index : urls.blobs }))
      })
      for (const each of opened) await each.close()
    })
  })

/** Vitest takes minutes over 100 MiB. */
function isSame(loaded: unknown, weights: readonly Float32Array[]): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength)
  return weights.every((weight, i) =>
    bytes(weight).equals(bytes((loaded as readonly Float32Array[])[i] as Float32Array)),
  )
}

async function fill(url: string): Promise<void> {
  const index = openIndex(await openIndexUrl(url, { load: (name) => import(name) }))
  const content = { v: 1, format: 'value', tensors: [], chunks: [], bytes: 1, stored: 1, inline: 'AAAA' }
  const model = () => ({ _id: ulid(), project_name: 'tutorial', time: new Date(), model_name: 'many', content })
  for (let n = 0; n < LIST; n += 2000) await index.insert('models', Array.from({ length: 2000 }, model))
  await index.close()
}

/** Values that no two models share and no codec makes shorter. */
function noise(length: number, seed: number): Float32Array {
  let state = (seed + 1) * 2654435761
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  })
}
