import { HubError } from '@tensorhub/core'
import { isTensor, type TensorFlowLike, type TensorLike } from './shapes.ts'

/** A tensor as datasets hold it. */
export interface PlainTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data: ArrayBufferView
}

/** What TensorFlow.js calls each dtype of a stored tensor. It has no narrower integers than int32; every value of these fits in it. */
const TF_DTYPE: Readonly<Record<string, 'float32' | 'int32' | 'bool'>> = {
  float32: 'float32',
  int32: 'int32',
  bool: 'bool',
  uint8: 'int32',
  int8: 'int32',
  uint16: 'int32',
  int16: 'int32',
}

const FROM_TF = ['float32', 'int32', 'bool']

function isPlainTensor(value: object): value is PlainTensor {
  const { dtype, shape, data } = value as Record<string, unknown>
  return typeof dtype === 'string' && Array.isArray(shape) && ArrayBuffer.isView(data)
}

function isPlainObject(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/**
 * Turns every `{ dtype, shape, data }` inside a value into a `tf.Tensor`; everything else stays as it is. float32, int32 and bool keep their
 * type; uint8, int8, uint16 and int16 become int32, exactly. The caller disposes the tensors (`tf.dispose(value)` takes the whole value).
 *
 * @throws UNSUPPORTED, naming the place, for dtypes TensorFlow.js would have to round: float64, int64, uint32, uint64, float16, bfloat16.
 */
export function toTf(tf: TensorFlowLike, value: unknown): unknown {
  return mapped(value, 'value', (plain, path) => {
    const dtype = TF_DTYPE[plain.dtype]
    if (dtype === undefined) {
      throw new HubError(
        'UNSUPPORTED',
        `${path} is a tensor of ${plain.dtype}, which TensorFlow.js does not have. Convert its data first, e.g. { dtype: 'float32', shape, data: Float32Array.from(data) }.`,
        { at: { scheme: 'tfjs', op: 'toTf', target: path }, path },
      )
    }
    const data =
      dtype === 'int32' && !(plain.data instanceof Int32Array) ? Int32Array.from(plain.data as Uint8Array) : plain.data
    return tf.tensor(data as never, [...plain.shape] as never, dtype as never)
  })
}

function mapped(value: unknown, path: string, tensor: (plain: PlainTensor, path: string) => unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return value.map((item, i) => mapped(item, `${path}[${i}]`, tensor))
  if (isPlainTensor(value)) return tensor(value, path)
  if (!isPlainObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, mapped(item, `${path}.${name}`, tensor)]),
  )
}

/**
 * Turns every `tf.Tensor` inside a value into `{ dtype, shape, data }`, which datasets, tags of results and other languages understand;
 * everything else stays as it is. Downloads from the device; disposes nothing.
 *
 * @throws UNSUPPORTED, naming the place, for string tensors (save `await t.array()`) and complex64 (save tf.real(t) and tf.imag(t)).
 */
export async function fromTf(value: unknown): Promise<unknown> {
  return plainOf(value, 'value')
}

async function plainOf(value: unknown, path: string): Promise<unknown> {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (isTensor(value)) return plainTensorOf(value, path)
  if (Array.isArray(value)) return Promise.all(value.map((item, i) => plainOf(item, `${path}[${i}]`)))
  if (!isPlainObject(value)) return value
  const entries = Object.entries(value).map(
    async ([name, item]) => [name, await plainOf(item, `${path}.${name}`)] as const,
  )
  return Object.fromEntries(await Promise.all(entries))
}

async function plainTensorOf(tensor: TensorLike, path: string): Promise<PlainTensor> {
  if (!FROM_TF.includes(tensor.dtype)) {
    const way =
      tensor.dtype === 'string'
        ? 'save `await tensor.array()`, nested arrays of strings'
        : 'save `tf.real(tensor)` and `tf.imag(tensor)`'
    throw new HubError('UNSUPPORTED', `${path} is a tensor of ${tensor.dtype}, which has no stored form; ${way}.`, {
      at: { scheme: 'tfjs', op: 'fromTf', target: path },
      path,
    })
  }
  return { dtype: tensor.dtype, shape: [...tensor.shape], data: (await tensor.data()) as ArrayBufferView }
}
