import type { Value } from '@tensorhub/core'

/**
 * Values that careless code takes for the same as this one, or for its neighbour: they convert, print or fold alike, and no filter may mix them up. SQLite's
 * `json_extract` gives 1 for true, JavaScript's `==` takes '1' for 1, a collation takes 'A' for 'a', text ends at NUL.
 */
export function twinsOf(value: Value): readonly Value[] {
  switch (typeof value) {
    case 'boolean':
      return [Number(value), String(value), !value]
    case 'number':
      return [
        String(value),
        -value,
        ...(value === 0 || value === 1 ? [value === 1] : []),
        ...(Number.isSafeInteger(value) ? [BigInt(value), new Date(value % 8.64e15), value + 1] : [Number.NaN, null]),
      ]
    case 'bigint':
      return [Number(value), String(value), value - 1n]
    case 'string':
      return [
        value.toUpperCase(),
        `${value}\u0000`,
        value.slice(0, -1),
        ...(value === '' ? [null, 0] : []),
        value === 'true',
      ]
    default:
      if (value === null) return [0, '', 'null', false]
      return value instanceof Date ? [value.getTime(), value.toISOString(), new Date(value.getTime() + 1)] : []
  }
}
