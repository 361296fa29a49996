import { randomUUID } from 'node:crypto'
import type { BlobRequestConditions } from '@azure/storage-blob'
import {
  type BlobInfo,
  type Call,
  type ErrorPlace,
  HubError,
  isHubError,
  type PartUpload,
  type Precondition,
  type WriteOptions,
} from '@tensorhub/core'
import { isAmbiguous } from './errors.ts'
import { type Answer, etagOf, infoOf } from './info.ts'
import { encodeMeta, nonceOf } from './metadata.ts'
import { isTransient } from './requests.ts'
import { blobOf, type Store } from './store.ts'

type Conditional = Call & { readonly when?: Precondition }

/** When an upload in blocks began, by the service's clock. */
export interface Session {
  began?: Date
}

/** One write of one key. Its nonce is in the ids of its blocks and in the blob's metadata. */
export class Write implements PartUpload<Session> {
  readonly #store: Store
  readonly #key: string
  readonly #at: ErrorPlace
  readonly #nonce = randomUUID()
  readonly #options: Pick<WriteOptions, 'contentType' | 'meta'>
  #size = 0

  constructor(store: Store, key: string, at: ErrorPlace, options: Pick<WriteOptions, 'contentType' | 'meta'>) {
    this.#store = store
    this.#key = key
    this.#at = at
    this.#options = options
  }

  get nonce(): string {
    return this.#nonce
  }

