import type { Doc, Value } from '@tensorhub/core'
import fc from 'fast-check'

/** Few names and few values, so that filters often match; `_id` aside, every name stands at every depth. */
export const NAMES = ['a', 'b', 'c', 'n', `odd "key' ü😀`] as const

const text = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      '',
      'a',
      'b',
      'ab',
      'abc',
      'A',
      'a%',
      'a_',
      "'",
      '"',
      '😀',
      '\uffff',
      'é',
      'a\u0000',
      '1',
      'true',
      'null',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
)

const number = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 5 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      0.5,
      -1.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.MAX_SAFE_INTEGER,
      -Number.MAX_SAFE_INTEGER,
      1e300,
      5e-324,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.double({ noDefaultInfinity: true }).filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n)),
  },
)

const big = fc.constantFrom(
  1n,
  3n,
  -2n,
  9007199254740991n,
  9007199254740993n,
  9223372036854775000n,
  -9223372036854775000n,
)
const date = fc.constantFrom(0, 1, -1, 3, 1700000000000, -62135596800000).map((ms) => new Date(ms))

/** A leaf: every kind there is. */
export const scalar: fc.Arbitrary<Value> = fc.oneof(
  { weight: 5, arbitrary: number },
  { weight: 4, arbitrary: text },
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 2, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: big },
  { weight: 1, arbitrary: date },
)

function record(part: fc.Arbitrary<Value>): fc.Arbitrary<Record<string, Value>> {
  return fc
    .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), part), { maxLength: 3, selector: ([name]) => name })
    .map((pairs) => Object.fromEntries(pairs))
}

/** A value of some depth: scalars, arrays, objects, and arrays of either. */
export function nestedValue(depth: number): fc.Arbitrary<Value> {
  if (depth === 0) return scalar
  const inner = nestedValue(depth - 1)
  return fc.oneof(
    { weight: 6, arbitrary: scalar },
    { weight: 3, arbitrary: fc.array(inner, { maxLength: 4 }) },
    { weight: 3, arbitrary: record(inner) },
  )
}

/** Documents of one collection. Each `_id` differs; some have astral characters, so that their order shows. */
export const documents: fc.Arbitrary<Doc[]> = fc
  .array(record(nestedValue(2)), { minLength: 1, maxLength: 14 })
  .map((records) => records.map((fields, i): Doc => ({ ...fields, _id: `${['d', '😀', '\uffff', ''][i % 4]}${i}` })))

/** Every path that leads to something in the documents, with the values there, arrays entered by index and by element. */
export function pathsOf(docs: readonly Doc[]): { path: string; value: Value }[] {
  const found: { path: string; value: Value }[] = []
  const enter = (value: Value, path: string): void => {
    if (path !== '') found.push({ path, value })
    if (typeof value !== 'object' || value === null || value instanceof Date) return
    if (Array.isArray(value)) {
      for (const [i, part] of value.entries()) {
        enter(part, path === '' ? String(i) : `${path}.${i}`)
        if (typeof part !== 'object' || part === null || part instanceof Date) found.push({ path, value: part })
        else if (!Array.isArray(part))
          for (const [name, inner] of Object.entries(part)) enter(inner as Value, `${path}.${name}`)
      }
      return
    }
    for (const [name, part] of Object.entries(value))
      if (name !== '_id' || path !== '') enter(part as Value, path === '' ? name : `${path}.${name}`)
  }
  for (const doc of docs) enter(doc, '')
  return found
}
