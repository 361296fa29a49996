/** Rectangular arrays of numbers from this many on become tensors; smaller ones stay in the tree. */
const NESTED_MIN = 256
const MAX_AXES = 16

/** A rectangular array of numbers as one tensor; undefined for anything else. */
export function packNested(
  value: readonly unknown[],
): { readonly shape: number[]; readonly data: Float64Array } | undefined {
  const shape: number[] = []
  for (let at: unknown = value; Array.isArray(at) && shape.length < MAX_AXES; at = at[0]) shape.push(at.length)
  const elements = shape.reduce((product, n) => product * n, 1)
  // Lengths are looked at before any memory is taken: one long row among many short ones would claim far more than there is.
  if (elements < NESTED_MIN || !isRectangular(value, shape, 0)) return undefined
  const data = new Float64Array(elements)
  let filled = 0
  const fill = (part: readonly unknown[], level: number): boolean => {
    if (level < shape.length - 1) return part.every((inner) => fill(inner as readonly unknown[], level + 1))
    for (const element of part) {
      if (typeof element !== 'number') return false
      data[filled++] = element
    }
    return true
  }
  return fill(value, 0) ? { shape, data } : undefined
}

function isRectangular(part: readonly unknown[], shape: readonly number[], level: number): boolean {
  if (part.length !== shape[level]) return false
  if (level === shape.length - 1) return true
  for (let i = 0; i < part.length; i++) {
    const inner = part[i]
    if (!Array.isArray(inner) || !isRectangular(inner, shape, level + 1)) return false
  }
  return true
}

/** The nested arrays of a tensor with at least one element. */
export function unpackNested(shape: readonly number[], data: Float64Array): unknown {
  let at = 0
  const build = (level: number): unknown => {
    const length = shape[level] as number
    if (level === shape.length - 1) {
      const row = Array.from(data.subarray(at, at + length))
      at += length
      return row
    }
    return Array.from({ length }, () => build(level + 1))
  }
  return build(0)
}
