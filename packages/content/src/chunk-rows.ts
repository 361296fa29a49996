import { crc32 } from 'node:zlib'
import {
  type BlobStore,
  type Call,
  type Doc,
  HubError,
  type IndexStore,
  isHubError,
  type Predicate,
  retrying,
} from '@tensorhub/core'
import { type Codec, freshKey } from './chunk-codec.ts'

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
  /** Of the stored bytes, where they are compressed. */
  readonly crc: number | null
  /** `fresh`: uploaded, and not yet known to have been entered in time (see {@link ChunkRows}). */
  readonly state: 'fresh' | 'live' | 'condemned' | 'deleting'
  /** Raised by every change of the row: what a collector decided on is checked against it. */
  readonly _rev: number
  readonly pinned_until: Date
  /** When the upload began (`fresh`), or when the row was condemned. */
  readonly at?: Date
}

/** A chunk to be stored: its id, and what is stored of it. */
export interface NewChunk {
  readonly id: string
  readonly size: number
  /** The bytes as they are to be stored. Asked for only when the store does not have the chunk. */
  encoded(call: Call): Promise<EncodedChunk>
  /** Hashes the bytes anew, where they are the caller's own memory, which the caller may have changed since. */
  rehash?(): Promise<string>
}

export interface EncodedChunk {
  readonly codec: Codec
  readonly bytes: Uint8Array
}

export interface PlacedChunk {
  readonly key: string
  readonly stored: number
  readonly crc?: number
}

/** What one save has placed so far. `since` is no later than the oldest of its pins and uploads: step S4 measures from there. */
export class Placement {
  since: Date
  /** The newest reading of the store's clock that this save has; any delay may lie between it and now. */
  read: Date
  readonly placed = new Map<string, PlacedChunk>()
  /** Keys this save uploaded, whose rows may still be `fresh`. */
  readonly fresh = new Set<string>()

  constructor(since: Date) {
    this.since = since
    this.read = since
  }

  /** Chunks are placed several batches at a time, whose readings come in any order. */
  sawTime(now: Date): void {
    if (now > this.read) this.read = now
  }
}

/** How often one chunk may lose a race before the save is told to start again. */
const ROUNDS = 20
/** Ids or keys in one filter. */
const BATCH = 500

/**
 * Steps S1 to S4 of the write protocol (tasks.md §8.2): for each chunk a live, pinned row and the key of its blob. Only plain calls of the stores
 * are used, and time is read from the store.
 *
 * One state is added to the protocol as written there. A collector deletes a blob that is older than GRACE and has no row; so a row must be
 * entered within GRACE of its upload. A process can be suspended between reading the clock and entering the row, and the row it then enters may
 * name a blob that is gone, while other writers already rely on it. Hence rows are entered as `fresh`, and become `live` only by a change that
 * comes after a reading of the clock that itself came after the row was seen: that proves it was entered in time. (The reference simulation checks
 * and enters in one step, and so can't show this; ours does, see `test/simulation/`.) Any writer may confirm any row so. For the save's own rows
 * this is step S4, which reads the clock anyway: the cost is one update a save.
 */
export class ChunkRows {
  readonly #index: IndexStore
  readonly #blobs: BlobStore

  constructor(index: IndexStore, blobs: BlobStore) {
    this.#index = index
    this.#blobs = blobs
  }

