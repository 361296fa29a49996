/** Bytes of a tensor that becomes a chunk of its own. */
export const LARGE = 128 * 1024

/** Numbers that do not compress, the same for the same seed. */
export function noise(bytes: number, seed: number): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bytes / 4)
  let x = (Math.imul(seed, 2654435761) + 1) >>> 0
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    // Exponents of ordinary numbers, so that none is NaN.
    words[i] = ((x >>> 0) & 0x807fffff) | 0x3c000000
  }
  return new Float32Array(words.buffer)
}
