import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkKey, checkPrefix } from '../../src/index.ts'

describe('keys', () => {
  it.each([
    'a',
    'a/b/c.txt',
    '.hidden',
    '..a',
    'a..b',
    'A-Z_~=+@',
    'x.tar.gz',
    'console',
    'com',
    'com10',
    'a/nulls',
    'l'.repeat(200),
    `${'a/'.repeat(255)}ab`,
  ])('%s is one', (key) => {
    expect(checkKey(key)).toBe(key)
    expect(checkPrefix(key)).toBe(key)
  })

  it.each<[unknown, string]>([
    ['', 'empty'],
    [undefined, 'empty'],
    [5, 'empty'],
    ['/', 'empty segment'],
    ['/a', 'empty segment'],
    ['a/', 'empty segment'],
    ['a//b', 'empty segment'],
    ['.', 'empty segment'],
    ['..', 'empty segment'],
    ['a/./b', 'empty segment'],
    ['a/../../etc', 'empty segment'],
    ['a\\b', 'character'],
    ['a b', 'character'],
    ['a%2e', 'character'],
    ['a?b', 'character'],
    ['a#b', 'character'],
    ['a:b', 'character'],
    ['é', 'character'],
    ['a\u0000', 'character'],
    ['a\n', 'character'],
    ['x.', 'ends in a dot'],
    ['x./y', 'ends in a dot'],
    ['con', 'Windows'],
    ['NUL.txt', 'Windows'],
    ['a/Com1/b', 'Windows'],
    ['lpt9.tar.gz', 'Windows'],
    ['l'.repeat(201), 'longer than 200'],
    [`${'a/'.repeat(256)}a`, 'longer than 512'],
  ])('%j is none: %s', (key, why) => {
    expect(() => checkKey(key as string)).toThrow(
      expect.objectContaining({ code: 'INVALID', path: 'key', message: expect.stringContaining(why) }),
    )
  })

  it('a beginning of a key is a prefix', () => {
    const segment = fc.stringMatching(/^[a-z0-9_~=+@-]{1,8}$/)
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.nat(), (segments, n) => {
        const key = segments.join('/')
        const prefix = key.slice(0, n % (key.length + 1))
        expect(checkPrefix(prefix)).toBe(prefix)
      }),
    )
  })

  it.each(['/', '/a', '..', 'a/..', 'a/../b', 'a//', './', './a', 'a/./', 'a b', 'a\\', 'l'.repeat(513), undefined, 5])(
    '%j is no prefix',
    (prefix) => {
      expect(() => checkPrefix(prefix as string)).toThrow(expect.objectContaining({ code: 'INVALID', path: 'key' }))
    },
  )

  it('errors quote no more of a key than may be shown', () => {
    expect(() => checkKey('x'.repeat(5000))).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^.{50,150}$/) }),
    )
  })
})