  async begin(call: Call): Promise<Placement> {
    return new Placement(await this.#index.now(call))
  }

  /**
   * S1 to S3: pins or uploads each chunk, whose rows are then entered together. Where a quarter of PIN is over since the save began, what was placed before is
   * confirmed and pinned anew first.
   *
   * @throws CONFLICT (retryable) when a collector was faster.
   */
  async place(
    chunks: readonly NewChunk[],
    placement: Placement,
    call: Call,
    done: (bytes: number) => void,
  ): Promise<void> {
    let open = new Map(chunks.map((chunk) => [chunk.id, chunk]))
    const told = new Set<string>()
    const tell = ({ id, size }: NewChunk) => {
      if (told.has(id)) return
      told.add(id)
      done(size)
    }
    // No reading of its own: that of the last batch is as good as one after which this process was held up, and to a far store it is a round trip.
    let now = isOld(placement, placement.read) ? await this.renew(placement, call) : placement.read
    for (let round = 0; open.size > 0; round++) {
      if (round >= ROUNDS) {
        throw new HubError('CONFLICT', 'Other writers and collectors kept changing the same chunks; try again.', {
          at: { scheme: 'content', op: 'save' },
          retryable: true,
        })
      }
      if (round > 0) now = await this.#index.now(call)
      const { usable, at: began } = await this.#pin([...open.keys()], now, call)
      placement.sawTime(began)
      for (const [id, place] of usable) {
        placement.placed.set(id, place)
        tell(open.get(id) as NewChunk)
      }
      const missing = [...open.values()].filter(({ id }) => !usable.has(id))
      const uploads = await Promise.allSettled(
        missing.map(async (chunk) => {
          const row = await this.#upload(chunk, call)
          tell(chunk)
          return row
        }),
      )
      // All have ended when one's failure is told: nothing goes on behind the caller's back.
      const failed = uploads.find((result) => result.status === 'rejected')
      const rows = uploads.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      if (failed !== undefined) {
        // What was uploaded is there for the next try, if its rows can still be entered; the failure to tell is the first one.
        if (!call.signal?.aborted) await this.#enter(rows, began, call).catch(() => undefined)
        throw failed.reason
      }
      const entered = await this.#enter(rows, began, call)
      const next = new Map(missing.map((chunk) => [chunk.id, chunk]))
      for (const row of entered) {
        next.delete(row.id)
        placement.fresh.add(row.key)
        placement.placed.set(row.id, placeOf(row))
      }
      open = next
    }
  }

  /**
   * For long saves: when a quarter of PIN is over, confirms and pins all that was placed, anew.
   *
   * @returns the store's time.
   * @throws CONFLICT (retryable) when a collector was faster.
   */
  async renew(placement: Placement, call: Call): Promise<Date> {
    const now = await this.#index.now(call)
    placement.sawTime(now)
    if (!isOld(placement, now)) return now
    // Other chunks may be placed meanwhile; only these are renewed.
    const held = new Map(placement.placed)
    const usable = await this.pin([...held.keys()], call)
    for (const [id, place] of held) {
      if (usable.get(id)?.key === place.key) {
        placement.fresh.delete(place.key)
        continue
      }
      throw new HubError(
        'CONFLICT',
        'The save was interrupted for so long that a collector freed some of its chunks; nothing was stored, try again.',
        {
          at: { scheme: 'content', op: 'save' },
          retryable: true,
        },
      )
    }
    placement.since = now
    return now
  }

  /** S4: whether everything was placed recently enough; then the save's own rows are confirmed. */
  async confirm(placement: Placement, call: Call): Promise<boolean> {
    const now = await this.#index.now(call)
    if (now.getTime() - placement.since.getTime() > Math.min(PIN, GRACE) / 2) return false
    await this.#confirm([...placement.fresh], now, call)
    return true
  }

  /** Makes rows live that were seen `fresh` before `now` was read, and in time. */
  async #confirm(keys: readonly string[], now: Date, call: Call): Promise<void> {
    for (let i = 0; i < keys.length; i += BATCH) {
      const where: Predicate = {
        op: 'and',
        of: [
          { op: 'eq', path: ['state'], value: 'fresh' },
          { op: 'gte', path: ['at'], value: new Date(now.getTime() - GRACE / 2) },
          { op: 'in', path: ['_id'], values: keys.slice(i, i + BATCH).map(idOfKey) },
          // Keys are never used twice, so this names one writing of the row.
          { op: 'in', path: ['key'], values: keys.slice(i, i + BATCH) },
        ],
      }
      await this.#update(where, now, call)
    }
  }

