import { describe, expect, it } from 'vitest'
import { type Doc, matches, parseFilter, type Value } from '../../src/index.ts'

type Fields = Record<string, Value>
type Row = readonly [filter: Record<string, unknown>, matching: readonly Fields[], others: readonly Fields[]]

/** Each row: a filter, documents that it matches, documents that it does not. The answers are those of MongoDB 8. */
function rows(title: string, all: readonly Row[]): void {
  describe(title, () => {
    it.each(all.map(([filter, yes, no]) => ({ name: show(filter), filter, yes, no })))(
      '$name',
      ({ filter, yes, no }) => {
        const where = parseFilter(filter)
        for (const fields of yes)
          expect(matches(where, { _id: 'x', ...fields } as Doc), `matches ${show(fields)}`).toBe(true)
        for (const fields of no)
          expect(matches(where, { _id: 'x', ...fields } as Doc), `leaves ${show(fields)}`).toBe(false)
      },
    )
  })
}

const show = (value: unknown) =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'bigint' ? `${part}n` : typeof part === 'number' && !Number.isFinite(part) ? String(part) : part,
  )

rows('null, missing, existence', [
  [
    { a: null },
    [{ a: null }, {}, { a: [null] }, { a: [1, null] }],
    [{ a: 0 }, { a: [] }, { a: '' }, { a: {} }, { a: [[null]] }],
  ],
  [{ a: { $in: [null, 1] } }, [{}, { a: null }, { a: 1 }, { a: [1] }], [{ a: 2 }, { a: [] }]],
  [
    { 'a.b': null },
    [{ a: 1 }, { a: {} }, {}, { a: [{}] }, { a: [{ b: 1 }, {}] }, { a: { b: null } }],
    [{ a: [] }, { a: [1] }, { a: [[]] }, { a: [null] }, { a: [1, { b: 1 }] }],
  ],
  [
    { 'a.b': { $ne: null } },
    [{ a: [] }, { a: [1] }, { a: [[]] }, { a: [null] }, { a: [1, { b: 1 }] }],
    [{ a: 1 }, { a: {} }, {}, { a: [{}] }],
  ],
  [{ 'a.b': { $nin: [null] } }, [{ a: [] }, { a: [1] }], [{ a: 1 }, {}]],
  [{ a: { $ne: 1 } }, [{}, { a: 2 }, { a: null }, { a: [] }, { a: '1' }, { a: true }], [{ a: 1 }, { a: [2, 1] }]],
  [{ a: { $nin: [1, 2] } }, [{}, { a: 3 }, { a: [3] }], [{ a: 1 }, { a: [3, 2] }]],
  [{ a: { $nin: [null] } }, [{ a: 1 }, { a: [] }], [{}, { a: null }, { a: [null] }]],
  [{ a: { $exists: true } }, [{ a: null }, { a: [] }, { a: 0 }], [{}, { b: 1 }]],
  [{ a: { $exists: false } }, [{}], [{ a: null }, { a: 1 }]],
  [{ 'a.b': { $exists: false } }, [{}, { a: [] }, { a: [{}] }, { a: 1 }], [{ a: [{}, { b: 1 }] }, { a: { b: null } }]],
])

