import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OutputCapture } from '../../src/tasks/output-capture.ts'

const HEAD = 64 * 1024
const TAIL = 192 * 1024

describe('captured output', () => {
  it('is all of it up to 256 KiB, else its beginning, its end and the number of bytes between, however it was cut', () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(300_000), fc.constant(HEAD), fc.constant(TAIL)), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(sizes, (pieces) => {
        const capture = new OutputCapture()
        const all = Buffer.alloc(pieces.reduce((sum, size) => sum + size, 0))
        for (let i = 0; i < all.length; i++) all[i] = 33 + ((i * 31 + (i >> 8)) % 90)
        let at = 0
        for (const size of pieces) {
          capture.push(all.subarray(at, at + size))
          at += size
        }
        const dropped = all.length - HEAD - TAIL
        const expected =
          dropped <= 0
            ? all.toString()
            : `${all.toString('utf8', 0, HEAD)}\n… ${dropped} bytes left out …\n${all.toString('utf8', all.length - TAIL)}`
        expect(capture.text() === expected).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('keeps a character that lies between beginning and end; invalid bytes and NUL become U+FFFD', () => {
    const capture = new OutputCapture()
    capture.push(Buffer.from(`${'x'.repeat(HEAD - 1)}é!`))
    expect(capture.text().endsWith('xé!')).toBe(true)
    const odd = new OutputCapture()
    odd.push(Buffer.from([0xc3, 0x28, 0, 0x61]))
    expect(odd.text()).toBe('\ufffd(\ufffda')
    expect(new OutputCapture().text()).toBe('')
  })
})
