import { type ErrorPlace, HubError, type Precondition, retrying, throwIfAborted } from '@tensorhub/core'
import { ObjectId } from 'mongodb'
import { isDuplicateKey } from '../errors.ts'
import { type ChunkDoc, type Collections, chunkId, fenceOf, fileDoc, isFence, type KeyRow } from './collections.ts'
import { areAllDuplicates, isAmbiguous } from './failures.ts'
import type { Slots } from './slots.ts'

export interface UploadCall {
  readonly at: ErrorPlace
  readonly signal?: AbortSignal | undefined
}

/**
 * Writes files: chunks, then the file's document, then the row of its key, which is the commit. Whatever fails before the commit leaves nothing visible, and a
 * commit happens at most once: it is an insert, or a replacement of the one file that was there.
 */
export class Uploader {
  readonly #collections: Collections
  readonly #slots: Slots
  readonly #timeout: number
  readonly #aliveMs: number
  readonly #now: () => Date

  /** @param o.now The store's time. @param o.aliveMs How often a lasting upload says that it lives. */
  constructor(
    collections: Collections,
    slots: Slots,
    o: { readonly timeout: number; readonly aliveMs: number; readonly now: () => Date },
  ) {
    this.#collections = collections
    this.#slots = slots
    this.#timeout = o.timeout
    this.#aliveMs = o.aliveMs
    this.#now = o.now
  }