rows('comparison and types', [
  [
    { a: { $gt: 1 } },
    [{ a: 2 }, { a: [0, 2] }, { a: Number.POSITIVE_INFINITY }, { a: 2n }],
    [{ a: 1 }, { a: '2' }, { a: true }, { a: null }, {}, { a: Number.NaN }, { a: new Date(5) }],
  ],
  [{ a: { $lt: 1 } }, [{ a: 0 }, { a: Number.NEGATIVE_INFINITY }], [{ a: Number.NaN }, { a: null }, {}, { a: false }]],
  [{ a: { $lt: '5' } }, [{ a: '4' }, { a: '' }], [{ a: 4 }, { a: null }]],
  [{ a: { $gte: null } }, [{ a: null }, {}, { a: [null] }], [{ a: 0 }, { a: [] }]],
  [{ a: { $lte: null } }, [{ a: null }, {}], [{ a: 0 }]],
  [{ a: { $gt: null } }, [], [{ a: null }, {}, { a: 1 }]],
  [{ a: { $lt: null } }, [], [{ a: null }, {}, { a: 1 }]],
  [{ a: Number.NaN }, [{ a: Number.NaN }, { a: [Number.NaN] }], [{ a: 0 }, { a: null }, {}]],
  [{ a: { $gte: Number.NaN } }, [{ a: Number.NaN }], [{ a: 1 }, { a: Number.NEGATIVE_INFINITY }]],
  [{ a: { $lte: Number.NaN } }, [{ a: Number.NaN }], [{ a: 1 }]],
  [{ a: { $gt: Number.NaN } }, [], [{ a: 1 }, { a: Number.NaN }]],
  [{ a: Number.POSITIVE_INFINITY }, [{ a: Number.POSITIVE_INFINITY }], [{ a: 1e308 }, { a: Number.NEGATIVE_INFINITY }]],
  [{ a: -0 }, [{ a: 0 }, { a: 0n }], [{ a: 1 }]],
  [{ a: 9007199254740993n }, [{ a: 9007199254740993n }], [{ a: 9007199254740992 }, { a: 9007199254740992n }]],
  [{ a: 1 }, [{ a: 1 }, { a: 1n }], [{ a: true }, { a: '1' }]],
  [{ a: { $gt: 9007199254740992 } }, [{ a: 9007199254740993n }], [{ a: 9007199254740992n }]],
  [{ a: new Date(1000) }, [{ a: new Date(1000) }], [{ a: 1000 }, { a: '1970-01-01T00:00:01.000Z' }]],
  [
    { a: { $gte: new Date(1000) } },
    [{ a: new Date(1000) }, { a: new Date(2000) }],
    [{ a: new Date(999) }, { a: 5000 }],
  ],
  [{ a: true }, [{ a: true }], [{ a: 1 }, { a: 'true' }]],
  [{ a: { $lt: true } }, [{ a: false }], [{ a: true }, { a: 0 }]],
  [{ a: { $gt: '\uFFFD' } }, [{ a: '\u{10000}' }], [{ a: '\uE000' }]],
  [{ a: 'A' }, [{ a: 'A' }], [{ a: 'a' }]],
  [
    { a: { $gt: [1, 2] } },
    [{ a: [1, 3] }, { a: [2] }, { a: [1, 2, 0] }, { a: [[9]] }],
    [{ a: [1, 2] }, { a: [1] }, { a: 5 }, {}],
  ],
  [{ a: { $lte: [1] } }, [{ a: [] }, { a: [1] }, { a: [0, 9] }], [{ a: [2] }, { a: 1 }, { a: null }]],
  [{ a: { $ne: [1] } }, [{ a: [2] }, { a: 1 }, {}], [{ a: [1] }, { a: [[1], 2] }]],
  [{ a: { $in: [[1], null] } }, [{ a: [1] }, {}, { a: null }], [{ a: 1 }, { a: [2] }]],
  [
    { a: { $type: 'number' } },
    [{ a: 1 }, { a: 1.5 }, { a: 1n }, { a: Number.NaN }, { a: ['x', 1] }],
    [{ a: '1' }, {}, { a: null }],
  ],
  [{ a: { $type: 'array' } }, [{ a: [] }, { a: [1] }, { a: [[]] }], [{ a: 1 }, {}]],
  [{ a: { $type: ['null', 'bool'] } }, [{ a: null }, { a: false }, { a: [null] }], [{}, { a: 0 }]],
  [{ a: { $type: 'object' } }, [{ a: {} }, { a: [{}] }], [{ a: [] }, { a: new Date(0) }]],
  [{ a: { $type: 'date' } }, [{ a: new Date(0) }], [{ a: 0 }]],
])

rows('arrays, objects, paths', [
  [{ a: { $gt: 1, $lt: 5 } }, [{ a: [0, 9] }, { a: 3 }], [{ a: [0, 1] }, { a: [5, 9] }]],
  [{ a: { $elemMatch: { $gt: 1, $lt: 5 } } }, [{ a: [0, 3] }], [{ a: [0, 9] }, { a: 3 }, {}]],
  [
    { a: { $elemMatch: { b: 1, c: 2 } } },
    [{ a: [{ b: 1, c: 2 }] }],
    [{ a: [{ b: 1 }, { c: 2 }] }, { a: { b: 1, c: 2 } }],
  ],
  [{ 'a.b': 1, 'a.c': 2 }, [{ a: [{ b: 1 }, { c: 2 }] }], [{ a: [{ b: 1 }] }]],
  [{ a: 1 }, [{ a: [1] }, { a: [0, 1] }], [{ a: [[1]] }, { a: { b: 1 } }]],
  [{ 'a.b': 1 }, [{ a: { b: 1 } }, { a: [{ b: 1 }] }, { a: { b: [1] } }], [{ a: [[{ b: 1 }]] }, { 'a.b': 1 }]],
  [{ 'a.0': 1 }, [{ a: [1, 2] }], [{ a: [[1, 2]] }, { a: [2, 1] }, { a: 1 }]],
  [{ 'a.0': [1, 2] }, [{ a: [[1, 2]] }], [{ a: [1, 2] }]],
  [{ 'a.1': null }, [{}, { a: 1 }, { a: [0, null] }], [{ a: [0] }, { a: [0, 1] }]],
  // Written by others: here no field may be named by digits.
  [
    { 'a.0': 1 },
    [{ a: { '0': 1 } }, { a: [{ '0': 1 }] }, { a: [5, { '0': 1 }] }],
    [{ a: { '1': 1 } }, { a: [[{ '0': 1 }]] }],
  ],
  [{ 'a.00': 1 }, [{ a: { '00': 1 } }], [{ a: [1] }]],
  [{ 'a.0.b': 1 }, [{ a: [{ b: 1 }] }], [{ a: [{ b: 2 }, { b: 1 }] }]],
  [
    { tags: ['a', 'b'] },
    [{ tags: ['a', 'b'] }, { tags: [['a', 'b']] }],
    [{ tags: ['b', 'a'] }, { tags: ['a', 'b', 'c'] }, { tags: 'a' }],
  ],
  [{ tags: [] }, [{ tags: [] }, { tags: [[]] }], [{}, { tags: [null] }]],
  [{ a: { $size: 2 } }, [{ a: [1, 2] }, { a: [[], []] }], [{ a: [1] }, { a: 2 }, {}, { a: [[1, 2]] }]],
  [{ a: { $all: [1, 2] } }, [{ a: [2, 1, 3] }], [{ a: [1] }, { a: 1 }]],
  [{ a: { $all: [1] } }, [{ a: 1 }, { a: [1] }], [{ a: 2 }]],
  [{ a: { $all: [] } }, [], [{ a: [] }, {}, { a: 1 }]],
  [{ a: { $all: [{ $elemMatch: { $gt: 1 } }, { $elemMatch: { $lt: 0 } }] } }, [{ a: [2, -1] }], [{ a: [2] }]],
  [{ length: 0 }, [{ length: 0 }], [{}, { a: [] }]],
  [{ 'a.length': 1 }, [], [{ a: [1] }, { a: 'x' }]],
  [{ toString: { $exists: true } }, [{ toString: 1 }], [{}]],
])

