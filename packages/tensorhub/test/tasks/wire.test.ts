import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorOf, resultOf } from '../../src/tasks/child/result.ts'
import { decodeLine, encodeLine, messageOf } from '../../src/tasks/child/wire.ts'

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.double(),
    fc.bigInt(),
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.constant(null),
    fc.date({ noInvalidDate: true }),
    fc.array(tie('value')),
    fc.dictionary(
      fc.string().filter((key) => !key.startsWith('$') && key !== '__proto__'),
      tie('value'),
    ),
  ),
})).value

describe('what runner and child say to each other', () => {
  it('comes out as it went in, on one line', () => {
    fc.assert(
      fc.property(value, (given) => {
        const line = encodeLine(given)
        expect(line.indexOf('\n')).toBe(line.length - 1)
        expect(decodeLine(line)).toEqual(given)
      }),
    )
    expect(Object.is(decodeLine(encodeLine(-0)), -0)).toBe(true)
  })

  it.each([
    ['an invalid Date', new Date(Number.NaN), /invalid Date/],
    ['undefined in an array', [1, undefined], /undefined \(at 1\)/],
    ['a key with $', { $date: 5 }, /begins with \$/],
    ['a function', () => 1, /a function/],
    ['a symbol', Symbol('x'), /a symbol/],
    ['a Map', new Map(), /a Map/],
    ['a typed array', new Float32Array(1), /a Float32Array.*task\.hub/],
  ])('%s is refused by name rather than changed', (_what, given, message) => {
    expect(() => encodeLine(given)).toThrow(message)
    expect(resultOf({ good: 1, bad: given }, [])).toMatchObject({
      values: { good: 1 },
      bad: [{ key: 'bad', why: expect.stringMatching(message) }],
    })
  })

  it('what contains itself, or a getter that throws, is refused by name', () => {
    const round: Record<string, unknown> = {}
    round['self'] = round
    const mean = {
      get key() {
        throw new Error('do not look')
      },
    }
    expect(resultOf({ round, fine: 2 }, [])).toMatchObject({ values: { fine: 2 }, bad: [{ key: 'round' }] })
    expect(resultOf(mean, [])).toMatchObject({ values: {}, bad: [{ key: 'key', why: 'do not look' }] })
  })

  it('anything that is thrown becomes an error that can be written', () => {
    const hostile = new Proxy(new Error('x'), {
      get() {
        throw new Error('never')
      },
    })
    expect(errorOf(hostile).message).toMatch(/cannot be described/)
    expect(errorOf(undefined)).toMatchObject({ message: 'undefined' })
    expect(errorOf({ toString: () => 'odd' })).toMatchObject({ message: 'odd' })
    expect(errorOf(new Error('outer', { cause: new TypeError('inner') })).message).toBe('outer (TypeError: inner)')
  })

  it('no line that a script writes itself is taken for a message, unless it is one', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        const message = messageOf(line)
        if (message !== undefined) expect(['progress', 'error', 'result']).toContain(message.kind)
      }),
    )
    for (const line of [
      '{"kind":"result"}',
      '{"kind":"result","values":[],"bad":[],"missing":[]}',
      '{"kind":"result","values":{},"bad":[1],"missing":[]}',
      '{"kind":"error"}',
      '[]',
      'null',
    ])
      expect(messageOf(line), line).toBeUndefined()
  })
})