  async once(bytes: Uint8Array, o: Conditional): Promise<BlobInfo> {
    this.#size = bytes.byteLength
    const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const blob = blobOf(this.#store, this.#key)
    return this.commit(this.#size, { ...o, bytes: this.#size }, (conditions, abortSignal) =>
      blob.upload(body, body.byteLength, { ...this.#stored, conditions, abortSignal }),
    )
  }

  async begin(): Promise<Session> {
    return {}
  }

  /**
   * Ids name this upload, so that blocks of two uploads of one key never stand for each other. All are of one length, as the service demands of the blocks
   * of a blob, and of that which the SDK's own uploads have. https://learn.microsoft.com/rest/api/storageservices/put-block#uri-parameters
   */
  async part(session: Session, n: number, bytes: Uint8Array, o: Call): Promise<string> {
    const id = Buffer.from(this.#nonce + String(n).padStart(12, '0')).toString('base64')
    const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const blob = blobOf(this.#store, this.#key)
    const sized = { ...o, bytes: body.byteLength, changes: true }
    const { date } = await this.#store.requests.repeated(this.#at, sized, (abortSignal) =>
      blob.stageBlock(id, body, body.byteLength, { abortSignal }),
    )
    if (date !== undefined && (session.began === undefined || date < session.began)) session.began = date
    this.#size += body.byteLength
    return id
  }

  /**
   * The commit of another writer of the same key discards the blocks of this one: "any uncommitted blocks not included in the block list" of Put Block List,
   * and all of them at a Put Blob. https://learn.microsoft.com/rest/api/storageservices/put-block-list#remarks
   * Such a write has been overtaken: it ends as if it had been done just before the other one, which is what writers without a condition agree to.
   */
  async finish(session: Session, tags: readonly string[], o: Conditional): Promise<BlobInfo> {
    const blob = blobOf(this.#store, this.#key)
    try {
      return await this.commit(this.#size, { ...o, bytes: tags.length * 100 }, (conditions, abortSignal) =>
        blob.commitBlockList([...tags], { ...this.#stored, conditions, abortSignal }),
      )
    } catch (error) {
      if (!isHubError(error) || error.reason !== 'BLOCKS_GONE') throw error
      return this.#overtaken(error, session, o)
    }
  }

  /** Blocks cannot be deleted: the service frees them a week after the last one came, or at the next commit of the key. */
  async abort(): Promise<void> {}

  /** Sends the one request that makes the blob visible, and finds out what became of it when its reply was lost. */
  async commit(
    size: number,
    o: Conditional & { readonly bytes: number },
    send: (conditions: BlobRequestConditions, signal: AbortSignal) => Promise<Answer>,
  ): Promise<BlobInfo> {
    const { requests, repeatsItself, where } = this.#store
    const conditions = conditionsOf(o.when)
    // An earlier try may have been applied though it failed here.
    let uncertain = false
    try {
      return await requests.retrying(this.#at, o, async () => {
        try {
          const answer = await requests.once(this.#at, { ...o, changes: true }, (signal) => send(conditions, signal))
          const { contentType, meta } = this.#options
          const info = infoOf(this.#key, size, { ...answer, contentType, metadata: undefined }, this.#at, where)
          return meta === undefined ? info : { ...info, meta }
        } catch (error) {
          const refused = refusal(error, o.when)
          if ((uncertain || repeatsItself) && isRefusal(refused)) {
            const mine = await this.#written(o).catch((failure: unknown) => {
              throw uncertain && !isTransient(failure) && !isHubError(failure, 'ABORTED')
                ? this.#unknown(failure)
                : failure
            })
            if (mine !== undefined) return mine
            // The other one's blob stands there instead of this one, or was written over it.
            if (uncertain && o.when !== undefined && 'ifVersion' in o.when) throw this.#unknown(error)
          }
          if (isHubError(error) && isAmbiguous(error)) uncertain = true
          throw refused
        }
      })
    } catch (error) {
      // Repeated by the caller, a conditional write that was applied would find itself in its way.
      if (o.when === undefined || !(uncertain || repeatsItself) || !isTransient(error)) throw error
      // Not even this can be learnt: then the outcome is unknown, which is said below.
      const mine = await this.#written(o).catch(() => undefined)
      if (mine !== undefined) return mine
      throw this.#unknown(error)
    }
  }

  #unknown(cause: unknown): HubError {
    return new HubError(
      'UNKNOWN',
      `A conditional write of blob '${this.#key}' to ${this.#store.where.host} failed such that whether it was done is not known. Read the blob before you write again.`,
      { at: this.#at, reason: 'OUTCOME_UNKNOWN', cause },
    )
  }

  /** The blob, if it is what this write made. */
  async #written(o: Call): Promise<BlobInfo | undefined> {
    const { requests, where } = this.#store
    const blob = blobOf(this.#store, this.#key)
    try {
      const found = await requests.repeated(this.#at, o, (abortSignal) => blob.getProperties({ abortSignal }))
      if (nonceOf(found.metadata) !== this.#nonce) return undefined
      return infoOf(this.#key, found.contentLength, found, this.#at, where)
    } catch (error) {
      if (isHubError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }

  async #overtaken(gone: HubError, session: Session, o: Conditional): Promise<BlobInfo> {
    const { requests, where } = this.#store
    const blob = blobOf(this.#store, this.#key)
    // No conflict: the condition, if there is one, was never looked at, or may hold by now.
    const again = new HubError('UNAVAILABLE', `${gone.message} Write it again.`, {
      at: this.#at,
      reason: 'BLOCKS_GONE',
      retryable: true,
    })
    let other: Awaited<ReturnType<typeof blob.getProperties>>
    try {
      other = await requests.repeated(this.#at, o, (abortSignal) => blob.getProperties({ abortSignal }))
    } catch (error) {
      if (!isHubError(error, 'NOT_FOUND')) throw error
      if (o.when && 'ifVersion' in o.when) throw refusedBy(o.when, this.#key, this.#at)
      throw again
    }
    const theirs = infoOf(this.#key, other.contentLength, other, this.#at, where)
    if (nonceOf(other.metadata) === this.#nonce) return theirs
    if (o.when !== undefined) {
      if ('ifVersion' in o.when && o.when.ifVersion === theirs.version) throw again
      throw refusedBy(o.when, this.#key, this.#at)
    }
    // Blocks that vanished though nobody has written since the first of them was sent are a fault of the server, and no write.
    const since = Math.floor((session.began?.getTime() ?? Number.POSITIVE_INFINITY) / 1000) * 1000
    if (theirs.modified.getTime() < since) throw again
    const { contentType, meta } = this.#options
    return {
      key: this.#key,
      size: this.#size,
      modified: theirs.modified,
      // No blob has or will have this version: that of a write which was replaced at once.
      version: `overtaken-${this.#nonce}`,
      ...(contentType === undefined ? {} : { contentType }),
      ...(meta === undefined ? {} : { meta }),
    }
  }

  get #stored() {
    const { contentType, meta } = this.#options
    return {
      metadata: encodeMeta(meta, this.#nonce),
      ...(contentType === undefined ? {} : { blobHTTPHeaders: { blobContentType: contentType } }),
    }
  }
}

/** https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations */
function conditionsOf(when: Precondition | undefined): BlobRequestConditions {
  if (when === undefined) return {}
  return 'ifAbsent' in when ? { ifNoneMatch: '*' } : { ifMatch: etagOf(when.ifVersion) }
}

/** The refusal in the terms of the condition, whichever status the operation has for it. */
function refusal(error: unknown, when: Precondition | undefined): unknown {
  if (when === undefined || !isHubError(error)) return error
  const isAbsence = 'ifAbsent' in when
  const refused = isAbsence
    ? (error.code === 'CONFLICT' && error.reason === undefined && error.cause !== undefined) || error.code === 'EXISTS'
    : error.code === 'NOT_FOUND' && error.reason === undefined
  if (!refused) return error
  return refusedBy(when, error.at.target ?? '', error.at, error.cause)
}

function isRefusal(error: unknown): boolean {
  return isHubError(error, 'EXISTS') || isHubError(error, 'CONFLICT')
}

function refusedBy(when: Precondition, key: string, at: ErrorPlace, cause?: unknown): HubError {
  return 'ifAbsent' in when
    ? new HubError('EXISTS', `Blob '${key}' exists already.`, { at, cause })
    : new HubError('CONFLICT', `Blob '${key}' has another version by now, or is gone.`, { at, cause })
}
