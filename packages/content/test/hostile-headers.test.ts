import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors } from '../src/index.ts'

function file(header: string | Uint8Array, data = 0): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const out = new Uint8Array(8 + json.byteLength + data)
  new DataView(out.buffer).setBigUint64(0, BigInt(json.byteLength), true)
  out.set(json, 8)
  return out
}

const entry = (dtype: string, shape: unknown, from: unknown, to: unknown) => ({
  dtype,
  shape,
  data_offsets: [from, to],
})
const tree = (text: string, data = 0, tensors = {}) =>
  file(JSON.stringify({ __metadata__: { 'tensorhub.tree': text }, ...tensors }), data)

describe('hostile safetensors data is refused', () => {
  const huge = new Uint8Array(16)
  new DataView(huge.buffer).setBigUint64(0, 2n ** 63n, true)
  const beyond = new Uint8Array(16)
  new DataView(beyond.buffer).setBigUint64(0, 100_000_000n, true)
  const longer = new Uint8Array(100_000_001 + 8)
  new DataView(longer.buffer).setBigUint64(0, 100_000_001n, true)
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['a cut-off length', new Uint8Array(7)],
    ['a header of 2^63 bytes', huge],
    ['a header of 100 MB that is not there', beyond],
    ['a header one byte above the limit', longer],
    ['no JSON', file('{')],
    ['no UTF-8', file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
    ['an array', file('[]')],
    ['deep nesting', file(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)],
    ['overlap', file(JSON.stringify({ a: entry('U8', [4], 0, 4), b: entry('U8', [4], 2, 6) }), 6)],
    ['a hole', file(JSON.stringify({ a: entry('U8', [2], 0, 2), b: entry('U8', [2], 4, 6) }), 6)],
    ['bytes left over', file(JSON.stringify({ a: entry('U8', [2], 0, 2) }), 3)],
    ['a tensor beyond the file', file(JSON.stringify({ a: entry('U8', [9], 0, 9) }), 8)],
    ['a shape that does not fit', file(JSON.stringify({ a: entry('F32', [3], 0, 8) }), 8)],
    ['an overflowing shape', file(JSON.stringify({ a: entry('U8', [2 ** 40, 2 ** 40], 0, 8) }), 8)],
    ['a negative shape', file(JSON.stringify({ a: entry('U8', [-1, -8], 0, 8) }), 8)],
    ['a fraction', file(JSON.stringify({ a: entry('U8', [0.5, 16], 0, 8) }), 8)],
    ['offsets backwards', file(JSON.stringify({ a: entry('U8', [0], 4, 2) }), 8)],
    ['offsets that are no numbers', file(JSON.stringify({ a: entry('U8', [8], '0', 8) }), 8)],
    [
      'one name twice',
      file(
        '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}',
        8,
      ),
    ],
    [
      'one name twice over the same bytes',
      file(
        '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\\u0061":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}',
        4,
      ),
    ],
    ['a dtype twice', file('{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}', 4)],
    ['metadata twice', file('{"__metadata__":{"tensorhub.tree":"1"},"__metadata__":{"tensorhub.tree":"2"}}')],
    ['one key of metadata twice', file('{"__metadata__":{"tensorhub.tree":"1","tensorhub.tree":"2"}}')],
    ['a byte-order mark', file('\ufeff{}')],
    ['a shape that is no list', file(JSON.stringify({ a: entry('U8', 8, 0, 8) }), 8)],
    ['more bytes than the shape', file(JSON.stringify({ a: entry('I64', [1], 0, 16) }), 16)],
    ['metadata that is no text', file('{"__metadata__":{"x":1}}')],
    ['an entry null', file('{"a":null}')],
    ['a tree that is no JSON', tree('{')],
    ['a tree that names a missing tensor', tree('{"$t":"t/0"}')],
    ['a tree with an unknown mark', tree('{"$run":"x"}')],
    ['a tree nested too deep', tree(`${'['.repeat(5000)}${']'.repeat(5000)}`)],
    ['a tree with a bad date', tree('{"$date":"x"}')],
    ['a tree with a bad bigint', tree('{"$bigint":"1e9"}')],
    ['a tree with a bad Map', tree('{"$map":[1]}')],
    ['a tree with a wrong array type', tree('{"$t":"t/0","as":"constructor"}', 8, { 't/0': entry('U8', [8], 0, 8) })],
    [
      'a nested array that claims rows of nothing',
      tree('{"$t":"t/0","as":"nested"}', 8, { 't/0': entry('U8', [8], 0, 8) }),
    ],
  ])('%s', (_name, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  })

  it('an element type that came after this version is UNSUPPORTED, by name', () => {
    const odd = { toString: 1 } as unknown as string
    expect(() => decodeSafetensors(file(JSON.stringify({ a: entry(odd, [8], 0, 8) }), 8))).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED' }),
    )
    for (const dtype of ['constructor', 'F8_E8M0'])
      expect(() => decodeSafetensors(file(JSON.stringify({ a: entry(dtype, [8], 0, 8) }), 8))).toThrow(
        expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringContaining(dtype) }),
      )
  })

  it('names that only look repeated are not', () => {
    const text =
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"__metadata__":{"a":"a\\",\\"a"}}'
    expect(decodeSafetensors(file(text))).toMatchObject({ a: { shape: [0] }, b: { shape: [0] } })
  })

  it('a field named __proto__ is a field', () => {
    const back = decodeSafetensors(file('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1)) as object
    expect(Object.hasOwn(back, '__proto__')).toBe(true)
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
  })

  it('any cut and any flipped bit of a header gives a typed error or a value, never a crash', () => {
    const good = encodeSafetensors({
      a: new Float32Array(20),
      b: [1, 2n],
      c: { dtype: 'int32', shape: [2, 2], data: new Int32Array(4) },
    })
    const attempt = (bytes: Uint8Array) => {
      try {
        decodeSafetensors(bytes)
      } catch (error) {
        expect(['INTEGRITY', 'UNSUPPORTED']).toContain((error as { code?: string }).code)
      }
    }
    for (let cut = 0; cut < good.byteLength; cut += 3) attempt(good.subarray(0, cut))
    for (let bit = 0; bit < good.byteLength * 8; bit++) {
      const bad = good.slice()
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
      attempt(bad)
    }
  })
})