  /**
   * Pins and makes live. Doing it twice is as good as once, so that it is repeated where its answer was lost or another write was in the way: the save
   * of hours must not end there.
   */
  #update(where: Predicate, now: Date, call: Call): Promise<number> {
    const change = { set: { state: 'live', pinned_until: new Date(now.getTime() + PIN) } }
    return retrying(() => this.#index.update(ROWS, where, change, call), {
      isTransient: mayBeRepeated,
      attempts: 8,
      baseMs: 50,
      ...call,
    })
  }

  /** S1: pins the rows that are there, and gives those that are live with a pin that lasts. */
  async pin(ids: readonly string[], call: Call): Promise<Map<string, PlacedChunk>> {
    return (await this.#pin(ids, await this.#index.now(call), call)).usable
  }

  /** @param began Read from the store no later than this is called. @returns `at`, a time of the store before this returns. */
  async #pin(ids: readonly string[], began: Date, call: Call): Promise<{ usable: Map<string, PlacedChunk>; at: Date }> {
    const usable = new Map<string, PlacedChunk>()
    let at = began
    for (let i = 0; i < ids.length; i += BATCH) {
      const some: Predicate = { op: 'in', path: ['_id'], values: ids.slice(i, i + BATCH) }
      const stored: Predicate = { op: 'and', of: [some, { op: 'in', path: ['state'], values: ['live', 'condemned'] }] }
      await this.#update(stored, at, call)
      // At once: the time tells only how long pins last, and that may be found too long by the time of a round trip.
      let [rows, now] = await Promise.all([this.#rows(some, call), this.#index.now(call)])
      if (rows.some((row) => row.state === 'fresh')) {
        // Only a time that was read after the row was seen shows that it was entered in time.
        now = await this.#index.now(call)
        const time = now.getTime()
        const inTime = rows.filter((row) => row.state === 'fresh' && time - (row.at?.getTime() ?? 0) <= GRACE / 2)
        if (inTime.length > 0) {
          const keys = inTime.map((row) => row.key)
          await this.#confirm(keys, now, call)
          rows = await this.#rows(some, call)
        }
      }
      for (const row of rows) {
        if (row.state === 'live' && row.pinned_until.getTime() > now.getTime() + PIN / 2)
          usable.set(row._id, placeOf(row))
      }
      at = now
    }
    return { usable, at }
  }

  /** S2 for one chunk. @returns what its row is to say. */
  async #upload(chunk: NewChunk, call: Call): Promise<NewRow> {
    const { codec, bytes } = await chunk.encoded(call)
    const key = freshKey(chunk.id, codec)
    await this.#blobs.write(key, bytes, {
      ...call,
      ...(codec === 'raw' ? { sha256: chunk.id.slice('sha256:'.length) } : {}),
    })
    // Bytes that are not what their id says would be given to every later save of the right ones. No row names the blob yet: it is collected.
    if (chunk.rehash !== undefined && (await chunk.rehash()) !== chunk.id)
      throw new HubError(
        'INVALID',
        'The value was changed while it was being saved; nothing was stored. Wait for the save before changing its arrays, or save a copy.',
        { at: { scheme: 'content', op: 'save' }, reason: 'VALUE_CHANGED' },
      )
    return { id: chunk.id, key, stored: bytes.byteLength, crc: codec === 'raw' ? null : crc32(bytes) }
  }

  /** Stores bytes that are never shared (a manifest) under their own key, with a row like any chunk's. */
  async storeOwn(key: string, bytes: Uint8Array, placement: Placement, call: Call): Promise<boolean> {
    const began = await this.#index.now(call)
    await this.#blobs.write(key, bytes, call)
    const [row] = await this.#enter([{ id: key, key, stored: bytes.byteLength, crc: null }], began, call)
    if (row === undefined) return false
    placement.fresh.add(key)
    placement.placed.set(key, placeOf(row))
    return true
  }

  /**
   * S3, in one request where no row stands in the way. @param began The store's time before the first of the uploads.
   * @returns those that were entered; another writer or a collector got in the way of the others (back to S1).
   */
  async #enter(rows: readonly NewRow[], began: Date, call: Call): Promise<NewRow[]> {
    const entered: NewRow[] = []
    for (let i = 0; i < rows.length; i += BATCH) {
      const some = rows.slice(i, i + BATCH)
      try {
        await this.#index.insert(
          ROWS,
          some.map((row) => ({ _id: row.id, ...fieldsOf(row, began) })),
          call,
        )
        entered.push(...some)
      } catch (error) {
        if (!isHubError(error, 'EXISTS')) throw error
        const stored = new Set(error.stored)
        for (const row of some) if (stored.has(row.id) || (await this.#enterOne(row, began, call))) entered.push(row)
      }
    }
    return entered
  }

  async #enterOne(row: NewRow, began: Date, call: Call): Promise<boolean> {
    const fields = fieldsOf(row, began)
    try {
      await this.#index.insert(ROWS, [{ _id: row.id, ...fields }], call)
      return true
    } catch (error) {
      if (!isHubError(error, 'EXISTS')) throw error
    }
    // The row exists. A fresh one that is too old to be confirmed, or one being deleted, takes our key; any other is used by the next round,
    // and our blob is collected.
    const abandoned: Predicate = {
      op: 'or',
      of: [
        { op: 'eq', path: ['state'], value: 'deleting' },
        {
          op: 'and',
          of: [
            { op: 'eq', path: ['state'], value: 'fresh' },
            { op: 'lt', path: ['at'], value: new Date(began.getTime() - GRACE / 2) },
          ],
        },
      ],
    }
    const taken = await this.#index.takeOne(
      ROWS,
      { op: 'and', of: [{ op: 'eq', path: ['_id'], value: row.id }, abandoned] },
      { set: fields },
      call,
    )
    return taken !== null
  }

  /** S6: whether every row is live with the key the manifest names. */
  async verify(keys: ReadonlyMap<string, string>, call: Call): Promise<boolean> {
    const ids = [...keys.keys()]
    let good = 0
    for (let i = 0; i < ids.length; i += BATCH) {
      for (const row of await this.#rows({ op: 'in', path: ['_id'], values: ids.slice(i, i + BATCH) }, call)) {
        if (row.state === 'live' && row.key === keys.get(row._id)) good++
      }
    }
    return good === ids.length
  }

  async #rows(where: Predicate, call: Call): Promise<ChunkRow[]> {
    const rows: ChunkRow[] = []
    for await (const doc of this.#index.find(ROWS, where, call)) rows.push(rowOf(doc))
    return rows
  }
}

