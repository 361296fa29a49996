import type { HubContext } from '../context.ts'
import type { ContentRecord } from '../documents/record.ts'
import { callOf, checkOptions } from './arguments.ts'
import type { TransferOptions } from './content-namespace.ts'

/** A record and the way to its content, which is read only when asked for and verified before it is given. */
export class Handle<R extends ContentRecord, T> {
  readonly record: R
  readonly #context: HubContext
  readonly #revive: (content: unknown) => Promise<T>

  constructor(context: HubContext, record: R, revive: (content: unknown) => Promise<T>) {
    this.record = record
    this.#context = context
    this.#revive = revive
  }

  /** The whole value. Memory: its size. @throws INTEGRITY when a chunk is missing or damaged. */
  async load(options?: TransferOptions): Promise<T> {
    this.#context.assertOpen('load')
    checkOptions(options, ['signal', 'onProgress'], 'load')
    return this.#revive(await this.#context.content.load(this.record.content, transfer(options)))
  }

  /** The value as it is stored, without its format's codec: of a TensorFlow.js model its topology and weights as plain values. */
  async content(options?: TransferOptions): Promise<unknown> {
    this.#context.assertOpen('content')
    checkOptions(options, ['signal', 'onProgress'], 'content')
    return this.#context.content.load(this.record.content, transfer(options))
  }

  /**
   * Rows `start` to `end` (exclusive) of the tensors in the value, reading only the chunks they lie in. With `tensor`, only that one.
   */
  async rows(
    start: number,
    end: number,
    options?: TransferOptions & { readonly tensor?: string | number },
  ): Promise<unknown> {
    this.#context.assertOpen('rows')
    checkOptions(options, ['signal', 'onProgress', 'tensor'], 'rows')
    return this.#context.content.rows(this.record.content, {
      ...transfer(options),
      start,
      end,
      ...(options?.tensor === undefined ? {} : { tensor: options.tensor }),
    })
  }

  /** The bytes of an opaque value (a saved stream or Blob), verified chunk by chunk, never whole in memory. */
  stream(options?: TransferOptions): ReadableStream<Uint8Array> {
    this.#context.assertOpen('stream')
    checkOptions(options, ['signal', 'onProgress'], 'stream')
    return this.#context.content.stream(this.record.content, transfer(options))
  }
}

function transfer(options: TransferOptions | undefined): TransferOptions {
  return { ...callOf(options), ...(options?.onProgress ? { onProgress: options.onProgress } : {}) }
}
