/**
 * The parts of TensorFlow.js this package touches, as structural types: its own declarations compile without TensorFlow.js installed, and
 * `typeof import('@tensorflow/tfjs')`, tfjs-node's and tfjs-node-gpu's namespaces are all assignable to {@link TensorFlowLike}.
 */

/** A `tf.Tensor`. */
export interface TensorLike {
  readonly dtype: string
  readonly shape: readonly number[]
  data(): Promise<unknown>
  dispose(): void
}

/** One entry of a model's `weightSpecs` (tf.io.WeightsManifestEntry): how its bytes in `weightData` are read. */
export interface WeightSpec {
  name: string
  shape: number[]
  dtype: 'float32' | 'int32' | 'bool' | 'string' | 'complex64'
  group?: 'model' | 'optimizer'
  quantization?: { scale?: number; min?: number; dtype: 'uint16' | 'uint8' | 'float16' }
}

/** A `tf.io.ModelArtifacts`: a model taken apart. */
export interface ModelArtifactsLike {
  modelTopology?: object
  weightSpecs?: WeightSpec[]
  /** The weights one after another in the order of `weightSpecs`, little-endian; possibly in pieces. */
  weightData?: ArrayBuffer | ArrayBuffer[]
  format?: string
  generatedBy?: string
  convertedBy?: string | null
  signature?: object
  modelInitializer?: object
  initializerSignature?: object
  userDefinedMetadata?: Record<string, object>
}

/** What a save handler answers (tf.io.SaveResult). */
export interface SaveResultLike {
  modelArtifactsInfo: {
    dateSaved: Date
    modelTopologyType: 'JSON' | 'GraphDef'
    modelTopologyBytes?: number
    weightSpecsBytes?: number
    weightDataBytes?: number
  }
}

/** A `tf.io.IOHandler` that saves and loads. */
export interface IOHandlerLike {
  save(artifacts: ModelArtifactsLike): Promise<SaveResultLike>
  load(): Promise<ModelArtifactsLike>
}

/** A model that TensorFlow.js can take apart: `tf.LayersModel` and `tf.GraphModel`. */
export interface SavableModel {
  predict(...inputs: never[]): unknown
  save(handler: never, config?: never): Promise<unknown>
}

/** A `tf.LayersModel` (or tf.Sequential). */
export interface LayersModelLike extends SavableModel {
  getWeights(trainableOnly?: boolean): TensorLike[]
  setWeights(weights: never): void
}

/** A `tf.GraphModel`: inference only. */
export interface GraphModelLike extends SavableModel {
  executeAsync(...inputs: never[]): Promise<unknown>
}

/** The namespace of TensorFlow.js, from whichever package. */
export interface TensorFlowLike {
  tensor(values: never, shape?: never, dtype?: never): TensorLike
  loadLayersModel(handler: never, options?: never): Promise<LayersModelLike>
  loadGraphModel(handler: never, options?: never): Promise<GraphModelLike>
  getBackend(): string
}

function has(value: unknown, ...methods: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}

/** By shape, because a process may hold several copies of TensorFlow.js. */
export function isLayersModel(value: unknown): value is LayersModelLike {
  return has(value, 'predict', 'save', 'getWeights', 'setWeights')
}

/** By shape; a LayersModel has no `executeAsync`. */
export function isGraphModel(value: unknown): value is GraphModelLike {
  return has(value, 'predict', 'save', 'executeAsync') && !has(value, 'getWeights')
}

/** By shape: a `tf.Tensor` (and tf.Variable) of any copy of TensorFlow.js. */
export function isTensor(value: unknown): value is TensorLike {
  if (!has(value, 'data', 'dataSync', 'dispose')) return false
  const { dtype, shape } = value as { dtype: unknown; shape: unknown }
  return typeof dtype === 'string' && Array.isArray(shape)
}
