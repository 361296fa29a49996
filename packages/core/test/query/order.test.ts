import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareDocs,
  compareStrings,
  compareValues,
  type Doc,
  decodeCursor,
  encodeCursor,
  isAfter,
  isHubError,
  matches,
  type Order,
  parseSort,
  type SortInput,
  seekPredicate,
  type Value,
  withTieBreak,
} from '../../src/index.ts'
import { doc, order, value } from './arbitraries.ts'

const sorted = (docs: readonly Record<string, Value>[], sort: SortInput) =>
  docs
    .map((fields, i) => ({ ...fields, _id: String(i) }))
    .sort(compareDocs(withTieBreak(parseSort(sort))))
    .map((one) => Number(one._id))

/** Orders that run through different arrays are refused; properties leave these out. */
const sortable = (by: Order, docs: readonly Doc[]) => {
  try {
    for (const one of docs) compareDocs(by)(one, one)
    return true
  } catch (error) {
    if (isHubError(error, 'INVALID')) return false
    throw error
  }
}

describe('order of values', () => {
  it('ranks types as MongoDB does', () => {
    const ascending: Value[] = [
      null,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      -1,
      0,
      2 ** 53 - 1,
      2n ** 53n,
      2n ** 53n + 1n,
      1e300,
      Number.POSITIVE_INFINITY,
      '',
      'a',
      {},
      { a: 1 },
      [],
      [1],
      false,
      true,
      new Date(-1),
      new Date(0),
    ]
    for (let i = 0; i < ascending.length; i++) {
      for (let j = 0; j < ascending.length; j++) {
        expect(Math.sign(compareValues(ascending[i], ascending[j])), `${i} against ${j}`).toBe(Math.sign(i - j))
      }
    }
  })

  it('compares bigints with numbers by exact value', () => {
    expect(compareValues(9007199254740993n, 9007199254740992)).toBe(1)
    expect(compareValues(1n, 1)).toBe(0)
    expect(compareValues(1n, 1.5)).toBe(-1)
  })

  it('is a total order', () => {
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        expect(compareValues(a, a)).toBe(0)
        expect(compareValues(a, b)).toBe(0 - compareValues(b, a))
        if (compareValues(a, b) <= 0 && compareValues(b, c) <= 0) expect(compareValues(a, c)).toBeLessThanOrEqual(0)
      }),
      { numRuns: 2000 },
    )
  })

  it('orders strings as their UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(compareStrings(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
      { numRuns: 2000 },
    )
    expect(compareStrings('\u{10000}', '\uFFFD')).toBe(1)
  })
})

describe('order of documents', () => {
  it('puts missing beside null, and an empty array before both', () => {
    expect(sorted([{ a: 1 }, {}, { a: null }, { a: [] }], { a: 1 })).toEqual([3, 1, 2, 0])
    expect(sorted([{ a: 1 }, {}, { a: null }, { a: [] }], { a: -1 })).toEqual([0, 1, 2, 3])
  })

  it('takes the least element ascending and the greatest descending', () => {
    expect(sorted([{ a: [1, 9] }, { a: 5 }, { a: [4, 6] }], { a: 1 })).toEqual([0, 2, 1])
    expect(sorted([{ a: [1, 9] }, { a: 5 }, { a: [4, 6] }], { a: -1 })).toEqual([0, 2, 1])
  })

  it('takes whole tuples where keys share an array', () => {
    const sort: SortInput = [
      ['a.x', 1],
      ['a.y', 1],
    ]
    // The tuple of the first document is (0, 5), not (0, 3).
    expect(
      sorted(
        [
          {
            a: [
              { x: 0, y: 5 },
              { x: 1, y: 3 },
            ],
          },
          { a: { x: 0, y: 4 } },
        ],
        sort,
      ),
    ).toEqual([1, 0])
  })

  it('refuses two arrays in one sort', () => {
    const by = compareDocs(
      parseSort([
        ['a', 1],
        ['b', 1],
      ]),
    )
    expect(() => by({ _id: '1', a: [1], b: [2] }, { _id: '2' })).toThrow(
      expect.objectContaining({ code: 'INVALID', reason: 'PARALLEL_ARRAYS' }),
    )
  })

  it('keeps NaN with the numbers, below all of them', () => {
    expect(sorted([{ a: 0 }, { a: Number.NaN }, { a: Number.NEGATIVE_INFINITY }, { a: null }], { a: 1 })).toEqual([
      3, 1, 2, 0,
    ])
  })

  it('appends _id to every order, once', () => {
    expect(withTieBreak([])).toEqual([{ path: ['_id'], dir: 1 }])
    const own: Order = [{ path: ['_id'], dir: -1 }]
    expect(withTieBreak(own)).toBe(own)
  })

  it.each<[unknown]>([
    [{ a: 2 }],
    [[['a', '1']]],
    [[['a']]],
    [
      [
        ['a', 1],
        ['a', -1],
      ],
    ],
    ['a'],
    [{ $a: 1 }],
    [{ 'a..b': 1 }],
    [null],
  ])('refuses the sort %j', (sort) => {
    expect(() => parseSort(sort as SortInput)).toThrow(expect.objectContaining({ code: 'INVALID' }))
  })
})

