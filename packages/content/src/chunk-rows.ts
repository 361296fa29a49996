import { type BlobStore, type Call, type Doc, HubError, type IndexStore, isHubError, type Predicate } from '@tensorhub/core'
import { encodeChunk, freshKey } from './chunk-codec.ts'

/** Rows are one a chunk, hub-wide (tasks.md §8.2). */
export const ROWS = '_chunks'
const HOUR = 60 * 60 * 1000
/** How long a pin keeps a chunk that no document names yet, and how old an unnamed blob must be to be collected; store time. */
export const PIN = 24 * HOUR
export const GRACE = 24 * HOUR

export interface ChunkRow {
  readonly _id: string
  readonly key: string
  readonly stored: number
  readonly state: 'live' | 'condemned' | 'deleting'
  readonly ver: number
  readonly pinned_until: Date
  readonly at?: Date
}

/** A chunk to be stored: its id, and a way to its raw bytes (called only when they must be uploaded). */
export interface NewChunk {
  readonly id: string
  readonly size: number
  raw(): Uint8Array
}

export interface PlacedChunk {
  readonly key: string
  readonly stored: number
}

/** How often one chunk may lose a race before the save is told to start again. */
const ROUNDS = 20

/**
 * Steps S1 to S3 of the write protocol: for each chunk a live, pinned row and the key of its blob. Only plain calls of the stores are used, and
 * time is read from the store at each decision, so that a suspended process cannot act on an old one.
 */
export class ChunkRows {
  readonly #index: IndexStore
  readonly #blobs: BlobStore

  constructor(index: IndexStore, blobs: BlobStore) {
    this.#index = index
    this.#blobs = blobs
  }

  /** Pins and uploads. @returns the key of each id, in the ids' order. */
  async place(chunks: readonly NewChunk[], call: Call, uploaded: (bytes: number) => void): Promise<Map<string, PlacedChunk>> {
    const placed = new Map<string, PlacedChunk>()
    let open = new Map(chunks.map((chunk) => [chunk.id, chunk]))
    for (let round = 0; open.size > 0; round++) {
      if (round >= ROUNDS) throw new HubError('CONFLICT', 'Other writers and collectors kept changing the same chunks; try again.', { at: { scheme: 'content', op: 'save' }, retryable: true })
      const rows = await this.pin([...open.keys()], call)
      const next = new Map<string, NewChunk>()
      await Promise.all(
        [...open.values()].map(async (chunk) => {
          const row = rows.get(chunk.id)
          const key = row ?? (await this.#upload(chunk, call))
          if (key === undefined) next.set(chunk.id, chunk)
          else {
            placed.set(chunk.id, key)
            uploaded(chunk.size)
          }
        }),
      )
      open = next
    }
    return placed
  }

  /** S1: pins the rows that are there, and gives those that are live with a pin that lasts. */
  async pin(ids: readonly string[], call: Call): Promise<Map<string, PlacedChunk>> {
    const found = new Map<string, PlacedChunk>()
    for (let i = 0; i < ids.length; i += 500) {
      const some: Predicate = { op: 'in', path: ['_id'], values: ids.slice(i, i + 500) }
      const t0 = await this.#index.now(call)
      await this.#index.update(
        ROWS,
        { op: 'and', of: [some, { op: 'in', path: ['state'], values: ['live', 'condemned'] }] },
        { set: { state: 'live', pinned_until: new Date(t0.getTime() + PIN) }, inc: { ver: 1 } },
        call,
      )
      const now = (await this.#index.now(call)).getTime()
      for await (const doc of this.#index.find(ROWS, some, call)) {
        const row = rowOf(doc)
        if (row.state === 'live' && row.pinned_until.getTime() > now + PIN / 2) found.set(row._id, { key: row.key, stored: row.stored })
      }
    }
    return found
  }

  /** S2 and S3 for one chunk. @returns its key, or undefined when another writer or a collector got in between (back to S1). */
  async #upload(chunk: NewChunk, call: Call): Promise<PlacedChunk | undefined> {
    const began = await this.#index.now(call)
    const { codec, bytes } = await encodeChunk(chunk.raw())
    const key = freshKey(chunk.id, codec)
    await this.#blobs.write(key, bytes, { ...call, ...(codec === 'raw' ? { sha256: chunk.id.slice('sha256:'.length) } : {}) })
    const now = await this.#index.now(call)
    // An old upload may be under collection already: it has no row yet.
    if (now.getTime() - began.getTime() > GRACE / 2) return undefined
    const pinned_until = new Date(now.getTime() + PIN)
    try {
      await this.#index.insert(ROWS, [{ _id: chunk.id, key, stored: bytes.byteLength, state: 'live', ver: 0, pinned_until }], call)
      return { key, stored: bytes.byteLength }
    } catch (error) {
      if (!isHubError(error, 'EXISTS')) throw error
    }
    // The row exists. One that is being deleted may take our key; a live or condemned one is pinned by the next round, and our blob is collected.
    const taken = await this.#index.takeOne(
      ROWS,
      { op: 'and', of: [{ op: 'eq', path: ['_id'], value: chunk.id }, { op: 'eq', path: ['state'], value: 'deleting' }] },
      { set: { key, stored: bytes.byteLength, state: 'live', pinned_until }, inc: { ver: 1 } },
      call,
    )
    return taken === null ? undefined : { key, stored: bytes.byteLength }
  }

  /** S6: whether every row is live with the key the manifest names. */
  async verify(keys: ReadonlyMap<string, string>, call: Call): Promise<boolean> {
    const ids = [...keys.keys()]
    let good = 0
    for (let i = 0; i < ids.length; i += 500) {
      for await (const doc of this.#index.find(ROWS, { op: 'in', path: ['_id'], values: ids.slice(i, i + 500) }, call)) {
        const row = rowOf(doc)
        if (row.state === 'live' && row.key === keys.get(row._id)) good++
      }
    }
    return good === ids.length
  }
}

export function rowOf(doc: Doc): ChunkRow {
  return doc as Doc & ChunkRow
}
