import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WeightSpec } from '../src/shapes.ts'
import { joinWeights, splitWeights } from '../src/weights.ts'

function bytes(...values: number[]): ArrayBuffer {
  return Uint8Array.from(values).buffer
}

describe('weights', () => {
  const strings: WeightSpec = { name: 'vocabulary', shape: [2], dtype: 'string' }
  const encoded = [2, 0, 0, 0, 0x68, 0x69, 0, 0, 0, 0]

  it.each<[string, WeightSpec[], number[], string[]]>([
    [
      'bool before float32, which leaves it unaligned',
      [
        { name: 'b', shape: [3], dtype: 'bool' },
        { name: 'f', shape: [1], dtype: 'float32' },
      ],
      [1, 0, 1, 0, 0, 128, 63],
      ['bool', 'float32'],
    ],
    ['scalars', [{ name: 'i', shape: [], dtype: 'int32' }], [255, 255, 255, 255], ['int32']],
    ['empty tensors', [{ name: 'e', shape: [0, 4], dtype: 'float32' }], [], ['float32']],
    ['strings', [strings], encoded, ['uint8']],
    ['complex64', [{ name: 'c', shape: [1], dtype: 'complex64' }], [0, 0, 128, 63, 0, 0, 0, 64], ['float32']],
    [
      'uint8 quantised',
      [{ name: 'q', shape: [4], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.1, min: -1 } }],
      [1, 2, 3, 4],
      ['uint8'],
    ],
    [
      'float16',
      [{ name: 'h', shape: [2], dtype: 'float32', quantization: { dtype: 'float16' } }],
      [1, 2, 3, 4],
      ['uint16'],
    ],
  ])('keeps %s byte for byte', (_, specs, data, dtypes) => {
    const split = splitWeights(specs, bytes(...data))
    expect(split.map((weight) => weight.dtype)).toEqual(dtypes)
    expect([...new Uint8Array(joinWeights(specs, split))]).toEqual(data)
  })

  it('keeps any weights byte for byte, however the bytes come in pieces', () => {
    const WIDTH = { float32: 4, int32: 4, bool: 1, complex64: 8, uint8: 1, uint16: 2, float16: 2 } as const
    const spec = fc
      .record({
        kind: fc.constantFrom(...(Object.keys(WIDTH) as (keyof typeof WIDTH)[])),
        shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
      })
      .map(({ kind, shape }): { spec: WeightSpec; size: number } => {
        const size = shape.reduce((total, length) => total * length, WIDTH[kind])
        if (kind === 'uint8' || kind === 'uint16' || kind === 'float16')
          return { spec: { name: 'w', shape, dtype: 'float32', quantization: { dtype: kind } }, size }
        return { spec: { name: 'w', shape, dtype: kind }, size }
      })
    fc.assert(
      fc.property(
        fc.array(spec, { maxLength: 6 }),
        fc.nat(),
        fc.infiniteStream(fc.nat({ max: 255 })),
        (all, cut, noise) => {
          const specs = all.map((one) => one.spec)
          const length = all.reduce((total, { size }) => total + size, 0)
          const data = Uint8Array.from([...noise.take(length)])
          const at = length === 0 ? 0 : cut % length
          const split = splitWeights(specs, [data.slice(0, at).buffer, data.slice(at).buffer])
          expect(new Uint8Array(joinWeights(specs, split))).toEqual(data)
          if (length > 0) expect(() => splitWeights(specs, data.slice(0, -1).buffer)).toThrow(/ends before/)
          expect(() => splitWeights(specs, Uint8Array.of(...data, 0).buffer)).toThrow(/describe/)
        },
      ),
    )
  })

  it('takes weightData in pieces', () => {
    const specs: WeightSpec[] = [{ name: 'i', shape: [2], dtype: 'int32' }]
    const [weight] = splitWeights(specs, [bytes(1, 0, 0, 0, 2), bytes(0, 0, 0)])
    expect(weight?.data).toEqual(Int32Array.of(1, 2))
  })

  it.each<[string, WeightSpec[], number[], RegExp]>([
    [
      'bytes that end early',
      [{ name: 'kernel', shape: [2], dtype: 'float32' }],
      [0, 0, 0, 0],
      /ends before the weight 'kernel'/,
    ],
    [
      'bytes left over',
      [{ name: 'kernel', shape: [1], dtype: 'bool' }],
      [0, 0],
      /2 bytes and its weightSpecs describe 1/,
    ],
    [
      'a string that runs over the end',
      [strings],
      [9, 0, 0, 0, 1, 0, 0, 0, 0, 0],
      /ends before the weight 'vocabulary'|2 bytes|bytes/,
    ],
    [
      'an unknown dtype',
      [{ name: 'kernel', shape: [1], dtype: 'int64' as 'int32' }],
      [0],
      /'kernel' is of dtype 'int64'/,
    ],
  ])('refuses %s', (_, specs, data, message) => {
    expect(() => splitWeights(specs, bytes(...data))).toThrow(message)
  })

  it('refuses stored weights that do not fit their specs', () => {
    const specs: WeightSpec[] = [{ name: 'kernel', shape: [2], dtype: 'float32' }]
    expect(() => joinWeights(specs, [])).toThrow(/1 weight specs and 0 weights/)
    expect(() => joinWeights(specs, [{ dtype: 'float32', shape: [1], data: Float32Array.of(1) }])).toThrow(
      /'kernel' has 4 bytes.*needs 8/,
    )
  })
})