  /** Chunks of a file from number `n` on. Sent again after a failure: what is there already is ours, since no other writer has this file's id. */
  async chunks(file: ObjectId, n: number, chunkSize: number, bytes: Uint8Array, call: UploadCall): Promise<void> {
    const documents: ChunkDoc[] = []
    for (let at = 0; at < bytes.byteLength; at += chunkSize, n++)
      documents.push({ _id: chunkId(file, n), files_id: file, n, data: bytes.subarray(at, at + chunkSize) })
    await this.#slots.run(async () => {
      throwIfAborted(call.signal, call.at)
      await this.again(async () => {
        try {
          await this.#collections.chunks.insertMany(documents, { ordered: false })
        } catch (error) {
          if (!areAllDuplicates(error)) throw error
        }
      }, call)
    })
  }

  /** Publishes a file whose chunks are all there, and frees the one that it replaces. @throws EXISTS or CONFLICT when the condition does not hold. */
  async commit(row: KeyRow, when: Precondition | undefined, call: UploadCall): Promise<void> {
    const { files } = this.#collections
    await this.again(async () => {
      try {
        await files.insertOne(fileDoc(row))
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
      }
    }, call)
    throwIfAborted(call.signal, call.at)
    const replaced = await this.#publish(row, when, call.at)
    // The write is done: should freeing the old file fail, `sweep` does it later.
    if (replaced !== undefined) await this.free([replaced]).catch(() => undefined)
  }

  /** Deletes files that no row names: first the document, so that no reader of the bucket finds a file without its chunks. */
  async free(ids: readonly ObjectId[]): Promise<void> {
    const { files, chunks } = this.#collections
    await this.again(() => files.deleteMany({ _id: { $in: ids } }))
    await this.again(() => chunks.deleteMany({ files_id: { $in: ids } }))
  }

  /** Makes sure that no commit of this file can happen any more. @returns false when it happened already. */
  async fence(file: ObjectId): Promise<boolean> {
    const { keys } = this.#collections
    const fence = fenceOf(file, this.#now())
    try {
      await keys.insertOne(fence)
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
    }
    const rows = await keys.find({ file }, { projection: { _id: 1 } }).toArray()
    if (rows.every(isFence)) return true
    // Beside the row of a key there is a fence only where the server does not hold the unique index; the commit came first.
    if (rows.length > 1) await keys.deleteOne({ _id: fence._id })
    return false
  }

  /** While an upload lasts, says so in the store once a minute, for `sweep` to see. @returns what ends it. */
  keepAlive(file: ObjectId): () => void {
    const { uploads } = this.#collections
    let told = false
    const timer = setInterval(() => {
      told = true
      // One that fails is followed by the next; and an upload that was taken for dead can't commit, so nothing is lost.
      uploads.updateOne({ _id: file }, { $currentDate: { at: true } }, { upsert: true }).catch(() => undefined)
    }, this.#aliveMs)
    timer.unref()
    return () => {
      clearInterval(timer)
      // A report that stays is freed by `sweep`.
      if (told) uploads.deleteOne({ _id: file }).catch(() => undefined)
    }
  }

  /** The commit. @returns the file that was replaced. */
  async #publish(row: KeyRow, when: Precondition | undefined, at: ErrorPlace): Promise<ObjectId | undefined> {
    let old = when !== undefined && 'ifVersion' in when ? new ObjectId(when.ifVersion) : undefined
    try {
      for (;;) {
        if (old === undefined ? await this.#insert(row) : await this.#replace(row, old)) return old
        const fenceId = fenceOf(row.file, this.#now())._id
        const rows = await this.#collections.keys.find({ _id: { $in: [row._id, fenceId] } }).toArray()
        const current = rows.find(({ _id }) => _id === row._id) as KeyRow | undefined
        // The driver sends a request again when its answer is lost; where the server does not know it again, the second is refused because of the first.
        if (current?.file.equals(row.file) || current?.replaced?.equals(row.file)) return old
        if (rows.some(isFence)) throw swept(at)
        if (when !== undefined) throw refused(when, at)
        old = current?.file
      }
    } catch (error) {
      if (!isAmbiguous(error)) throw error
      if (await this.#hasLanded(row, at, error)) return old
      throw new HubError(
        'UNAVAILABLE',
        `The server did not answer the commit of blob '${at.target}', and did not do it: nothing was stored, write it again.`,
        { at, retryable: true, reason: 'COMMIT_LOST', cause: error },
      )
    }
  }

  /** After a commit without an answer: whether it was done. If not, it is fenced: it can't come late either. @throws UNKNOWN when that can't be found out. */
  async #hasLanded(row: KeyRow, at: ErrorPlace, cause: unknown): Promise<boolean> {
    const { keys } = this.#collections
    const { _id, file } = row
    try {
      return await this.again(async () => {
        for (;;) {
          // A write that changes nothing is confirmed only when what it saw is durable: reading could see what a failover takes back.
          const { matchedCount } = await keys.updateOne({ _id, file }, { $set: { file } })
          if (matchedCount === 1) return true
          if (await this.fence(file)) return (await keys.findOne({ _id, replaced: file })) !== null
        }
      })
    } catch (error) {
      throw new HubError(
        'UNKNOWN',
        `The server did not answer the commit of blob '${at.target}', nor whether it did it; read the blob before you write it again.`,
        { at, cause: new AggregateError([cause, error], 'the commit, and the question after it') },
      )
    }
  }

  async #insert(row: KeyRow): Promise<boolean> {
    try {
      await this.#collections.keys.insertOne(row)
      return true
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  async #replace({ _id, ...rest }: KeyRow, old: ObjectId): Promise<boolean> {
    try {
      const row: Omit<KeyRow, '_id'> = { ...rest, replaced: old }
      const { matchedCount } = await this.#collections.keys.replaceOne({ _id, file: old }, row)
      return matchedCount === 1
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  /** For requests that may be sent twice: again while they fail in passing, within the timeout. */
  again<T>(work: () => Promise<T>, call: Partial<UploadCall> = {}): Promise<T> {
    return retrying(work, {
      isTransient: isAmbiguous,
      attempts: ATTEMPTS,
      withinMs: this.#timeout,
      ...(call.at && { at: call.at }),
      ...(call.signal && { signal: call.signal }),
    })
  }
}

/** With waits of up to 0.1, 0.2, 0.4 … 5 s: about the 10 to 20 s that a server needs to come back, or another to be elected. */
const ATTEMPTS = 10

function swept(at: ErrorPlace): HubError {
  return new HubError(
    'CONFLICT',
    `The upload of blob '${at.target}' was taken for dead and freed by a collection that ran meanwhile; write it again, and give collections a longer grace.`,
    { at, retryable: true, reason: 'UPLOAD_SWEPT' },
  )
}

function refused(when: Precondition, at: ErrorPlace): HubError {
  return 'ifAbsent' in when
    ? new HubError('EXISTS', `Blob '${at.target}' exists already.`, { at })
    : new HubError('CONFLICT', `Blob '${at.target}' has another version by now, or was deleted.`, { at })
}
