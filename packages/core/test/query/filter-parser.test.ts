import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eq, isHubError, matches, parseFilter } from '../../src/index.ts'
import { doc, filter } from './arbitraries.ts'

const nested = (depth: number): Record<string, unknown> => (depth === 0 ? { a: 1 } : { $or: [nested(depth - 1)] })

describe('refused by name', () => {
  const unknown = [
    '$where',
    '$function',
    '$accumulator',
    '$expr',
    '$jsonSchema',
    '$text',
    '$near',
    '$nearSphere',
    '$geoWithin',
    '$geoIntersects',
    '$bitsAllSet',
    '$bitsAnyClear',
    '$comment',
    '$rand',
    '$sampleRate',
    '$mod',
    '$slice',
    '$',
    '$EQ',
    '$constructor',
    '$__proto__',
  ]
  it.each(unknown)('%s', (operator) => {
    for (const [input, path] of [
      [{ [operator]: 1 }, operator],
      [{ a: { [operator]: 1 } }, `a.${operator}`],
      [{ $and: [{ b: 1 }, { a: { $not: { [operator]: 1 } } }] }, `$and.1.a.$not.${operator}`],
      [{ a: { $elemMatch: { [operator]: 1 } } }, `a.$elemMatch.${operator}`],
    ] as const) {
      expect(() => parseFilter(input)).toThrow(
        expect.objectContaining({ code: 'INVALID', reason: 'QUERY_OPERATOR_REFUSED', path }),
      )
    }
  })

  it.each<[string, unknown, string]>([
    ['operators among fields', { a: { $gt: 1, b: 2 } }, 'a'],
    ['an object operand', { a: { b: 1 } }, 'a'],
    ['an object in a list', { a: { $in: [{ b: 1 }] } }, 'a.$in.0'],
    ['an empty object', { a: {} }, 'a'],
    ['a RegExp', { a: /x/ }, 'a'],
    ['a Map', { a: new Map() }, 'a'],
    [
      'an instance',
      {
        a: new (class Thing {
          $gt = 1
        })(),
      },
      'a',
    ],
    ['depth 11', nested(10), '$or.0.$or.0.$or.0.$or.0.$or.0.$or.0.$or.0.$or.0.$or.0.$or.0'],
    ['201 parts', { $or: Array.from({ length: 200 }, () => ({ a: 1 })) }, '$or.199.a'],
    ['1,001 values', { a: { $in: Array.from({ length: 1001 }, (_, i) => i) } }, 'a.$in'],
  ])('%s', (_, input, path) => {
    expect(() => parseFilter(input)).toThrow(
      expect.objectContaining({ code: 'INVALID', reason: 'QUERY_OPERATOR_REFUSED', path }),
    )
  })
})

describe('invalid', () => {
  it.each<[unknown, string]>([
    [undefined, ''],
    [null, ''],
    ['a', ''],
    [[], ''],
    [new Date(0), ''],
    [() => true, ''],
    [{ a: undefined }, 'a'],
    [{ a: { $eq: undefined } }, 'a.$eq'],
    [{ a: { $in: [1, undefined] } }, 'a.$in.1'],
    [{ a: Array(2) }, 'a.0'],
    [{ a: () => 1 }, 'a'],
    [{ a: Symbol('x') }, 'a'],
    [{ a: new Date(Number.NaN) }, 'a'],
    [{ a: '\uD800' }, 'a'],
    [{ $and: [] }, '$and'],
    [{ $or: [] }, '$or'],
    [{ $nor: [] }, '$nor'],
    [{ $or: { a: 1 } }, '$or'],
    [{ $or: [1] }, '$or.0'],
    [{ $or: [{ a: 1 }, null] }, '$or.1'],
    [{ a: { $not: {} } }, 'a.$not'],
    [{ a: { $not: 1 } }, 'a.$not'],
    [{ a: { $exists: 1 } }, 'a.$exists'],
    [{ a: { $size: '1' } }, 'a.$size'],
    [{ a: { $size: -1 } }, 'a.$size'],
    [{ a: { $size: 1.5 } }, 'a.$size'],
    [{ a: { $type: 'int' } }, 'a.$type'],
    [{ a: { $type: 2 } }, 'a.$type'],
    [{ a: { $type: [] } }, 'a.$type'],
    [{ a: { $in: 1 } }, 'a.$in'],
    [{ a: { $all: 1 } }, 'a.$all'],
    [{ a: { $all: [1, { $elemMatch: { $gt: 1 } }] } }, 'a.$all'],
    [{ a: { $elemMatch: 1 } }, 'a.$elemMatch'],
    [{ a: { $prefix: 1 } }, 'a.$prefix'],
    [{ a: { $contains: null } }, 'a.$contains'],
    [{ a: { $regex: /x/ } }, 'a.$regex'],
    [{ a: { $regex: 'x', $options: 'm' } }, 'a.$regex'],
    [{ a: { $options: 'i' } }, 'a.$options'],
    [{ '': 1 }, ''],
    [{ 'a.$b': 1 }, 'a.$b'],
    [{ 'a\u0000': 1 }, 'a\u0000'],
    [{ 'a.__proto__': 1 }, 'a.__proto__'],
    [{ constructor: 1 }, 'constructor'],
    [{ 'prototype.x': 1 }, 'prototype.x'],
    [JSON.parse('{"__proto__":{"$gt":1}}'), '__proto__'],
    [JSON.parse('{"a":{"__proto__":1}}'), 'a'],
  ])('%o names the path %j', (input, path) => {
    expect(() => parseFilter(input)).toThrow(expect.objectContaining({ code: 'INVALID', path }))
  })
})

