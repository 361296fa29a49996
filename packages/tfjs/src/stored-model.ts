import { HubError } from '@tensorhub/core'
import type { ModelArtifactsLike, WeightSpec } from './shapes.ts'
import { joinWeights, type StoredWeight, splitWeights } from './weights.ts'

/**
 * A model as the content store keeps it: JSON, and one tensor a weight, so that a weight that did not change since any earlier save costs
 * nothing. `weights[i]` belongs to `weightSpecs[i]`; those of the optimizer (`group: 'optimizer'`) come last. The other fields are those of
 * tf.io.ModelArtifacts; absent ones are left out.
 */
export interface StoredModel {
  /** 'layers-model' or 'graph-model'. */
  readonly format?: string
  readonly modelTopology: object
  readonly weightSpecs: readonly WeightSpec[]
  readonly weights: readonly StoredWeight[]
  readonly trainingConfig?: object
  readonly userDefinedMetadata?: Record<string, object>
}

const WEIGHTS = ['weightSpecs', 'weightData', 'getWeightStream']
const at = { scheme: 'tfjs', op: 'model' }

/** JSON as JSON has it: configurations hold undefined fields, and objects with a toJSON. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** @throws UNSUPPORTED for a topology that is not JSON (a binary GraphDef). */
export function storedModelOf(artifacts: ModelArtifactsLike): StoredModel {
  const { modelTopology, weightSpecs = [] } = artifacts
  if (typeof modelTopology !== 'object' || modelTopology === null || modelTopology instanceof ArrayBuffer) {
    throw new HubError(
      'UNSUPPORTED',
      'The model has no topology in JSON (weights alone, or a binary GraphDef), so it cannot be kept as a model.',
      { at },
    )
  }
  const fields = Object.entries(artifacts).filter(
    ([name, value]) => !WEIGHTS.includes(name) && value !== undefined && value !== null,
  )
  return {
    ...Object.fromEntries(fields.map(([name, value]) => [name, plain(value)])),
    modelTopology: plain(modelTopology) as object,
    weightSpecs: plain(weightSpecs) as WeightSpec[],
    weights: splitWeights(weightSpecs, artifacts.weightData),
  }
}

function isStoredModel(content: unknown): content is StoredModel {
  if (typeof content !== 'object' || content === null) return false
  const { modelTopology, weightSpecs, weights } = content as Record<string, unknown>
  return (
    typeof modelTopology === 'object' && modelTopology !== null && Array.isArray(weightSpecs) && Array.isArray(weights)
  )
}

/** @throws INTEGRITY when the content is not what {@link storedModelOf} makes. */
export function artifactsOf(content: unknown): ModelArtifactsLike {
  if (!isStoredModel(content)) {
    throw new HubError(
      'INTEGRITY',
      'The stored content is not a TensorFlow.js model: it lacks modelTopology, weightSpecs or weights.',
      { at },
    )
  }
  const { weights, weightSpecs, ...fields } = content
  const specs = [...weightSpecs]
  return { ...fields, weightSpecs: specs, weightData: joinWeights(specs, weights) }
}

/** Bytes of all weights. */
export function weightBytes(model: StoredModel): number {
  return model.weights.reduce((total, weight) => total + weight.data.byteLength, 0)
}