rows('logic and text', [
  [{}, [{}, { a: 1 }], []],
  [{ a: 1, b: 2 }, [{ a: 1, b: 2 }], [{ a: 1 }, { b: 2 }]],
  [{ $and: [{ a: { $gt: 1 } }, { a: { $lt: 3 } }] }, [{ a: 2 }], [{ a: 3 }]],
  [{ $or: [{ a: 1 }, { b: null }] }, [{ a: 1, b: 1 }, { a: 2 }], [{ a: 2, b: 1 }]],
  [{ $nor: [{ a: 1 }, { b: 1 }] }, [{}, { a: 2 }], [{ a: 1 }, { b: 1 }]],
  [{ a: { $not: { $gt: 1 } } }, [{}, { a: 1 }, { a: 'x' }, { a: null }], [{ a: 2 }, { a: [0, 2] }]],
  [{ a: { $not: { $gt: 1, $lt: 5 } } }, [{ a: 7 }, {}], [{ a: 3 }]],
  [{ a: { $prefix: 'ab' } }, [{ a: 'abc' }, { a: ['x', 'ab'] }], [{ a: 'xab' }, { a: 1 }, {}, { a: 'AB' }]],
  [{ a: { $prefix: 'a.*' } }, [{ a: 'a.*b' }], [{ a: 'axyz' }]],
  [{ a: { $contains: 'b' } }, [{ a: 'abc' }, { a: ['b'] }], [{ a: 'ac' }, {}]],
  [{ a: { $contains: '%_[' } }, [{ a: 'x%_[' }], [{ a: 'xyz' }]],
  [{ a: { $regex: '^v\\d+$' } }, [{ a: 'v12' }, { a: ['x', 'v1'] }], [{ a: 'v' }, { a: 12 }, { a: 'V1' }, {}]],
  [{ a: { $regex: 'ADAM', $options: 'i' } }, [{ a: 'adamw' }], [{ a: 'sgd' }]],
])

/** Rules that libraries got wrong; docs/query.md, "What others get wrong". */
rows('divergences known from other libraries', [
  [{ f: null }, [{}], [{ f: 1 }]],
  [{ f: { $in: [null] } }, [{}, { f: null }], [{ f: 1 }]],
  [{ f: { $ne: 1 } }, [{}], [{ f: 1 }]],
  [{ f: { $nin: [1] } }, [{}], [{ f: 1 }]],
  [{ f: { $nin: [1, null] } }, [{ f: 2 }], [{}, { f: null }]],
  [{ f: { $exists: false } }, [{}], [{ f: null }]],
  [{ f: { $gt: 5 } }, [{ f: 6 }], [{ f: 'a' }, { f: '6' }]],
  [{ f: 'x' }, [{ f: ['x', 'y'] }], [{ f: [['x']] }]],
  [{ 'field.0': null }, [{}], [{ field: [] }]],
  [{ f: { $in: [] } }, [], [{}, { f: null }, { f: [] }]],
  [{ f: { $nin: [] } }, [{}, { f: 1 }], []],
  [{ f: { $gt: 1, $lt: 3, $ne: 2 } }, [{ f: 2.5 }], [{ f: 2 }, { f: 3 }, { f: 1 }]],
])