describe('parsing', () => {
  it('takes objects without a prototype, and never what stands on a prototype', () => {
    const bare = Object.assign(Object.create(null) as object, { a: 1 })
    expect(parseFilter(bare)).toEqual({ op: 'eq', path: ['a'], value: 1 })
    expect(() => parseFilter(Object.create({ a: 1 }))).toThrow(expect.objectContaining({ code: 'INVALID' }))
  })

  it('keeps nothing of the caller', () => {
    const date = new Date(0)
    const list = [1, 2]
    const where = parseFilter({ a: date, b: { $in: list } })
    date.setTime(5)
    list.push(3)
    expect(where).toEqual(parseFilter({ a: new Date(0), b: { $in: [1, 2] } }))
  })

  it('says everything only for an empty filter', () => {
    expect(parseFilter({})).toEqual({ op: 'everything' })
  })

  it('eq() cannot become an operator', () => {
    const fromUrl: unknown = { $ne: null }
    expect(() => parseFilter({ name: eq(fromUrl as string) })).toThrow(
      expect.objectContaining({ code: 'INVALID', path: 'name.$eq' }),
    )
    expect(parseFilter({ name: eq('x') })).toEqual({ op: 'eq', path: ['name'], value: 'x' })
  })

  it('stands at the limits', () => {
    parseFilter(nested(9))
    parseFilter({ $or: Array.from({ length: 199 }, () => ({ a: 1 })) })
    parseFilter({ a: { $in: Array.from({ length: 1000 }, (_, i) => i) } })
  })

  it('gives typed errors for anything, and nothing else', () => {
    const anything = fc.object({
      key: fc.oneof(
        fc.string(),
        fc.constantFrom('$and', '$or', '$not', '$in', '$elemMatch', '$regex', 'a', '__proto__'),
      ),
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSparseArray: true,
      withNullPrototype: true,
    })
    fc.assert(
      fc.property(anything, (input) => {
        try {
          parseFilter(input)
        } catch (error) {
          expect(isHubError(error, 'INVALID'), String(error)).toBe(true)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('keeps the laws of logic', () => {
    fc.assert(
      fc.property(filter, filter, doc, (a, b, one) => {
        const holds = (input: unknown) => matches(parseFilter(input), one)
        expect(holds({ $nor: [a] })).toBe(!holds(a))
        expect(holds({ $and: [a, b] })).toBe(holds(a) && holds(b))
        expect(holds({ $or: [a, b] })).toBe(holds(a) || holds(b))
      }),
      { numRuns: 3000 },
    )
  })

  it('says how a pattern is written where a RegExp is given', () => {
    for (const input of [{ a: /x/ }, { a: { $in: [/x/] } }])
      expect(() => parseFilter(input)).toThrow(
        expect.objectContaining({ code: 'INVALID', message: expect.stringContaining('$regex') }),
      )
  })
})
