import { types } from 'node:util'
import { HubError } from '@tensorhub/core'
import {
  arrayKind,
  arrayOfDtype,
  bytesOf,
  type Dtype,
  isDtype,
  isStandard,
  type NumberArray,
  type Tensor,
  viewAs,
} from './dtypes.ts'
import { isLiveTensor, readLiveTensor } from './live-tensor.ts'
import { packNested, unpackNested } from './nested-arrays.ts'

/** A tensor's bytes on their way to storage: a view of the caller's memory. */
export interface EncodedTensor {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** A value taken apart: a JSON tree, and the tensors its leaves `{"$t":"t/0"}` name. */
export interface EncodedValue {
  readonly tree: string
  readonly tensors: readonly EncodedTensor[]
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const MAX_DEPTH = 500

/**
 * Takes a value apart. Known: null, booleans, numbers (NaN, infinities and -0 too), strings, bigint, Date, undefined, typed arrays, ArrayBuffer,
 * tensors `{ dtype, shape, data }`, tensors of TensorFlow.js (they come back as `{ dtype, shape, data }`), arrays, Map, Set, and plain objects of
 * them. Arrays of numbers that are rectangular and large come back as the same nested arrays.
 *
 * @throws INVALID naming the path of anything else (functions, symbols, class instances, cycles, lone surrogates, holes in arrays).
 */
export function encodeValue(value: unknown): EncodedValue {
  const encoder = new Encoder()
  const tree = encoder.encode(value, '', 0)
  return { tree: JSON.stringify(tree), tensors: encoder.tensors }
}

class Encoder {
  readonly tensors: EncodedTensor[] = []
  readonly #seen = new Map<
    ArrayBufferLike,
    {
      readonly offset: number
      readonly length: number
      readonly dtype: Dtype
      readonly shape: string
      readonly name: string
    }[]
  >()
  readonly #open = new Set<object>()

  encode(value: unknown, path: string, depth: number): Json {
    switch (typeof value) {
      case 'boolean':
        return value
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : { $number: Object.is(value, -0) ? '-0' : String(value) }
      case 'bigint':
        return { $bigint: String(value) }
      case 'undefined':
        return { $undefined: true }
      case 'string':
        if (!value.isWellFormed())
          throw refuse('The string is not well-formed Unicode (it holds a lone surrogate)', path)
        return value
      case 'object':
        break
      default:
        throw refuse(`A ${typeof value} cannot be stored`, path)
    }
    if (value === null) return null
    if (types.isDate(value)) {
      if (Number.isNaN(value.getTime())) throw refuse('The Date is invalid', path)
      return { $date: value.getTime() }
    }
    const array = arrayKind(value)
    if (array !== undefined) {
      const typed = value as NumberArray
      return this.#tensor(
        array.dtype,
        [typed.length],
        bytesIn(typed, path),
        isStandard(array) ? {} : { as: array.name },
      )
    }
    if (types.isArrayBuffer(value))
      return this.#tensor('uint8', [value.byteLength], bytesIn(value, path), { as: 'ArrayBuffer' })
    if (depth > MAX_DEPTH) throw refuse(`The value is nested deeper than ${MAX_DEPTH}`, path)
    if (this.#open.has(value)) throw refuse('The value contains itself', path)
    this.#open.add(value)
    try {
      return this.#compound(value, path, depth)
    } finally {
      this.#open.delete(value)
    }
  }