/** Whether a quarter of PIN is over since the first of what was placed. */
function isOld(placement: Placement, now: Date): boolean {
  return now.getTime() - placement.since.getTime() > PIN / 4
}

/** Its answer was lost (whether it was done is not known), it stood in another write's way, or the store wants a pause. */
function mayBeRepeated(error: unknown): boolean {
  if (isHubError(error, 'UNKNOWN')) return error.reason === 'REPLY_LOST'
  return isHubError(error, 'THROTTLED') && error.retryable
}

/** A row that is to be entered for an uploaded blob. */
interface NewRow extends Pick<ChunkRow, 'key' | 'stored' | 'crc'> {
  readonly id: string
}

function fieldsOf({ key, stored, crc }: NewRow, began: Date) {
  return { key, stored, crc, state: 'fresh', at: began, pinned_until: new Date(began.getTime() + PIN) } as const
}

function placeOf({ key, stored, crc }: Pick<ChunkRow, 'key' | 'stored' | 'crc'>): PlacedChunk {
  return { key, stored, ...(typeof crc === 'number' ? { crc } : {}) }
}

/** The row's id of a chunk's key; a manifest's key is its own id. */
function idOfKey(key: string): string {
  return key.startsWith('c/') ? `sha256:${key.slice(5, key.indexOf('-'))}` : key
}

export function rowOf(doc: Doc): ChunkRow {
  return doc as Doc & ChunkRow
}
