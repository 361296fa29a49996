/** How one kind of model is stored: a live model on one side, a plain value (JSON tree with tensors) on the other. */
export interface ModelCodec {
  /** The name stored with the content, e.g. `'tfjs-layers'`; loading picks the codec by it. */
  readonly format: string
  /** Whether this codec takes the value. */
  accepts(value: unknown): boolean
  /** The plain value: anything the content store keeps. Each tensor in it is stored, and shared, by itself. */
  save(model: unknown): Promise<unknown>
  /** The live model of what `save` gave. */
  load(content: unknown): Promise<unknown>
}
