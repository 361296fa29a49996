import { checkTags } from '../documents/collections.ts'
import type { ModelRecord } from '../documents/record.ts'
import { codecFor, codecOfFormat } from '../models/codecs.ts'
import { attachInfo } from '../models/info.ts'
import { ContentNamespace, type TransferOptions } from './content-namespace.ts'

/** `hub.models`: architecture and parameters under a name, found by tags. */
export class Models extends ContentNamespace<ModelRecord> {
  /**
   * Saves a model: a live `tf.LayersModel` (with @tensorhub/tfjs), a plain value such as `{ architecture, weights }`, or opaque bytes (ONNX,
   * safetensors, GGUF). Tensors that did not change since any earlier save cost nothing.
   *
   * @throws INVALID naming an unsupported value's path or a reserved tag; UNSUPPORTED naming the package that a TensorFlow.js model needs;
   *   STORAGE_FULL; ABORTED.
   */
  async save(
    name: string,
    model: unknown,
    tags: Readonly<Record<string, unknown>> = {},
    options?: TransferOptions,
  ): Promise<ModelRecord> {
    const op = this.op('save')
    const model_name = this.checkName(name, 'a model name', op)
    this.context.assertOpen(op)
    checkTags('models', tags, op)
    const codec = await codecFor(this.context.codecs, model)
    const content = codec ? await codec.save(model) : model
    return this.store(content, { model_name }, tags, options, codec?.format, op)
  }

  protected override async revive(record: ModelRecord, content: unknown): Promise<unknown> {
    const codec = await codecOfFormat(this.context.codecs, record.content.format)
    return attachInfo(codec ? await codec.load(content) : content, record)
  }
}
