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
