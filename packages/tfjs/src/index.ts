export { type Backend, type LoadedTf, type LoadTfOptions, loadTf } from './backend/load.ts'
export { codecs, GRAPH_FORMAT, LAYERS_FORMAT, type TfjsOptions, tfjs, tfjsGraph } from './codec.ts'
export { type IoHub, io } from './io.ts'
export type {
  GraphModelLike,
  IOHandlerLike,
  LayersModelLike,
  ModelArtifactsLike,
  SaveResultLike,
  TensorFlowLike,
  TensorLike,
  WeightSpec,
} from './shapes.ts'
export type { StoredModel } from './stored-model.ts'
export { fromTf, type PlainTensor, toTf } from './tensors.ts'
export type { StoredWeight } from './weights.ts'