describe('cursors', () => {
  it('walk every document once, whatever the order and wherever the page ends', () => {
    fc.assert(
      fc.property(fc.uniqueArray(doc, { selector: (one) => one._id, maxLength: 8 }), order, (docs, given) => {
        fc.pre(sortable(given, docs))
        const by = withTieBreak(given)
        const all = [...docs].sort(compareDocs(by))
        for (const [i, last] of all.entries()) {
          const position = decodeCursor(by, encodeCursor(by, last))
          expect(docs.filter((one) => isAfter(by, position, one)).sort(compareDocs(by))).toEqual(all.slice(i + 1))
        }
      }),
      { numRuns: 1500 },
    )
  })

  it('seek by a filter that every later document matches', () => {
    // Few shapes and shared first keys, so that ties, arrays under numeric steps and NaN all come up.
    const number = fc.constantFrom<Value>(1, 2, Number.NaN, null)
    const small: fc.Arbitrary<Value> = fc.oneof(
      number,
      fc.constantFrom<Value>(
        'x',
        true,
        {},
        { b: 1 },
        [],
        [[]],
        [1],
        [[1]],
        [[2, 1]],
        [{ b: 1 }, 3],
        [{ b: [2] }],
        { b: [] },
        [{}],
        [null],
      ),
      value,
    )
    const fields = fc.record({ a: small, c: small }, { requiredKeys: [], noNullPrototype: true })
    const keys = fc.uniqueArray(
      fc.record({
        path: fc.constantFrom<readonly string[]>(['a'], ['a', 'b'], ['a', '0'], ['a', '0', 'b'], ['c']),
        dir: fc.constantFrom<1 | -1>(1, -1),
      }),
      { minLength: 1, maxLength: 2, selector: (key) => key.path.join('.') },
    )
    fc.assert(
      fc.property(fields, fields, fc.boolean(), keys, (one, two, share, given) => {
        const last: Doc = { ...one, _id: '1' }
        const other: Doc = { ...(share ? { ...one, ...(two.c === undefined ? {} : { c: two.c }) } : two), _id: '2' }
        fc.pre(sortable(given, [last, other]))
        const by = withTieBreak(given)
        const position = decodeCursor(by, encodeCursor(by, last))
        if (isAfter(by, position, other)) expect(matches(seekPredicate(by, position), other)).toBe(true)
      }),
      { numRuns: 30_000 },
    )
  }, 60_000)

  it('are refused with another sort, and when damaged', () => {
    const by = withTieBreak(parseSort({ time: -1 }))
    const cursor = encodeCursor(by, { _id: 'x', time: new Date(5) })
    expect(() => decodeCursor(withTieBreak(parseSort({ time: 1 })), cursor)).toThrow(
      expect.objectContaining({ code: 'INVALID', reason: 'CURSOR' }),
    )
    const text = Buffer.from(cursor, 'base64url').toString()
    const wrong = [
      '',
      '[]',
      'null',
      text.slice(1),
      text.replace(/\[7,.*$/, '[7,1],[3,"x"]]]'),
      text.replace(/\[\[.*$/, '[1,2]]'),
      text.replace(/\[\[.*$/, '[[1],[2]]]'),
    ]
    for (const damaged of wrong) {
      expect(() => decodeCursor(by, Buffer.from(damaged).toString('base64url')), damaged).toThrow(
        expect.objectContaining({ code: 'INVALID', reason: 'CURSOR' }),
      )
    }
  })
})
