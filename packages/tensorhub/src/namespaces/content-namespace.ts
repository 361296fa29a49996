import type { Manifest, Progress } from '@tensorhub/content'
import type { Call, Doc, Predicate, Value } from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import { CONTENT_COLLECTIONS, type Collection, checkTags } from '../documents/collections.ts'
import { isId } from '../documents/ids.ts'
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

/** A namespace whose documents carry content; `D` is a value's type where the caller names none. */
export abstract class ContentNamespace<R extends ContentRecord, D = unknown> extends Namespace<R> {
  readonly #deleted: () => void

  constructor(context: HubContext, collection: Collection, deleted: () => void) {
    super(context, collection)
    this.#deleted = deleted
  }

  /** Turns stored content into what the user gets. */
  protected abstract revive(record: R, content: unknown): Promise<unknown>

  /** The first matching record with a handle on its content; undefined when none matches. A string that is an id names that record. */
  async open<V = D>(filterOrId?: FilterInput<R>, options?: SortOptions): Promise<Handle<R, V> | undefined> {
    const filter = typeof filterOrId === 'string' && isId(filterOrId) ? { _id: filterOrId } : filterOrId
    const record = await this.top(filter as FilterInput<R>, options)
    return record && this.handle<V>(record)
  }

  /** The handle of a record that is at hand already. `V` is the caller's claim of the value's type; nothing checks it. */
  handle<V = D>(record: R): Handle<R, V> {
    const op = this.op('handle')
    for (const field of ['content', 'project_name'] as const) {
      if (record[field] === undefined)
        throw this.invalid(
          op,
          `The record ${record._id} was read without its '${field}' field, so its value cannot be loaded.`,
          field,
        )
    }
    if (record.project_name !== this.context.projectName) {
      throw this.invalid(
        op,
        `The record ${record._id} belongs to the project '${record.project_name}', and this hub is confined to '${this.context.projectName}'.`,
        'project_name',
      )
    }
    return new Handle<R, V>(
      this.context,
      this.collection,
      record,
      async (content) => (await this.revive(record, content)) as V,
    )
  }

  /**
   * Deletes the matching records at once. Bytes are shared with other records, so they become free only when no record names them: the receipt
   * counts those, and `hub.gc()` frees them (an embedded hub by itself).
   *
   * @throws INVALID for an empty filter: `{ _id: { $exists: true } }` says "all of the project".
   */
  async delete(filter: FilterInput<R>, options?: Call): Promise<DeleteReceipt> {
    const op = this.op('delete')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const call = callOf(options)
    const where = this.confine(this.parseMutation(filter, op))
    const { index, content } = this.context
    const named = new Map<string, number>()
    let documents = 0
    for (;;) {
      const ids: string[] = []
      for await (const doc of index.find(this.collection, where, {
        ...call,
        limit: DELETE_BATCH,
        fields: [['content']],
      })) {
        ids.push(doc._id)
        for (const blob of await content.blobsOf(doc, call)) named.set(blob.key, blob.stored)
      }
      if (ids.length === 0) break
      const these: Predicate = { op: 'and', of: [where, { op: 'in', path: ['_id'], values: ids }] }
      documents += await index.delete(this.collection, these, call)
    }
    if (documents > 0) this.#deleted()
    return { documents, ...(await content.unnamed(named, { ...call, collections: CONTENT_COLLECTIONS })) }
  }

  protected async store(
    value: unknown,
    fields: Readonly<Record<string, Value>>,
    tags: Readonly<Record<string, unknown>>,
    options: TransferOptions | undefined,
    format: string | undefined,
    op: string,
    /** Looks for an earlier version, of which unchanged rows are taken over. */
    earlier?: (call: Call) => Promise<R | undefined>,
  ): Promise<R> {
    this.context.assertOpen(op)
    checkOptions(options, ['signal', 'onProgress'], op)
    if (value === undefined) throw this.invalid(op, `${op} was given undefined instead of a value.`, 'value')
    const checked = checkTags(this.collection, tags, op)
    await this.context.ready(callOf(options))
    const document = (content: Manifest): Doc => ({
      ...this.base(),
      ...fields,
      ...checked,
      content: content as Manifest & Value,
    })
    const base = (await earlier?.(callOf(options)))?.content
    return (await this.context.content.save(value, {
      coll: this.collection,
      document,
      ...callOf(options),
      ...(options?.onProgress ? { onProgress: options.onProgress } : {}),
      ...(format === undefined ? {} : { format }),
      ...(base === undefined ? {} : { base }),
    })) as Doc as R
  }
}
