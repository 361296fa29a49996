import { types } from 'node:util'
import { HubError } from '@tensorhub/core'

/** Element types of tensors, in the field's lower-case names; each with its safetensors name and its size in bytes. */
const DTYPES = {
  bool: ['BOOL', 1],
  uint8: ['U8', 1],
  int8: ['I8', 1],
  uint16: ['U16', 2],
  int16: ['I16', 2],
  uint32: ['U32', 4],
  int32: ['I32', 4],
  uint64: ['U64', 8],
  int64: ['I64', 8],
  float16: ['F16', 2],
  bfloat16: ['BF16', 2],
  float32: ['F32', 4],
  float64: ['F64', 8],
  float8_e4m3: ['F8_E4M3', 1],
  float8_e5m2: ['F8_E5M2', 1],
} as const

export type Dtype = keyof typeof DTYPES

export type TypedArray =
  | Uint8Array
  | Uint8ClampedArray
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array

/**
 * A tensor: row-major elements with a shape. `data` is a view of `product(shape)` elements; bool is a Uint8Array of 0 and 1; float16, bfloat16 and
 * the float8 types are raw bits in Uint16Array or Uint8Array (`toFloat32` gives numbers), float16 also Node 24's Float16Array.
 */
export interface Tensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: TypedArray
}

export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(DTYPES, name)
}

/** Bytes of one element. */
export function bytesOf(dtype: Dtype): number {
  return DTYPES[dtype][1]
}

export function safetensorsName(dtype: Dtype): string {
  return DTYPES[dtype][0]
}

export function dtypeOfSafetensors(name: unknown): Dtype | undefined {
  return (Object.keys(DTYPES) as Dtype[]).find((dtype) => DTYPES[dtype][0] === name)
}

/** Node has it from 24 on. */
const Float16: (new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView) | undefined = (
  globalThis as { readonly Float16Array?: new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView }
).Float16Array

const ARRAYS = {
  Uint8Array: ['uint8', 1, Uint8Array],
  Uint8ClampedArray: ['uint8', 1, Uint8ClampedArray],
  Int8Array: ['int8', 1, Int8Array],
  Uint16Array: ['uint16', 2, Uint16Array],
  Int16Array: ['int16', 2, Int16Array],
  Uint32Array: ['uint32', 4, Uint32Array],
  Int32Array: ['int32', 4, Int32Array],
  BigUint64Array: ['uint64', 8, BigUint64Array],
  BigInt64Array: ['int64', 8, BigInt64Array],
  Float16Array: ['float16', 2, Float16],
  Float32Array: ['float32', 4, Float32Array],
  Float64Array: ['float64', 8, Float64Array],
} as const

export type ArrayName = keyof typeof ARRAYS

/** Any array of numbers over memory: those of {@link TypedArray}, and Float16Array, which not every version of the language's types knows. */
export type NumberArray = ArrayBufferView & { readonly length: number }

/**
 * The name and element type of a typed array; undefined for other values. Subclasses (Buffer) count as what they extend, and arrays of other realms
 * (test runners, `node:vm`) as ours.
 */
export function arrayKind(value: unknown): { readonly name: ArrayName; readonly dtype: Dtype } | undefined {
  if (!types.isTypedArray(value)) return undefined
  const name = nameOf(value)
  return isArrayName(name) ? { name, dtype: ARRAYS[name][0] } : undefined
}

/** The name in the array's own slot, which no subclass can hide. */
const tag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get

function nameOf(array: object): unknown {
  return tag?.call(array)
}

function isArrayName(name: unknown): name is ArrayName {
  return typeof name === 'string' && Object.hasOwn(ARRAYS, name)
}

/**
 * A view of bytes as a typed array; copies only when the bytes are not aligned for it.
 *
 * @throws INTEGRITY for an unknown type or a broken length; UNSUPPORTED for a Float16Array where Node has none.
 */
export function viewAs(name: unknown, bytes: Uint8Array): NumberArray {
  const at = { scheme: 'content', op: 'decode' }
  if (!isArrayName(name))
    throw new HubError('INTEGRITY', `The stored array type ${JSON.stringify(name)} is unknown.`, { at })
  const [, size, arrayClass] = ARRAYS[name]
  if (bytes.byteLength % size !== 0)
    throw new HubError('INTEGRITY', `${bytes.byteLength} bytes are no whole ${name}.`, { at })
  if (arrayClass === undefined)
    throw new HubError('UNSUPPORTED', `The value holds a ${name}, which Node has from version 24 on.`, { at })
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  return new arrayClass(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size) as NumberArray
}

/** The typed array a tensor's `data` has. */
export function arrayOfDtype(dtype: Dtype): ArrayName {
  if (dtype === 'bool' || dtype === 'float8_e4m3' || dtype === 'float8_e5m2') return 'Uint8Array'
  if (dtype === 'float16' || dtype === 'bfloat16') return 'Uint16Array'
  return (Object.keys(ARRAYS) as ArrayName[]).find(
    (name) => ARRAYS[name][0] === dtype && name !== 'Uint8ClampedArray',
  ) as ArrayName
}

/** The typed array a typed array's own type comes back as when nothing else is said. */
export function isStandard(kind: { readonly name: ArrayName; readonly dtype: Dtype }): boolean {
  return arrayOfDtype(kind.dtype) === kind.name
}
