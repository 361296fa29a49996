import type { DatasetRecord } from '../documents/record.ts'
import { ContentNamespace, type TransferOptions } from './content-namespace.ts'

/** `hub.datasets`: any value (arrays, tensors, objects, bytes, streams) under a name. */
export class Datasets extends ContentNamespace<DatasetRecord> {
  /**
   * Saves a value. Acknowledged only when every byte and the record are durable and verified. Where the newest dataset of this name has tensors of the
   * same rows, only the rows that changed since are stored.
   *
   * @param value Nested arrays and objects, typed arrays, tensors (`{ dtype, shape, data }`, or those of TensorFlow.js), Date, bigint, bytes, strings,
   *   numbers, null; or a stream, async iterable or Blob of bytes, which is never whole in memory.
   * @throws INVALID naming an unsupported value's path or a reserved tag; STORAGE_FULL; ABORTED.
   */
  async save(
    name: string,
    value: unknown,
    tags: Readonly<Record<string, unknown>> = {},
    options?: TransferOptions,
  ): Promise<DatasetRecord> {
    const op = this.op('save')
    const fields = { dataset_name: this.checkName(name, 'a dataset name', op) }
    return this.store(value, fields, tags, options, undefined, op, (call) => this.top({ ...fields }, call))
  }

  protected override revive(_record: DatasetRecord, content: unknown): Promise<unknown> {
    return Promise.resolve(content)
  }
}
