import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors, type Tensor, toFloat32 } from '../src/index.ts'
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

  it('values of another realm (node:vm, as test runners use it) are what they are here', () => {
    const foreign = runInNewContext(
      '({ d: new Date(5), f: new Float32Array([1, 2]), m: new Map([[1, new Set([2])]]), b: new ArrayBuffer(3), n: [1, { x: null }] })',
    ) as unknown
    expect(decodeSafetensors(encodeSafetensors(foreign))).toStrictEqual({
      d: new Date(5),
      f: new Float32Array([1, 2]),
      m: new Map([[1, new Set([2])]]),
      b: new ArrayBuffer(3),
      n: [1, { x: null }],
    })
  })

  it('a Buffer and views of shared memory come back as Uint8Array', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(5)).fill(7)
    const value = { pooled: Buffer.from('pooled'), part: new Uint8Array(20).fill(3).subarray(5, 9), shared }
    expect(decodeSafetensors(encodeSafetensors(value))).toStrictEqual({
      pooled: new TextEncoder().encode('pooled'),
      part: new Uint8Array(4).fill(3),
      shared: new Uint8Array(5).fill(7),
    })
  })

  const half = (globalThis as { readonly Float16Array?: { from(numbers: number[]): ArrayBufferView } }).Float16Array
  it.runIf(half !== undefined)('Float16Array (Node 24 has it), alone and as the data of a tensor', () => {
    const data = half?.from([1, -2, 65504, Number.NaN]) as ArrayBufferView
    const value = { alone: data, tensor: { dtype: 'float16', shape: [2, 2], data } }
    const back = decodeSafetensors(encodeSafetensors(value)) as typeof value
    expect(back).toStrictEqual(value)
    expect(toFloat32(back.tensor as unknown as Tensor)).toEqual(new Float32Array([1, -2, 65504, Number.NaN]))
  })

  it('ragged arrays of one long row and many short ones take no more memory than they have', () => {
    const value = [Array.from({ length: 100_000 }, (_, i) => i), ...Array.from({ length: 100_000 }, () => [1])]
    expect(decodeSafetensors(encodeSafetensors(value))).toStrictEqual(value)
    const almost = Array.from({ length: 30 }, () => Array.from({ length: 30 }, (_, i) => i) as unknown[])
    ;(almost[29] as unknown[])[29] = 'x'
    expect(decodeSafetensors(encodeSafetensors(almost))).toStrictEqual(almost)
  })

  it('toFloat32: every bit pattern of float16 as the engine reads it, and the corners of the others', () => {
    if (half !== undefined) {
      const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i)
      const engine = Float32Array.from(new (half as unknown as new (b: ArrayBuffer) => ArrayLike<number>)(bits.buffer))
      expect(toFloat32({ dtype: 'float16', shape: [65_536], data: bits })).toEqual(engine)
    }
    const of = (dtype: Tensor['dtype'], data: Tensor['data']) =>
      Array.from(toFloat32({ dtype, shape: [data.length], data }))
    expect(of('float16', new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7c00, 0x8000]))).toEqual([
      1,
      -2,
      2 ** -24,
      Number.POSITIVE_INFINITY,
      -0,
    ])
    expect(of('bfloat16', new Uint16Array([0x3f80, 0xc049, 0x7f80]))).toEqual([1, -3.140625, Number.POSITIVE_INFINITY])
    // The largest, the smallest and NaN of each, from the paper's table 1.
    expect(of('float8_e4m3', new Uint8Array([0x7e, 0x01, 0x7f, 0x38]))).toEqual([448, 2 ** -9, Number.NaN, 1])
    expect(of('float8_e5m2', new Uint8Array([0x7b, 0x01, 0x7c, 0x7f]))).toEqual([
      57_344,
      2 ** -16,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ])
    expect(of('int64', new BigInt64Array([-5n]))).toEqual([-5])
    expect(of('uint8', new Uint8Array([7]))).toEqual([7])
  })

  /** What the tensors of TensorFlow.js look like; the real ones are in the tests of @tensorhub/tfjs. */
  function live(dtype: string, shape: number[], data: unknown): object {
    class LiveTensor {
      readonly dtype = dtype
      readonly shape = shape
      dataSync(): unknown {
        if (data instanceof Error) throw data
        return data
      }
    }
    return new LiveTensor()
  }

  it('a tensor of a framework is read, and comes back as a plain one', () => {
    const value = [live('float32', [2, 1], Float32Array.of(1, -0)), { b: live('bool', [], Uint8Array.of(1)) }]
    expect(decodeSafetensors(encodeSafetensors(value))).toEqual([
      { dtype: 'float32', shape: [2, 1], data: Float32Array.of(1, -0) },
      { b: { dtype: 'bool', shape: [], data: Uint8Array.of(1) } },
    ])
  })

  const detached = new Float32Array(4)
  structuredClone(detached, { transfer: [detached.buffer] })
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
    ['memory that was transferred away', { w: detached }, 'w'],
    ['a tensor whose data is of another type', { w: { dtype: 'float32', shape: [2], data: new Int32Array(2) } }, 'w'],
    ['a tensor with a negative shape', { w: { dtype: 'float32', shape: [-1, -2], data: new Float32Array(2) } }, 'w'],
    ['a DataView', { v: new DataView(new ArrayBuffer(4)) }, 'v'],
    ['a proxy of a class', { p: new Proxy(new (class Thing {})(), {}) }, 'p'],
    ['a tensor of a framework, of strings', { w: [live('string', [1], ['a'])] }, 'w.0'],
    ['a tensor of a framework that was disposed', { w: live('float32', [1], new Error('disposed')) }, 'w'],
    ['a tensor of a framework whose data does not fit', { w: live('float32', [2], new Float32Array(1)) }, 'w'],
    ['a tensor whose data does not fit', { w: { dtype: 'float32', shape: [2, 2], data: new Float32Array(3) } }, 'w'],
  ])('%s is refused by its path', (_name, value, path) => {
    expect(() => encodeSafetensors(value)).toThrow(
      expect.objectContaining({ code: 'INVALID', ...(path === '' ? {} : { path }) }),
    )
  })
})
