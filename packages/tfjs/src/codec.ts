import { HubError, type ModelCodec } from '@tensorhub/core'
import { loadTf } from './backend/load.ts'
import {
  type GraphModelLike,
  isGraphModel,
  isLayersModel,
  type LayersModelLike,
  type ModelArtifactsLike,
  type SaveResultLike,
  type TensorFlowLike,
} from './shapes.ts'
import { artifactsOf, type StoredModel, storedModelOf } from './stored-model.ts'

/** Options of {@link tfjs} and {@link tfjsGraph}. */
export interface TfjsOptions {
  /**
   * The TensorFlow.js that loaded models belong to. Give yours when models have layers of your own, whose classes are registered there.
   * Default: what {@link loadTf} picks, which keeps a backend that is already running in the process.
   */
  readonly tf?: TensorFlowLike
  /**
   * Whether a compiled model's optimizer is saved: its settings, loss, metrics and state (for Adam, two more tensors a weight), so that a
   * loaded model trains on where it was. Default true. A model compiled with a loss or metric function of its own is saved without: a
   * function is code, not data; compile it again after loading.
   */
  readonly optimizer?: boolean
}

export const LAYERS_FORMAT = 'tfjs-layers'
export const GRAPH_FORMAT = 'tfjs-graph'

/** `tf.LayersModel` in a hub: topology, every weight as a tensor of its own, compile and optimizer state. */
export function tfjs(options: TfjsOptions = {}): ModelCodec {
  const tf = tensorFlow(options)
  return {
    format: LAYERS_FORMAT,
    accepts: isLayersModel,
    async save(model: unknown): Promise<StoredModel> {
      if (!isLayersModel(model)) throw refused(LAYERS_FORMAT, 'a tf.LayersModel')
      return storedModelOf(
        await takeApart(model, { includeOptimizer: options.optimizer !== false && hasNamedTraining(model) }),
      )
    },
    async load(content: unknown): Promise<LayersModelLike> {
      const handler = fromMemory(content)
      const { loadLayersModel } = await tf()
      return rebuilt(() => loadLayersModel(handler as never))
    },
  }
}

/** `tf.GraphModel` (converted from Keras, SavedModel or TF Hub; inference only) in a hub. */
export function tfjsGraph(options: Pick<TfjsOptions, 'tf'> = {}): ModelCodec {
  const tf = tensorFlow(options)
  return {
    format: GRAPH_FORMAT,
    accepts: isGraphModel,
    async save(model: unknown): Promise<StoredModel> {
      if (!isGraphModel(model)) throw refused(GRAPH_FORMAT, 'a tf.GraphModel')
      return storedModelOf(await takeApart(model, {}))
    },
    async load(content: unknown): Promise<GraphModelLike> {
      const handler = fromMemory(content)
      const { loadGraphModel } = await tf()
      return rebuilt(() => loadGraphModel(handler as never))
    },
  }
}

/** Every codec of this package, in the order they are asked. */
export function codecs(options: TfjsOptions = {}): ModelCodec[] {
  return [tfjs(options), tfjsGraph(options)]
}

function tensorFlow(options: TfjsOptions): () => Promise<TensorFlowLike> {
  const { tf } = options
  return tf ? async () => tf : async () => (await loadTf()).tf
}

function fromMemory(content: unknown): { load(): Promise<ModelArtifactsLike> } {
  const artifacts = artifactsOf(content)
  return { load: async () => artifacts }
}

/** @throws UNSUPPORTED with TensorFlow.js' own reason, mostly a layer of the user's that is not registered. */
async function rebuilt<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new HubError('UNSUPPORTED', `TensorFlow.js cannot put the stored model together: ${reasonOf(cause)}`, {
      at: { scheme: 'tfjs', op: 'load' },
      cause,
    })
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** Runs the model's own `save`, so that whatever this version of TensorFlow.js writes is what is kept. */
async function takeApart(
  model: LayersModelLike | GraphModelLike,
  config: { includeOptimizer?: boolean },
): Promise<ModelArtifactsLike> {
  let taken: ModelArtifactsLike | undefined
  const handler = {
    save: async (artifacts: ModelArtifactsLike): Promise<SaveResultLike> => {
      taken = artifacts
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } }
    },
  }
  try {
    await model.save(handler as never, config as never)
  } catch (cause) {
    throw new HubError('INVALID', `TensorFlow.js cannot take the model apart: ${reasonOf(cause)}`, {
      at: { scheme: 'tfjs', op: 'save' },
      cause,
    })
  }
  if (!taken)
    throw new HubError('INVALID', 'The model’s save() did not call its handler, so there is nothing to keep.', {
      at: { scheme: 'tfjs', op: 'save' },
    })
  return taken
}

/** Whether the model is compiled with an optimizer, losses and metrics that all have names; only these can be written down. */
function hasNamedTraining(model: LayersModelLike): boolean {
  const { optimizer, loss, metrics } = model as { optimizer?: unknown; loss?: unknown; metrics?: unknown }
  return (
    optimizer !== undefined && optimizer !== null && loss !== undefined && onlyNames(loss) && onlyNames(metrics ?? [])
  )
}

function onlyNames(value: unknown): boolean {
  if (typeof value === 'string') return true
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).every(onlyNames)
}

function refused(format: string, what: string): HubError {
  return new HubError('INVALID', `The codec '${format}' was given something that is not ${what}.`, {
    at: { scheme: 'tfjs', op: 'save' },
  })
}
