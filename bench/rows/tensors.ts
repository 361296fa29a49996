const MIB = 1024 * 1024

/** A model-like value of about `total` bytes: tensors of 32, 16, 8, 4, 2 and 2 MiB in turn, with bytes that do not compress, made new by `seed`. */
export function tensors(total: number, seed: number): Record<string, Float32Array> {
  const out: Record<string, Float32Array> = {}
  const sizes = [32, 16, 8, 4, 2, 2]
  for (let n = 0, left = total; left > 0; n++) {
    const bytes = Math.min(left, (sizes[n % sizes.length] as number) * MIB)
    out[`layer${n}`] = noise(bytes, seed * 1000 + n)
    left -= bytes
  }
  return out
}

/** Numbers in the range of weights whose mantissas do not compress. */
export function noise(bytes: number, seed: number): Float32Array {
  const words = new Uint32Array(bytes / 4)
  let x = (seed * 2654435761 + 1) >>> 0
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x >>>= 0
    x ^= x >>> 17
    x ^= x << 5
    x >>>= 0
    // The exponent is kept in the range of weights, the mantissa is noise.
    words[i] = (x & 0x807fffff) | 0x3c000000
  }
  return new Float32Array(words.buffer)
}

/** Bytes of all arrays. */
export const bytesOf = (value: Record<string, Float32Array>) =>
  Object.values(value).reduce((sum, t) => sum + t.byteLength, 0)
