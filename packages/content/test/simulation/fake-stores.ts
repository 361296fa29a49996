import {
  applyChange,
  type BlobDriver,
  type BlobInfo,
  type Call,
  type Change,
  type Doc,
  HubError,
  type IndexDriver,
  matches,
  type Order,
  type Path,
  type Predicate,
} from '@tensorhub/core'
import type { Actor, Scheduler } from './scheduler.ts'

/** The world's state: what the two stores hold. */
export interface World {
  readonly docs: Map<string, Map<string, Doc>>
  readonly blobs: Map<string, { readonly bytes: Uint8Array; readonly modified: number }>
  /** Called after every deletion of a blob. */
  onBlobDeleted: () => void
}

/**
 * Deliberate breakage, to see that the simulation finds losses: the variants that look right and lose (tasks.md §8.3), and two more. It lies in
 * these fakes; the product has no such switches.
 * - `late-clock`: a collector compares pins and ages with the moment of its decision rather than with the pass's start.
 * - `no-age-check`: rows are live at once, however long ago their blob was uploaded.
 * - `no-verify`: the look back of step S6 is always told what it wants to hear.
 * - `no-pins`: mark and sweep: a collector sees no pin and no reprieve, and takes every row that no document named when it looked.
 * - `young-blobs`: a collector takes blobs for a day older than they are.
 */
export const MUTATIONS = ['late-clock', 'no-age-check', 'no-verify', 'no-pins', 'young-blobs'] as const
export type Mutation = (typeof MUTATIONS)[number]

/** A moment that, seen from a collector whose clock is late, draws nearer as time goes on. */
class LateDate extends Date {
  readonly #drift: () => number

  constructor(moment: number, drift: () => number) {
    super(moment)
    this.#drift = drift
  }

  override getTime(): number {
    return super.getTime() - this.#drift()
  }
}

const indexCan = { maxDocBytes: 2 ** 24, transactions: true, uniqueKeys: false, watch: false } as const

/** An index as one process sees it. Every call waits before and after its effect. */
export function fakeIndex(
  world: World,
  scheduler: Scheduler,
  actor: Actor,
  mutation: Mutation | undefined,
): IndexDriver {
  const coll = (name: string) => {
    let docs = world.docs.get(name)
    if (docs === undefined) {
      docs = new Map()
      world.docs.set(name, docs)
    }
    return docs
  }
  const found = (name: string, where: Predicate) => [...coll(name).values()].filter((doc) => matches(where, doc))
  const step = <T>(effect: () => T): Promise<T> => oneCall(scheduler, actor, effect)
  /** The document that was inserted last and is not yet looked back at. */
  let unverified: Doc | undefined
  /** A row as a collector sees it. */
  const seen = (row: Doc): Doc => {
    if (!actor.name.startsWith('collector')) return row
    if (mutation === 'no-pins' && row.state !== 'deleting')
      return { ...row, state: 'condemned', at: new Date(0), pinned_until: new Date(0) }
    if (mutation === 'late-clock') {
      const { lastNow } = actor
      return {
        ...row,
        pinned_until: new LateDate((row.pinned_until as Date).getTime(), () => scheduler.now - lastNow),
      }
    }
    return row
  }
  const fresh = (change: Doc): Doc =>
    mutation === 'no-age-check' && change.state === 'fresh' ? { ...change, state: 'live' } : change
  return {
    scheme: 'fake',
    can: indexCan,
    ensureIndex: async () => undefined,
    insert: (name, docs) =>
      step(() => {
        for (const doc of docs) if (coll(name).has(doc._id)) throw new HubError('EXISTS', doc._id)
        for (const doc of docs) coll(name).set(doc._id, fresh(doc))
        if (name !== '_chunks') unverified = docs[0]
      }),
    async *find(name: string, where: Predicate, o: Call & { order: Order; limit?: number; fields?: readonly Path[] }) {
      await scheduler.point(actor)
      const docs = found(name, where).slice(0, o.limit)
      const told =
        mutation === 'no-verify' && name === '_chunks' && unverified !== undefined && actor.name.startsWith('writer')
          ? pretend(where, unverified, world)
          : docs
      unverified = undefined
      for (const doc of told) {
        // A scan is no snapshot.
        if (scheduler.random() < 0.1) await scheduler.point(actor)
        yield name === '_chunks' ? seen(doc) : doc
      }
      await scheduler.point(actor)
    },
    count: (name, where) => step(() => found(name, where).length),
    update: (name, where, change) =>
      step(() => {
        const docs = found(name, where)
        for (const doc of docs) coll(name).set(doc._id, applyChange(doc, change))
        return docs.length
      }),
    takeOne: (name: string, where: Predicate, change: Change) =>
      step(() => {
        const doc = [...coll(name).values()].find((one) => matches(where, seen(one)))
        if (doc === undefined) return null
        const after = fresh(applyChange(doc, change))
        coll(name).set(doc._id, after)
        return after
      }),
    delete: (name, where) =>
      step(() => {
        const docs = found(name, where)
        for (const doc of docs) coll(name).delete(doc._id)
        return docs.length
      }),
    now: () =>
      step(() => {
        actor.lastNow = scheduler.now
        return new Date(scheduler.now)
      }),
  }
}

