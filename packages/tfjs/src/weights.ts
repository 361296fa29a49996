import { HubError } from '@tensorhub/core'
import type { ModelArtifactsLike, WeightSpec } from './shapes.ts'

/** One weight as the content store keeps it. */
export interface StoredWeight {
  readonly dtype: 'float32' | 'int32' | 'bool' | 'uint8' | 'uint16'
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array | Uint8Array | Uint16Array
}

const at = { scheme: 'tfjs', op: 'weights' }

/**
 * How the bytes of one spec are kept. Quantised weights (graph models made by the converter) stay quantised; complex64 has a last axis of
 * real and imaginary part; strings keep TensorFlow.js' own encoding (per element a uint32 length, then UTF-8) as bytes.
 */
function kept(spec: WeightSpec): { dtype: StoredWeight['dtype']; shape: readonly number[]; width: number } {
  if (spec.quantization) {
    const { dtype } = spec.quantization
    if (dtype === 'uint8') return { dtype: 'uint8', shape: spec.shape, width: 1 }
    if (dtype === 'uint16' || dtype === 'float16') return { dtype: 'uint16', shape: spec.shape, width: 2 }
    throw unknown(spec, `quantised as '${String(dtype)}'`)
  }
  switch (spec.dtype) {
    case 'float32':
    case 'int32':
      return { dtype: spec.dtype, shape: spec.shape, width: 4 }
    case 'bool':
      return { dtype: 'bool', shape: spec.shape, width: 1 }
    case 'complex64':
      return { dtype: 'float32', shape: [...spec.shape, 2], width: 4 }
    case 'string':
      return { dtype: 'uint8', shape: [], width: 1 }
    default:
      throw unknown(spec, `of dtype '${String(spec.dtype)}'`)
  }
}

function unknown(spec: WeightSpec, what: string): HubError {
  return new HubError(
    'UNSUPPORTED',
    `The weight '${spec.name}' is ${what}, which this version of @tensorhub/tfjs cannot keep.`,
    {
      at: { ...at, target: spec.name },
    },
  )
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1)
}

/** All of `weightData` as one run of bytes; copies only when it comes in pieces. */
function joined(data: ModelArtifactsLike['weightData']): Uint8Array<ArrayBuffer> {
  if (data === undefined) return new Uint8Array(0)
  if (!Array.isArray(data)) return new Uint8Array(data)
  const [first] = data
  if (data.length === 1 && first) return new Uint8Array(first)
  const whole = new Uint8Array(data.reduce((total, piece) => total + piece.byteLength, 0))
  let offset = 0
  for (const piece of data) {
    whole.set(new Uint8Array(piece), offset)
    offset += piece.byteLength
  }
  return whole
}

function stringBytes(bytes: Uint8Array, offset: number, spec: WeightSpec): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let end = offset
  for (let i = product(spec.shape); i > 0; i--) {
    if (end + 4 > bytes.byteLength) throw truncated(spec)
    end += 4 + view.getUint32(end, true)
  }
  return end - offset
}

function truncated(spec: WeightSpec): HubError {
  return new HubError('INVALID', `The model's weightData ends before the weight '${spec.name}' does.`, {
    at: { ...at, target: spec.name },
  })
}

function view(
  dtype: StoredWeight['dtype'],
  bytes: Uint8Array<ArrayBuffer>,
  offset: number,
  length: number,
): StoredWeight['data'] {
  // A view where the bytes are aligned, else a copy of this one weight.
  const start = bytes.byteOffset + offset
  const width = dtype === 'float32' || dtype === 'int32' ? 4 : dtype === 'uint16' ? 2 : 1
  const [buffer, from] = start % width === 0 ? [bytes.buffer, start] : [bytes.slice(offset, offset + length).buffer, 0]
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer, from, length / 4)
    case 'int32':
      return new Int32Array(buffer, from, length / 4)
    case 'uint16':
      return new Uint16Array(buffer, from, length / 2)
    default:
      return new Uint8Array(buffer, from, length)
  }
}

/** Cuts `weightData` into one tensor a spec, in order. @throws INVALID when the bytes do not fit the specs. */
export function splitWeights(specs: readonly WeightSpec[], data: ModelArtifactsLike['weightData']): StoredWeight[] {
  const bytes = joined(data)
  let offset = 0
  const weights = specs.map((spec): StoredWeight => {
    const { dtype, shape, width } = kept(spec)
    const length =
      spec.dtype === 'string' && !spec.quantization ? stringBytes(bytes, offset, spec) : product(shape) * width
    if (offset + length > bytes.byteLength) throw truncated(spec)
    const data = view(dtype, bytes, offset, length)
    offset += length
    return { dtype, shape: spec.dtype === 'string' ? [length] : shape, data }
  })
  if (offset !== bytes.byteLength) {
    throw new HubError(
      'INVALID',
      `The model's weightData has ${bytes.byteLength} bytes and its weightSpecs describe ${offset}.`,
      { at },
    )
  }
  return weights
}

/** The reverse of {@link splitWeights}: one buffer in the order of the specs. @throws INTEGRITY when a weight does not fit its spec. */
export function joinWeights(specs: readonly WeightSpec[], weights: readonly StoredWeight[]): ArrayBuffer {
  if (specs.length !== weights.length) {
    throw new HubError(
      'INTEGRITY',
      `The stored model has ${specs.length} weight specs and ${weights.length} weights.`,
      { at },
    )
  }
  const whole = new Uint8Array(weights.reduce((total, weight) => total + weight.data.byteLength, 0))
  let offset = 0
  for (const [i, { data }] of weights.entries()) {
    const spec = specs[i] as WeightSpec
    const { shape, width } = kept(spec)
    if (spec.dtype !== 'string' && data.byteLength !== product(shape) * width) {
      throw new HubError(
        'INTEGRITY',
        `The stored weight '${spec.name}' has ${data.byteLength} bytes, and its shape [${spec.shape}] needs ${product(shape) * width}.`,
        {
          at: { ...at, target: spec.name },
        },
      )
    }
    whole.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
    offset += data.byteLength
  }
  return whole.buffer
}
