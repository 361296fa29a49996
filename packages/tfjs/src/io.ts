import { HubError, type ModelCodec } from '@tensorhub/core'
import { GRAPH_FORMAT, LAYERS_FORMAT } from './codec.ts'
import type { IOHandlerLike, ModelArtifactsLike, SaveResultLike } from './shapes.ts'
import { artifactsOf, type StoredModel, storedModelOf, weightBytes } from './stored-model.ts'

/** The part of a hub that {@link io} uses; a `TensorHub` is one. */
export interface IoHub {
  readonly models: {
    save(name: string, model: unknown, tags?: Readonly<Record<string, unknown>>): Promise<{ readonly time: Date }>
    open(
      filter: string | Readonly<Record<string, never>>,
      options?: { readonly sort?: never },
    ): Promise<
      | {
          readonly record: { readonly _id: string; readonly content: { readonly format: string } }
          content(): Promise<unknown>
        }
      | undefined
    >
  }
}

/** What a value that brings its own codec carries; the hub asks for it before it asks its codecs. */
const OWN_CODEC = Symbol.for('tensorhub.codec')

/**
 * A `tf.io.IOHandler` over a query: `await model.save(io(hub, 'mlp'))` saves under that model name, `await tf.loadLayersModel(io(hub, 'mlp'))`
 * loads the newest model of that name. Saved and loaded content is the same as with `saveModel` and `findTopModel`.
 *
 * @param query On saving a model name, or `{ modelName, …tags }`. On loading a query's text (`'mlp accuracy>=0.9 sort:-accuracy'`; a name alone is
 *   one), or `{ modelName?, sort?, …filter }`; without a sort the newest.
 * @throws (when used) INVALID for a save without a name or with `sort`; NOT_FOUND when no model matches a load.
 */
export function io(hub: IoHub, query: string | Readonly<Record<string, unknown>>): IOHandlerLike {
  const { name, sort, tags } = typeof query === 'string' ? { name: query, sort: undefined, tags: {} } : read(query)
  return {
    async save(artifacts: ModelArtifactsLike): Promise<SaveResultLike> {
      if (name === undefined) throw invalid('save', 'Saving needs a model name: io(hub, { modelName: "mlp", … }).')
      if (typeof query === 'string' && !/^[\w.-]+$/.test(query)) {
        throw invalid(
          'save',
          `'${query}' is a query and not a name to save under; write io(hub, { modelName: '…', …tags }).`,
        )
      }
      if (sort !== undefined)
        throw invalid('save', "'sort' chooses among stored models; it means nothing when one is saved.")
      const stored = storedModelOf(artifacts)
      const { time } = await hub.models.save(name, withCodec(stored), tags)
      return {
        modelArtifactsInfo: {
          dateSaved: time,
          modelTopologyType: 'JSON',
          modelTopologyBytes: JSON.stringify(stored.modelTopology).length,
          weightSpecsBytes: JSON.stringify(stored.weightSpecs).length,
          weightDataBytes: weightBytes(stored),
        },
      }
    },
    async load(): Promise<ModelArtifactsLike> {
      const filter =
        typeof query === 'string' ? query : { ...(name === undefined ? {} : { model_name: name }), ...tags }
      const handle = await hub.models.open(filter as string, sort === undefined ? {} : { sort: sort as never })
      if (handle === undefined) {
        throw new HubError('NOT_FOUND', `No model matches ${JSON.stringify(filter)}, so there is none to load.`, {
          at: { scheme: 'tfjs', op: 'io.load' },
        })
      }
      const { _id, content } = handle.record
      if (content.format !== LAYERS_FORMAT && content.format !== GRAPH_FORMAT) {
        throw new HubError(
          'INVALID',
          `The model ${_id} has the format '${content.format}', which is not a TensorFlow.js model; load it with findTopModel.`,
          {
            at: { scheme: 'tfjs', op: 'io.load', target: _id },
          },
        )
      }
      return artifactsOf(await handle.content())
    },
  }
}

function read(query: Readonly<Record<string, unknown>>): {
  name: string | undefined
  sort: unknown
  tags: Record<string, unknown>
} {
  const { modelName, model_name, sort, ...tags } = query
  const name = modelName ?? model_name
  if (name !== undefined && typeof name !== 'string') throw invalid('io', "'modelName' must be a string.")
  return { name, sort, tags }
}

/** The stored model as a value that says itself how it is kept. */
function withCodec(stored: StoredModel): object {
  const layers = stored.format !== 'graph-model'
  const codec: ModelCodec = {
    format: layers ? LAYERS_FORMAT : GRAPH_FORMAT,
    accepts: (value) => value === carrier,
    save: async () => stored,
    load: async (content) => content,
  }
  const carrier = { [OWN_CODEC]: codec }
  return carrier
}

function invalid(op: string, message: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'tfjs', op } })
}