  #compound(value: object, path: string, depth: number): Json {
    const inside = (part: unknown, step: string) => this.encode(part, path === '' ? step : `${path}.${step}`, depth + 1)
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        if (!(i in value))
          throw refuse('The array has a hole; write undefined or null there', path === '' ? String(i) : `${path}.${i}`)
      }
      const packed = packNested(value)
      if (packed !== undefined)
        return this.#tensor('float64', packed.shape, bytesIn(packed.data, path), { as: 'nested' })
      return Array.from(value, (part, i) => inside(part, String(i)))
    }
    if (types.isMap(value))
      return { $map: Array.from(value, ([key, part], i) => [inside(key, `keys.${i}`), inside(part, `values.${i}`)]) }
    if (types.isSet(value)) return { $set: Array.from(value, (part, i) => inside(part, String(i))) }
    if (isLiveTensor(value)) return this.#compound(readLiveTensor(value, path), path, depth)
    if (isTensor(value)) {
      const data = checkTensor(value, path)
      return this.#tensor(value.dtype, value.shape, bytesIn(value.data, path), {
        as: 'tensor',
        ...(data === arrayOfDtype(value.dtype) ? {} : { data }),
      })
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      throw refuse(
        types.isPromise(value)
          ? 'A Promise cannot be stored; await it'
          : `A ${value.constructor?.name || 'class instance'} cannot be stored; give plain objects, arrays, typed arrays or tensors`,
        path,
      )
    }
    if (Object.getOwnPropertySymbols(value).length > 0)
      throw refuse('The object has a field whose name is a symbol', path)
    const out: { [key: string]: Json } = {}
    for (const [key, part] of Object.entries(value)) {
      if (!key.isWellFormed()) throw refuse('A field name is not well-formed Unicode', path)
      const name = key.startsWith('$') ? `$${key}` : key
      // defineProperty, because `__proto__` is an ordinary field name here.
      Object.defineProperty(out, name, {
        value: inside(part, key),
        enumerable: true,
        writable: true,
        configurable: true,
      })
    }
    return out
  }

  /** One entry for each distinct view of memory: the same array twice is stored once. */
  #tensor(
    dtype: Dtype,
    shape: readonly number[],
    bytes: Uint8Array,
    look: { readonly as?: string; readonly data?: string },
  ): Json {
    const shapeText = shape.join(',')
    let same = this.#seen.get(bytes.buffer)
    if (same === undefined) {
      same = []
      this.#seen.set(bytes.buffer, same)
    }
    let name = same.find(
      (t) =>
        t.offset === bytes.byteOffset && t.length === bytes.byteLength && t.dtype === dtype && t.shape === shapeText,
    )?.name
    if (name === undefined) {
      name = `t/${this.tensors.length}`
      this.tensors.push({ name, dtype, shape: [...shape], bytes })
      same.push({ offset: bytes.byteOffset, length: bytes.byteLength, dtype, shape: shapeText, name })
    }
    return { $t: name, ...look }
  }
}

/** Puts a value together again. `tensor` gives the bytes of a name, aligned to 8. @throws INTEGRITY when the tree is no encoding. */
export function decodeValue(
  tree: string,
  tensor: (name: string) => { readonly dtype: Dtype; readonly shape: readonly number[]; readonly bytes: Uint8Array },
): unknown {
  let json: Json
  try {
    json = JSON.parse(tree) as Json
  } catch (cause) {
    throw new HubError('INTEGRITY', 'The stored tree is not JSON.', { at: { scheme: 'content', op: 'decode' }, cause })
  }
  return decode(json, tensor, 0)
}

function decode(json: Json, tensor: Parameters<typeof decodeValue>[1], depth: number): unknown {
  if (typeof json !== 'object' || json === null) return json
  if (depth > MAX_DEPTH + 2) throw damaged('is nested too deep')
  const inside = (part: Json) => decode(part, tensor, depth + 1)
  if (Array.isArray(json)) return json.map(inside)
  const keys = Object.keys(json)
  const first = keys[0]
  if (first?.startsWith('$') && !first.startsWith('$$')) return special(first, json, tensor, inside)
  const out: Record<string, unknown> = {}
  for (const key of keys) {
    if (key.startsWith('$') && !key.startsWith('$$')) throw damaged(`has the unknown mark '${key}'`)
    Object.defineProperty(out, key.startsWith('$$') ? key.slice(1) : key, {
      value: inside(json[key] as Json),
      enumerable: true,
      writable: true,
      configurable: true,
    })
  }
  return out
}