/** One call of a store: it waits before and after its effect, and its request or its reply may get lost. */
async function oneCall<T>(scheduler: Scheduler, actor: Actor, effect: () => T): Promise<T> {
  await scheduler.point(actor)
  if (scheduler.loses()) throw lost('request')
  const result = effect()
  await scheduler.point(actor)
  if (scheduler.loses()) throw lost('reply')
  return result
}

function lost(what: string): HubError {
  return new HubError('UNAVAILABLE', `The ${what} got lost.`, { at: { scheme: 'fake', op: 'call' }, retryable: true })
}

/** Rows as a document wants them. */
function pretend(where: Predicate, doc: Doc, world: World): Doc[] {
  if (where.op !== 'in') return []
  let content = doc.content as unknown as { chunks?: { id: string; key: string }[]; manifest?: { key: string } }
  const blob = content.manifest && world.blobs.get(content.manifest.key)
  if (blob) content = JSON.parse(new TextDecoder().decode(blob.bytes)) as { chunks: { id: string; key: string }[] }
  const keys = new Map(content.chunks?.map((chunk) => [chunk.id, chunk.key]))
  return where.values.map((id) => ({ _id: String(id), state: 'live', key: keys.get(String(id)) ?? String(id) }))
}

/** Whether a blob without a row is younger than a day at this moment. */
function isYoung(world: World, key: string, now: number): boolean {
  for (const row of world.docs.get('_chunks')?.values() ?? [])
    if (row.key === key && row.state === 'deleting') return false
  return now - (world.blobs.get(key)?.modified ?? 0) <= 24 * 3_600_000
}

/** Blobs as one process sees them. */
export function fakeBlobs(
  world: World,
  scheduler: Scheduler,
  actor: Actor,
  mutation: Mutation | undefined,
): BlobDriver {
  const step = <T>(effect: () => T): Promise<T> => oneCall(scheduler, actor, effect)
  const info = (key: string): BlobInfo => {
    const blob = world.blobs.get(key)
    if (blob === undefined) throw new HubError('NOT_FOUND', key)
    const older = mutation === 'young-blobs' ? 25 * 3_600_000 : 0
    // With the late clock a blob's age is looked at when it is deleted, below.
    const modified = new Date(mutation === 'late-clock' ? 0 : blob.modified - older)
    return { key, size: blob.bytes.byteLength, modified, version: '1' }
  }
  const writeBytes = (key: string, bytes: Uint8Array) =>
    step(() => {
      world.blobs.set(key, { bytes: bytes.slice(), modified: scheduler.now })
      return info(key)
    })
  return {
    scheme: 'fake',
    can: {
      ifAbsent: false,
      ifVersion: false,
      meta: false,
      copy: false,
      sign: false,
      partMin: 1,
      partMax: 2 ** 30,
      partsMax: 1000,
      sizeMax: 2 ** 40,
      deleteMax: 1000,
    },
    stat: (key) => step(() => info(key)),
    read: (key) =>
      step(() => {
        const found = info(key)
        const { bytes } = world.blobs.get(key) as { bytes: Uint8Array }
        return { info: found, body: ReadableStream.from([bytes.slice()]) as ReadableStream<Uint8Array> }
      }),
    readInto: (key, into, { offset }) =>
      step(() => {
        const found = info(key)
        const { bytes } = world.blobs.get(key) as { bytes: Uint8Array }
        if (offset + into.byteLength > bytes.byteLength) throw new HubError('RANGE', key)
        into.set(bytes.subarray(offset, offset + into.byteLength))
        return found
      }),
    async write(key, body) {
      return writeBytes(
        key,
        new Uint8Array(await new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer()),
      )
    },
    writeBytes,
    delete: (keys) =>
      step(() => {
        for (const key of keys) {
          if (mutation === 'late-clock' && isYoung(world, key, scheduler.now)) continue
          world.blobs.delete(key)
          world.onBlobDeleted()
        }
      }),
    async *list(prefix) {
      await scheduler.point(actor)
      for (const key of [...world.blobs.keys()]) {
        if (!key.startsWith(prefix) || !world.blobs.has(key)) continue
        if (scheduler.random() < 0.1) await scheduler.point(actor)
        if (world.blobs.has(key)) yield info(key)
      }
      await scheduler.point(actor)
    },
  }
}
