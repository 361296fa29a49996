import { type Call, HubError, isHubError, throwIfAborted } from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import type { ContentRecord } from '../documents/record.ts'
import { callOf, checkOptions } from './arguments.ts'
import type { TransferOptions } from './content-namespace.ts'

/** A record and the way to its content, which is read only when asked for and verified before it is given. */
export class Handle<R extends ContentRecord, T> {
  readonly record: R
  readonly #context: HubContext
  readonly #collection: string
  readonly #revive: (content: unknown) => Promise<T>

  constructor(context: HubContext, collection: string, record: R, revive: (content: unknown) => Promise<T>) {
    this.record = record
    this.#context = context
    this.#collection = collection
    this.#revive = revive
  }

  /**
   * The whole value. Memory: its size.
   *
   * @throws INTEGRITY when a chunk is missing or damaged; NOT_FOUND (reason RECORD_DELETED) when the record was deleted since it was read, and its
   *   chunks freed; UNSUPPORTED when the codec of a model's format is not installed.
   */
  async load(options?: TransferOptions): Promise<T> {
    return this.#revive(await this.#read('load', options))
  }

  /** The value as it is stored, without its format's codec: of a TensorFlow.js model its topology and weights as plain values. */
  async content(options?: TransferOptions): Promise<unknown> {
    return this.#read('content', options)
  }

  async #read(op: string, options: TransferOptions | undefined): Promise<unknown> {
    this.#context.assertOpen(op)
    checkOptions(options, ['signal', 'onProgress'], op)
    const value = await this.#orGone(op, () => this.#context.content.load(this.record.content, transfer(options)))
    // The last bytes may have come in when the caller already gave up.
    throwIfAborted(options?.signal, { scheme: 'hub', op, target: this.#collection })
    return value
  }

  /**
   * Rows `start` to `end` (exclusive) of the tensors in the value, reading only the chunks they lie in. With `tensor` (its name, or its number),
   * only that one. Rows beyond the end are left out; arrays of fewer than 256 numbers belong to the structure and come back whole.
   */
  async rows(start: number, end: number, options?: Call & { readonly tensor?: string | number }): Promise<unknown> {
    this.#context.assertOpen('rows')
    checkOptions(options, ['signal', 'tensor'], 'rows')
    return this.#orGone('rows', () =>
      this.#context.content.rows(this.record.content, {
        ...callOf(options),
        start,
        end,
        ...(options?.tensor === undefined ? {} : { tensor: options.tensor }),
      }),
    )
  }

  /** The bytes of an opaque value (a saved stream or Blob), verified chunk by chunk, never whole in memory. */
  stream(options?: TransferOptions): ReadableStream<Uint8Array> {
    this.#context.assertOpen('stream')
    checkOptions(options, ['signal', 'onProgress'], 'stream')
    const inner = this.#context.content.stream(this.record.content, transfer(options)).getReader()
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await this.#orGone('stream', () => inner.read())
          if (done) controller.close()
          else controller.enqueue(value)
        },
        cancel: (reason) => inner.cancel(reason),
      },
      { highWaterMark: 0 },
    )
  }

  /** A chunk that is missing because its record was deleted is no damage (tasks.md §8.2: read the document once more). */
  async #orGone<V>(op: string, read: () => Promise<V>): Promise<V> {
    try {
      return await read()
    } catch (error) {
      if (!isHubError(error, 'INTEGRITY')) throw error
      const where = { op: 'eq', path: ['_id'], value: this.record._id } as const
      const there = await this.#context.index.top(this.#collection, where, { fields: [['_id']] })
      if (there !== undefined) throw error
      throw new HubError(
        'NOT_FOUND',
        `The record ${this.record._id} was deleted since it was read, and its content freed.`,
        {
          at: { scheme: 'hub', op, target: this.#collection },
          reason: 'RECORD_DELETED',
          cause: error,
        },
      )
    }
  }
}

function transfer(options: TransferOptions | undefined): TransferOptions {
  return { ...callOf(options), ...(options?.onProgress ? { onProgress: options.onProgress } : {}) }
}
