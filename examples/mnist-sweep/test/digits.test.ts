import { describe, expect, it } from 'vitest'
import { drawDigit, drawDigits } from '../draw.ts'
import { readIdx } from '../idx.ts'
import { PIXELS, readMnist } from '../mnist.ts'

describe('IDX files', () => {
  const whole = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]

  it('are read without copying', () => {
    const bytes = Uint8Array.from(whole)
    const { shape, data } = readIdx(bytes, 'file')
    expect(shape).toEqual([2, 3])
    expect([...data]).toEqual([1, 2, 3, 4, 5, 6])
    expect(data.buffer).toBe(bytes.buffer)
  })

  it.each<[string, number[], RegExp]>([
    ['empty', [], /two zero bytes/],
    ['of another kind', [0x1f, 0x8b, 8, 0], /two zero bytes/],
    ['of floats', [0, 0, 13, 1, 0, 0, 0, 0], /type 0xd/],
    ['of no axes', [0, 0, 8, 0], /0 axes/],
    ['of too many axes', [0, 0, 8, 200], /200 axes/],
    ['cut in the header', whole.slice(0, 9), /inside its header/],
    ['cut in the data', whole.slice(0, -1), /2 × 3 = 6 bytes.*holds 5/],
    ['too long', [...whole, 7], /2 × 3 = 6 bytes.*holds 7/],
  ])('%s are refused by name', (_, bytes, message) => {
    expect(() => readIdx(Uint8Array.from(bytes), 'digits-file')).toThrow(message)
    expect(() => readIdx(Uint8Array.from(bytes), 'digits-file')).toThrow(/digits-file/)
  })
})

it('MNIST is the real one', async () => {
  const { train, test } = await readMnist()
  expect([train.images.shape, test.images.shape]).toEqual([
    [60_000, 28, 28],
    [10_000, 28, 28],
  ])
  expect([...train.labels.data.subarray(0, 5)]).toEqual([5, 0, 4, 1, 9])
  expect([...test.labels.data.subarray(0, 5)]).toEqual([7, 2, 1, 0, 4])
})

describe('drawing', () => {
  it('puts two pixels into a character', () => {
    const image = new Uint8Array(PIXELS)
    image[0] = 255 // row 0, column 0
    image[28 + 1] = 255 // row 1, column 1
    image[2] = image[28 + 2] = 255
    expect(drawDigit(image)[0]?.trimEnd()).toBe('▀▄█')
    expect(() => drawDigit(new Uint8Array(3))).toThrow(/784 pixels/)
  })

  it('breaks rows at the width of the terminal', () => {
    const full = new Uint8Array(PIXELS).fill(255)
    const lines = drawDigits([full, full, full], ['1', '2', '3'], 60).split('\n')
    expect(lines.every((line) => line.length <= 60)).toBe(true)
    expect(lines.filter((line) => /^\s*[123](\s+[123])*$/.test(line)).map((line) => line.trim().split(/\s+/))).toEqual([
      ['1', '2'],
      ['3'],
    ])
  })
})
