import type { Manifest, Progress } from '@tensorhub/content'
import { type Call, type Doc, HubError, type Value } from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import { CONTENT_COLLECTIONS, type Collection, checkTags } from '../documents/collections.ts'
import type { ContentRecord } from '../documents/record.ts'
import { callOf, checkOptions, type FilterInput } from './arguments.ts'
import { Handle } from './handle.ts'
import { Namespace, type SortOptions } from './namespace.ts'

export interface TransferOptions extends Call {
  /** Called as bytes move; see `Progress`. */
  readonly onProgress?: (progress: Progress) => void
}

/** What a delete freed, or will free once pins have lapsed and `hub.gc()` has run. */
export interface DeleteReceipt {
  readonly documents: number
  readonly blobs: number
  /** Stored bytes. */
  readonly bytes: number
}

const DELETE_BATCH = 500

/** A namespace whose documents carry content. */
export abstract class ContentNamespace<R extends ContentRecord, T> extends Namespace<R> {
  readonly #deleted: () => void

  constructor(context: HubContext, collection: Collection, deleted: () => void) {
    super(context, collection)
    this.#deleted = deleted
  }

  /** Turns stored content into what the user gets. */
  protected abstract revive(record: R, content: unknown): Promise<T>

  /** The first matching record with a handle on its content; undefined when none matches. A string that is an id names that record. */
  async open(filterOrId?: FilterInput, options?: SortOptions): Promise<Handle<R, T> | undefined> {
    const filter = typeof filterOrId === 'string' && isId(filterOrId) ? { _id: filterOrId } : filterOrId
    const record = await this.top(filter, options)
    return record && this.handle(record)
  }

  /** The handle of a record that is at hand already. */
  handle(record: R): Handle<R, T> {
    const op = this.op('load')
    if (record.content === undefined) {
      throw new HubError(
        'INVALID',
        `The record ${record._id} was read without its 'content' field, so its value cannot be loaded.`,
        { at: this.place(op), path: 'content' },
      )
    }
    return new Handle(this.context, record, (content) => this.revive(record, content))
  }

  /**
   * Deletes the matching records; `{}` means all of this kind in the project. Their bytes are shared with other records, so they become
   * free only when no record names them: the receipt counts those, and `hub.gc()` frees them.
   */
  async delete(filter: FilterInput, options?: Call): Promise<DeleteReceipt> {
    const op = this.op('delete')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const call = callOf(options)
    const where = this.confine(this.parse(filter, op).where)
    const receipt = { documents: 0, blobs: 0, bytes: 0 }
    for (;;) {
      const batch: Doc[] = []
      for await (const doc of this.context.index.find(this.collection, where, {
        ...call,
        limit: DELETE_BATCH,
        fields: [['content']],
      }))
        batch.push(doc)
      if (batch.length === 0) break
      const freed = await this.context.content.receipt(batch, { ...call, collections: CONTENT_COLLECTIONS })
      receipt.documents += await this.context.index.delete(
        this.collection,
        { op: 'and', of: [where, { op: 'in', path: ['_id'], values: batch.map((doc) => doc._id) }] },
        call,
      )
      receipt.blobs += freed.blobs
      receipt.bytes += freed.bytes
    }
    if (receipt.documents > 0) this.#deleted()
    return receipt
  }

  protected async store(
    value: unknown,
    fields: Readonly<Record<string, Value>>,
    tags: Readonly<Record<string, unknown>>,
    options: TransferOptions | undefined,
    format: string | undefined,
    op: string,
  ): Promise<R> {
    this.context.assertOpen(op)
    checkOptions(options, ['signal', 'onProgress'], op)
    if (value === undefined)
      throw new HubError('INVALID', `${op} was given undefined instead of a value.`, { at: this.place(op) })
    const checked = checkTags(this.collection, tags, op)
    await this.context.ready(callOf(options))
    const document = (content: Manifest): Doc => ({
      ...this.base(),
      ...fields,
      ...checked,
      content: content as Manifest & Value,
    })
    return (await this.context.content.save(value, {
      coll: this.collection,
      document,
      ...callOf(options),
      ...(options?.onProgress ? { onProgress: options.onProgress } : {}),
      ...(format === undefined ? {} : { format }),
    })) as Doc as R
  }
}

/** ULIDs of the hub, and the ids of tasks with an idempotency key. */
function isId(text: string): boolean {
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(text) || /^k-[0-9a-f]{64}$/.test(text)
}
