import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors } from '../src/index.ts'
import { everyKind } from './values.ts'

describe('values', () => {
  it('come back as they were, every kind', () => {
    const value = everyKind()
    const back = decodeSafetensors(encodeSafetensors(value)) as Record<string, unknown>
    expect(back).toStrictEqual(value)
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
    expect(Object.hasOwn(back, '__proto__')).toBe(true)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it('generated trees come back as they were', () => {
    const leaf = fc.oneof(
      fc.double(),
      fc.bigInt(),
      fc.string({ unit: 'binary' }),
      fc.boolean(),
      fc.constant(null),
      fc.constant(undefined),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array(),
      fc.float64Array(),
      fc.int32Array(),
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('tree')),
        fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$t', '$date', '__proto__', 'as')), tie('tree'), {
          noNullPrototype: true,
        }),
      ),
    }))
    fc.assert(
      fc.property(tree, (value) => {
        expect(decodeSafetensors(encodeSafetensors(value))).toStrictEqual(value)
      }),
      { numRuns: 300 },
    )
  })

  it('one array in several places is stored once', () => {
    const weights = new Float32Array(10_000)
    expect(encodeSafetensors({ a: weights, b: weights, c: [weights] }).byteLength).toBeLessThan(
      weights.byteLength + 1000,
    )
  })

  it('typed arrays are views of the file, not copies', () => {
    const file = encodeSafetensors({
      bytes: new Uint8Array(3),
      doubles: new Float64Array(1000),
      halves: { dtype: 'bfloat16', shape: [5], data: new Uint16Array(5) },
    })
    const back = decodeSafetensors(file) as { doubles: Float64Array; bytes: Uint8Array }
    expect(back.doubles.buffer).toBe(file.buffer)
    expect(back.bytes.buffer).toBe(file.buffer)
  })

  const cyclic: { inner: { self?: unknown } } = { inner: {} }
  cyclic.inner.self = cyclic
  let deep: unknown = 1
  for (let i = 0; i < 600; i++) deep = [deep]
  const hole = [1, 2, 3]
  delete hole[1]
  it.each<[string, unknown, string]>([
    ['a function', { a: [1, () => 1] }, 'a.1'],
    ['a symbol', { a: Symbol('s') }, 'a'],
    ['a symbol as field name', { a: { [Symbol('s')]: 1 } }, 'a'],
    ['a class instance', { m: { when: new (class Model {})() } }, 'm.when'],
    ['a regular expression', { a: /x/ }, 'a'],
    ['a promise', { a: Promise.resolve(1) }, 'a'],
    ['a cycle', cyclic, 'inner.self'],
    ['a lone surrogate', { text: 'a\ud800' }, 'text'],
    ['an invalid Date', { d: new Date(Number.NaN) }, 'd'],
    ['a hole', { list: hole }, 'list.1'],
    ['too deep nesting', deep, ''],
    ['a tensor whose data does not fit', { w: { dtype: 'float32', shape: [2, 2], data: new Float32Array(3) } }, 'w'],
  ])('%s is refused by its path', (_name, value, path) => {
    expect(() => encodeSafetensors(value)).toThrow(
      expect.objectContaining({ code: 'INVALID', ...(path === '' ? {} : { path }) }),
    )
  })
})
