import { bytesOf } from './dtypes.ts'
import type { Extent, ManifestTensor } from './manifest.ts'
import type { EncodedTensor } from './value-codec.ts'

const MIB = 1024 * 1024
/** A slice of a large tensor; weights never shift, so fixed places deduplicate (design §5). */
export const SLICE = 16 * MIB
/** Tensors of so many rows are datasets: their slices are about 1/256 of them, so that a contiguous change of 1 % of the rows stores 1–2 %. */
const ROWS_FROM = 4096
const ROW_SLICE_LEAST = MIB / 4

/** One chunk to be: the pieces of memory that make it up, in order. */
export interface Slice {
  readonly parts: readonly Uint8Array[]
  readonly size: number
}

/** Cuts tensors into chunks: rows stay whole inside a slice wherever a row fits, and small tensors are put together, aligned to 8. */
export function cut(
  tensors: readonly EncodedTensor[],
  small: number,
): { readonly slices: readonly Slice[]; readonly tensors: readonly ManifestTensor[] } {
  const slices: { parts: Uint8Array[]; size: number }[] = []
  const out: ManifestTensor[] = []
  let smalls: { parts: Uint8Array[]; size: number } | undefined
  let smallsAt = 0
  for (const { name, dtype, shape, bytes } of tensors) {
    const at: Extent[] = []
    if (bytes.byteLength >= small) {
      const step = sliceBytes(bytes.byteLength, shape, bytesOf(dtype))
      for (let offset = 0; offset < bytes.byteLength; offset += step) {
        const part = bytes.subarray(offset, Math.min(offset + step, bytes.byteLength))
        at.push([slices.length, 0, part.byteLength])
        slices.push({ parts: [part], size: part.byteLength })
      }
    } else if (bytes.byteLength > 0) {
      if (smalls === undefined || smalls.size + bytes.byteLength > SLICE) {
        smalls = { parts: [], size: 0 }
        smallsAt = slices.length
        slices.push(smalls)
      }
      at.push([smallsAt, smalls.size, bytes.byteLength])
      smalls.parts.push(bytes)
      smalls.size += bytes.byteLength
      const padding = (8 - (smalls.size % 8)) % 8
      if (padding > 0) {
        smalls.parts.push(new Uint8Array(padding))
        smalls.size += padding
      }
    }
    out.push({ name, dtype, shape, at })
  }
  return { slices, tensors: out }
}

function sliceBytes(total: number, shape: readonly number[], element: number): number {
  const rows = shape[0] ?? 1
  const row = rows > 0 ? total / rows : total
  const target = shape.length > 1 && rows >= ROWS_FROM ? rowSlice(total) : SLICE
  if (shape.length > 1 && row <= target) return Math.floor(target / row) * row
  return target - (target % element)
}

/** A power of two, so that a dataset that grows a little keeps its slices. */
function rowSlice(total: number): number {
  let target = ROW_SLICE_LEAST
  while (target < SLICE && target < total / 256) target *= 2
  return target
}

/** The slice's bytes: the caller's own memory when it is one piece. */
export function joinSlice(slice: Slice): Uint8Array {
  if (slice.parts.length === 1) return slice.parts[0] as Uint8Array
  const out = new Uint8Array(slice.size)
  let at = 0
  for (const part of slice.parts) {
    out.set(part, at)
    at += part.byteLength
  }
  return out
}
