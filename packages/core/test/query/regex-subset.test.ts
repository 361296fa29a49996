import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Doc, matches, parseFilter } from '../../src/index.ts'

const finds = (pattern: string, text: string, options?: 'i') =>
  matches(parseFilter({ a: { $regex: pattern, ...(options ? { $options: options } : {}) } }), {
    _id: 'x',
    a: text,
  } as Doc)

/** Patterns of the subset on which JavaScript agrees; `$` is left out, which here also matches before a final line feed. */
const pattern: fc.Arbitrary<string> = fc.letrec<{ choice: string; sequence: string; atom: string }>((tie) => ({
  choice: fc.oneof(
    { maxDepth: 2 },
    tie('sequence'),
    fc.tuple(tie('sequence'), tie('sequence')).map(([a, b]) => `${a}|${b}`),
  ),
  sequence: fc
    .array(
      fc
        .tuple(tie('atom'), fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,}', '{0,2}', '*?', '+?'))
        .map(([atom, times]) => (atom === '^' ? atom : atom + times)),
      { maxLength: 3 },
    )
    .map((parts) => parts.join('')),
  atom: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom(
      'a',
      'b',
      'A',
      '.',
      '\\d',
      '\\w',
      '\\s',
      '\\D',
      '\\W',
      '\\.',
      '[ab]',
      '[^a]',
      '[a-c]',
      '[\\d_]',
      '\u{1F600}',
      '^',
      '\\n',
      '1',
    ),
    tie('choice').map((inner) => `(${inner})`),
    tie('choice').map((inner) => `(?:${inner})`),
  ),
})).choice

const text = fc
  .array(fc.constantFrom('a', 'b', 'A', 'c', '1', '_', ' ', '.', '\n', '\u{1F600}', 'é'), { maxLength: 8 })
  .map((all) => all.join(''))

describe('$regex', () => {
  it('agrees with JavaScript on the subset', () => {
    fc.assert(
      fc.property(pattern, text, fc.boolean(), (source, subject, ignoreCase) => {
        fc.pre([...source].length <= 256)
        // JavaScript's dot also leaves out carriage return and two separators; none of them is in the texts.
        const expected = new RegExp(source, ignoreCase ? 'iu' : 'u').test(subject)
        expect(finds(source, subject, ignoreCase ? 'i' : undefined)).toBe(expected)
      }),
      { numRuns: 3000 },
    )
  }, 60_000)

  it.each<[string, string, boolean]>([
    ['^$', '', true],
    ['a$', 'a\n', true],
    ['a$', 'a\n\n', false],
    ['^b', 'a\nb', false],
    ['a.c', 'a\nc', false],
    ['[]a]', ']', true],
    ['[a-]', '-', true],
    ['[^\\d]', '5', false],
    ['a{0}b', 'b', true],
    ['(a|)b', 'b', true],
    ['', 'x', true],
    ['^\u{1F600}$', '\u{1F600}', true],
    ['^.$', '\u{1F600}', true],
    ['x*', '', true],
  ])('%j on %j: %s', (source, subject, expected) => {
    expect(finds(source, subject)).toBe(expected)
  })

  it.each<[string, string, boolean]>([
    ['straße', 'STRAßE', true],
    ['σ', 'Σ', true],
    ['[α-ω]', 'Σ', true],
    ['[^a]', 'A', false],
    ['k', '\u212A', true],
    ['i', '\u0131', false],
    ['s', '\u017F', true],
  ])('ignoring case, %j on %j: %s', (source, subject, expected) => {
    expect(finds(source, subject, 'i')).toBe(expected)
  })

  it.each([
    '(a',
    'a)',
    '[a',
    'a\\',
    '*',
    'a**',
    'a+*',
    '(?=a)',
    '(?!a)',
    '(?<=a)',
    '(?<n>a)',
    '(?i)a',
    '(a)\\1',
    '\\b',
    '\\pL',
    '\\x41',
    '\\u0041',
    '[[:alpha:]]',
    '[z-a]',
    'a{2,1}',
    'a{101}',
    'a{',
    '^*',
    '((((a{9}){9}){9}){9}){9}',
    'a'.repeat(257),
    `${'('.repeat(30)}a${')'.repeat(30)}`,
    '\u0000',
    '\uD800',
  ])('refuses %j', (source) => {
    expect(() => parseFilter({ a: { $regex: source } })).toThrow(
      expect.objectContaining({ code: 'INVALID', reason: 'REGEX_REFUSED', path: 'a.$regex' }),
    )
  })

  it('has no pattern that backtracks', () => {
    // JavaScript's own engine needs longer than the age of the universe for each of these.
    const subject = `${'a'.repeat(5000)}!`
    for (const source of ['^(a+)+$', '^(a*)*$', '(a|aa)+$', '^(a|a)*$', '^(a?){50}a{50}b', '(.*)*(.*)*(.*)*x']) {
      expect(finds(source, subject)).toBe(false)
    }
  })

  it('folds case as JavaScript does, over all of Unicode', () => {
    const different: string[] = []
    for (let point = 128; point < 0x20000; point++) {
      if (point >= 0xd800 && point <= 0xdfff) continue
      const c = String.fromCodePoint(point)
      for (const other of [c.toLowerCase(), c.toUpperCase()]) {
        if (other === c || [...other].length !== 1) continue
        const expected = new RegExp(`^${other}$`, 'iu').test(c)
        if (finds(`^${other}$`, c, 'i') !== expected || finds(`^[${other}-${other}]$`, c, 'i') !== expected)
          different.push(c)
      }
    }
    expect(different).toEqual([])
  }, 60_000)
})
