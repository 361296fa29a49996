import { HubError } from '@tensorhub/core'
import { isDtype, type Tensor, type TypedArray } from './dtypes.ts'

/** A tensor that lives in a framework and is read on request. */
interface LiveTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  dataSync(): unknown
}

/** A `tf.Tensor` or `tf.Variable` of TensorFlow.js, by its shape: this package knows no framework, and a process may hold several copies of one. */
export function isLiveTensor(value: object): value is LiveTensor {
  const { dtype, shape, dataSync } = value as Partial<LiveTensor>
  return typeof dtype === 'string' && Array.isArray(shape) && typeof dataSync === 'function'
}

/**
 * Reads it from its device.
 *
 * @throws INVALID naming `path` for types without a stored form (string, complex64), and for a tensor that was disposed.
 */
export function readLiveTensor(tensor: LiveTensor, path: string): Tensor {
  const { dtype, shape } = tensor
  if (!isDtype(dtype)) {
    const way =
      dtype === 'string'
        ? 'save `await tensor.array()`, nested arrays of strings'
        : dtype === 'complex64'
          ? 'save `tf.real(tensor)` and `tf.imag(tensor)`'
          : 'convert it first'
    throw refused(`A tensor of ${dtype} has no stored form; ${way}`, path)
  }
  let data: unknown
  try {
    data = tensor.dataSync()
  } catch (cause) {
    throw refused(`The tensor cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, path, cause)
  }
  return { dtype, shape: [...shape], data: data as TypedArray }
}

function refused(what: string, path: string, cause?: unknown): HubError {
  return new HubError('INVALID', `${what}${path === '' ? '' : ` (at '${path}')`}.`, {
    at: { scheme: 'content', op: 'save' },
    path,
    reason: 'VALUE_REFUSED',
    cause,
  })
}