function special(
  mark: string,
  json: { [key: string]: Json },
  tensor: Parameters<typeof decodeValue>[1],
  inside: (part: Json) => unknown,
): unknown {
  const held = json[mark] as Json
  switch (mark) {
    case '$t':
      if (typeof held !== 'string') throw damaged('names no tensor')
      return leaf(tensor(held), json.as, json.data)
    case '$date':
      if (typeof held !== 'number' || !(Math.abs(held) <= 8.64e15)) throw damaged('has a bad Date')
      return new Date(held)
    case '$bigint':
      if (typeof held !== 'string' || !/^-?\d+$/.test(held)) throw damaged('has a bad bigint')
      return BigInt(held)
    case '$number':
      if (held !== '-0' && held !== 'NaN' && held !== 'Infinity' && held !== '-Infinity')
        throw damaged('has a bad number')
      return Number(held)
    case '$undefined':
      return undefined
    case '$map':
      if (!Array.isArray(held)) throw damaged('has a bad Map')
      return new Map(
        held.map((pair) => {
          if (!Array.isArray(pair) || pair.length !== 2) throw damaged('has a bad Map')
          return [inside(pair[0] as Json), inside(pair[1] as Json)] as const
        }),
      )
    case '$set':
      if (!Array.isArray(held)) throw damaged('has a bad Set')
      return new Set(held.map(inside))
    default:
      throw damaged(`has the unknown mark '${mark}'`)
  }
}

function leaf(
  found: { readonly dtype: Dtype; readonly shape: readonly number[]; readonly bytes: Uint8Array },
  as: Json | undefined,
  array: Json | undefined,
): unknown {
  const standard = () => viewAs(arrayOfDtype(found.dtype), found.bytes)
  switch (as) {
    case undefined:
      return standard()
    case 'tensor':
      return {
        dtype: found.dtype,
        shape: [...found.shape],
        data: array === undefined ? standard() : viewAs(array, found.bytes),
      }
    case 'nested': {
      const data = standard()
      if (!(data instanceof Float64Array) || found.shape.length === 0) throw damaged('has a bad nested array')
      // No rows may have been asked for; a zero further in never comes from an encoder, and would let a few bytes claim huge arrays.
      if (data.length === 0) return []
      return unpackNested(found.shape, data)
    }
    case 'ArrayBuffer':
      return found.bytes.slice().buffer
    default:
      return viewAs(as, found.bytes)
  }
}

/** Whether a value is a tensor `{ dtype, shape, data }`. */
export function isTensor(value: object): value is Tensor {
  const t = value as Partial<Tensor>
  return (
    Object.keys(value).length === 3 && isDtype(t.dtype) && Array.isArray(t.shape) && arrayKind(t.data) !== undefined
  )
}

/** @returns the name of the array type the tensor's data has. */
function checkTensor(t: Tensor, path: string): string {
  if (!t.shape.every((n) => Number.isSafeInteger(n) && n >= 0))
    throw refuse('The tensor has a shape that is no list of whole numbers', path)
  const kind = arrayKind(t.data)
  if (kind === undefined || (kind.dtype !== t.dtype && kind.name !== arrayOfDtype(t.dtype)))
    throw refuse(
      `The tensor says ${t.dtype}, which takes a ${arrayOfDtype(t.dtype)}, but its data is a ${kind?.name}`,
      path,
    )
  const elements = t.shape.reduce((product, n) => product * n, 1)
  if (t.data.byteLength !== elements * bytesOf(t.dtype)) {
    throw refuse(
      `The tensor's data has ${t.data.byteLength} bytes, but ${t.dtype} of shape [${t.shape.join(', ')}] has ${elements * bytesOf(t.dtype)}`,
      path,
    )
  }
  return kind.name
}

function bytesIn(memory: ArrayBufferView | ArrayBuffer, path: string): Uint8Array {
  const [buffer, offset] = ArrayBuffer.isView(memory) ? [memory.buffer, memory.byteOffset] : [memory, 0]
  // Memory that was transferred to a thread looks like an empty array; saving that would lose the data silently.
  if (types.isArrayBuffer(buffer) && buffer.detached)
    throw refuse('The array is detached: its memory was transferred elsewhere', path)
  return new Uint8Array(buffer, offset, memory.byteLength)
}

function refuse(what: string, path: string): HubError {
  return new HubError('INVALID', `${what}${path === '' ? '' : ` (at '${path}')`}.`, {
    at: { scheme: 'content', op: 'save' },
    path,
    reason: 'VALUE_REFUSED',
  })
}

function damaged(what: string): HubError {
  return new HubError('INTEGRITY', `The stored tree ${what}.`, { at: { scheme: 'content', op: 'decode' } })
}
