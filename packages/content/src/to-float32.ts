import { HubError } from '@tensorhub/core'
import type { Tensor } from './dtypes.ts'

/**
 * The numbers of a tensor as a new Float32Array: for float16, bfloat16 and the float8 types, whose `data` are raw bits. Every value of those types is
 * exact in float32; float64 and wide integers are rounded to the nearest.
 *
 * float16 is IEEE 754 binary16; float8 as in "FP8 formats for deep learning" (Micikevicius et al. 2022): e4m3 has no infinities and NaN at all ones,
 * e5m2 is like IEEE.
 */
export function toFloat32(tensor: Tensor): Float32Array {
  const { dtype, data } = tensor
  switch (dtype) {
    case 'bfloat16': {
      const bits = Uint32Array.from(bitsOf(data), (half) => half << 16)
      return new Float32Array(bits.buffer)
    }
    case 'float16':
      return Float32Array.from(bitsOf(data), (bits) => small(bits, 5, 10, true))
    case 'float8_e5m2':
      return Float32Array.from(bitsOf(data), (bits) => small(bits, 5, 2, true))
    case 'float8_e4m3':
      return Float32Array.from(bitsOf(data), (bits) => small(bits, 4, 3, false))
    case 'int64':
    case 'uint64':
      return Float32Array.from(data as BigInt64Array, Number)
    default:
      return Float32Array.from(data as Float64Array)
  }
}

function bitsOf(data: ArrayBufferView): Uint8Array | Uint16Array {
  if (data instanceof Uint8Array || data instanceof Uint16Array) return data
  // Float16Array: its bits, whatever the engine calls it.
  if (data.byteLength % 2 === 0 && data.byteOffset % 2 === 0)
    return new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength / 2)
  throw new HubError('INVALID', 'The tensor’s data are no raw bits of its element type.', {
    at: { scheme: 'content', op: 'convert' },
  })
}

/** A number of a small floating-point format from its bits. `ieee`: the highest exponent means infinity and NaN. */
function small(bits: number, exponentBits: number, fractionBits: number, ieee: boolean): number {
  const fraction = bits & ((1 << fractionBits) - 1)
  const highest = (1 << exponentBits) - 1
  const exponent = (bits >> fractionBits) & highest
  const sign = (bits >> (exponentBits + fractionBits)) & 1 ? -1 : 1
  const bias = highest >> 1
  if (exponent === highest) {
    if (ieee) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
    if (fraction === (1 << fractionBits) - 1) return Number.NaN
  }
  const scale = 2 ** -fractionBits
  return exponent === 0
    ? sign * fraction * scale * 2 ** (1 - bias)
    : sign * (1 + fraction * scale) * 2 ** (exponent - bias)
}
