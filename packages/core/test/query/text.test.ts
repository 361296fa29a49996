import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalQuery,
  type HubUri,
  isHubError,
  parseHubUri,
  parseQuery,
  printHubUri,
  printQuery,
  type Query,
  queryId,
} from '../../src/index.ts'
import { filter, path } from './arbitraries.ts'

const now = new Date('2026-11-24T12:00:00Z')
const read = (text: string) => parseQuery(text, { now, kind: 'models' })
const only = (text: string) => read(text).filter

const words = fc.oneof(
  path.map((steps) => steps.join('.')),
  fc.constantFrom(
    'time',
    'tags',
    'version',
    'model_name',
    'sort',
    'limit',
    'has',
    'tag',
    'a b',
    '+x',
    '-x',
    'AND',
    'x"y\\',
    'é',
  ),
)
const query: fc.Arbitrary<Query> = fc
  .record(
    {
      filter: fc.oneof(
        filter,
        fc.dictionary(
          words,
          fc.oneof(
            fc.string({ unit: 'grapheme' }),
            fc.integer(),
            fc.double(),
            fc.boolean(),
            fc.date({ noInvalidDate: true }),
            fc.record({ $exists: fc.boolean() }),
          ),
          { maxKeys: 3, noNullPrototype: true },
        ),
      ),
      sort: fc.uniqueArray(fc.tuple(words, fc.constantFrom<1 | -1>(1, -1)), {
        minLength: 1,
        maxLength: 3,
        selector: ([name]) => name,
      }),
      limit: fc.integer({ min: 0, max: 1000 }),
      after: fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.isWellFormed()),
    },
    { requiredKeys: ['filter'], noNullPrototype: true },
  )
  .map((q) => q as Query)
  .filter((q) => {
    try {
      canonicalQuery(q)
      return true
    } catch (error) {
      // What is no filter is no query.
      if (isHubError(error, 'INVALID')) return false
      throw error
    }
  })

describe('text form', () => {
  it.each<[string, Record<string, unknown>]>([
    ['', {}],
    ['accuracy>=0.9', { accuracy: { $gte: 0.9 } }],
    ['accuracy>0.9 accuracy<1', { $and: [{ accuracy: { $gt: 0.9 } }, { accuracy: { $lt: 1 } }] }],
    ['epoch:5', { epoch: 5 }],
    ['epoch=5', { epoch: 5 }],
    ['epoch:"5"', { epoch: '5' }],
    ['epoch:>=5', { epoch: { $gte: 5 } }],
    ['epoch!=5', { epoch: { $ne: 5 } }],
    ['version:1.0', { version: '1.0' }],
    ['version:1.0..2.0', { version: { $gte: '1.0', $lte: '2.0' } }],
    ['loss:0.1..0.5', { loss: { $gte: 0.1, $lte: 0.5 } }],
    ['loss:*..0.5', { loss: { $lte: 0.5 } }],
    ['loss:..0.5', { loss: { $lte: 0.5 } }],
    ['loss:-1..*', { loss: { $gte: -1 } }],
    ['loss:-5..-1', { loss: { $gte: -5, $lte: -1 } }],
    ['loss:1e-5', { loss: 1e-5 }],
    ['loss:-0', { loss: 0 }],
    ['id:9007199254740993', { id: 9007199254740993n }],
    ['tag:a,b', { tags: { $in: ['a', 'b'] } }],
    ['tags:1,2', { tags: { $in: ['1', '2'] } }],
    ['-tag:a', { $nor: [{ tags: 'a' }] }],
    ['NOT tag:a', { $nor: [{ tags: 'a' }] }],
    ['mlp', { model_name: { $prefix: 'mlp' } }],
    ['"two words"', { model_name: { $prefix: 'two words' } }],
    ['name:x', { name: 'x' }],
    ['has:accuracy missing:loss', { accuracy: { $exists: true }, loss: { $exists: false } }],
    ['optimizer~dam', { optimizer: { $contains: 'dam' } }],
    ['optimizer^=ada', { optimizer: { $prefix: 'ada' } }],
    ['code~5', { code: { $contains: '5' } }],
    ['done:true early:false best:null', { done: true, early: false, best: null }],
    ['done:"true"', { done: 'true' }],
    ['time:2026-11-24', { time: new Date('2026-11-24T00:00:00Z') }],
    ['time>=2026-11-24T10:30:00Z', { time: { $gte: new Date('2026-11-24T10:30:00Z') } }],
    ['time>=2026-11-24T10:30', { time: { $gte: new Date('2026-11-24T10:30:00Z') } }],
    ['time>=2026-11-24T10:30:00+02:00', { time: { $gte: new Date('2026-11-24T08:30:00Z') } }],
    ['time>-2d', { time: { $gt: new Date('2026-11-22T12:00:00Z') } }],
    ['time:-90m..-1h', { time: { $gte: new Date('2026-11-24T10:30:00Z'), $lte: new Date('2026-11-24T11:00:00Z') } }],
    ['a:1 OR b:2', { $or: [{ a: 1 }, { b: 2 }] }],
    ['a:1 b:2 OR c:3', { $or: [{ a: 1, b: 2 }, { c: 3 }] }],
    ['a:1 AND (b:2 OR c:3)', { a: 1, $or: [{ b: 2 }, { c: 3 }] }],
    ['-(a:1 b:2)', { $nor: [{ a: 1, b: 2 }] }],
    ['a.b.0:1', { 'a.b.0': 1 }],
    ['"odd name":1', { 'odd name': 1 }],
    ['"sort":1', { sort: 1 }],
    ['a:"say \\"hi\\" \\\\"', { a: 'say "hi" \\' }],
    ['{"a":{"$gt":1}}', { a: { $gt: 1 } }],
    ['{"a":{"$date":5},"b":{"$numberDouble":"NaN"},"c":{"$numberLong":"5"}}', { a: new Date(5), b: Number.NaN, c: 5n }],
  ])('%s', (text, expected) => {
    expect(only(text)).toEqual(expected)
  })

  it('says that a sign stands behind its field without a space', () => {
    for (const text of ['accuracy >= 0.9', 'mlp = 5', '>=5'])
      expect(() => read(text)).toThrow(
        expect.objectContaining({ code: 'INVALID', message: expect.stringContaining('without a space') }),
      )
  })

  it('takes directives anywhere', () => {
    expect(read('sort:-time,+loss a:1 limit:5 after:abc-_9')).toEqual({
      filter: { a: 1 },
      sort: [
        ['time', -1],
        ['loss', 1],
      ],
      limit: 5,
      after: 'abc-_9',
    })
    expect(read('{"a":1} sort:-time')).toEqual({ filter: { a: 1 }, sort: [['time', -1]] })
  })

  it.each([
    ['datasets', 'dataset_name'],
    ['models', 'model_name'],
    ['tasks', 'task_name'],
    ['logs', 'kind'],
    [undefined, 'name'],
    ['constructor', 'name'],
  ])('a bare word of %s is a prefix of %s', (kind, field) => {
    const filter = { [field]: { $prefix: 'mlp' }, accuracy: { $gte: 0.9 } }
    expect(parseQuery('mlp accuracy>=0.9', kind === undefined ? {} : { kind }).filter).toEqual(filter)
  })

  it('takes words of the grammar as text where they are quoted, or stand where a value stands', () => {
    for (const word of ['AND', 'OR', 'NOT', 'true', 'null', 'sort', 'a b', '2d', '-2d', '1.0']) {
      expect(only(`name:"${word}"`)).toEqual({ name: word })
      expect(only(`x:"${word}"`)).toEqual({ x: word })
      expect(only(`"${word}"`)).toEqual({ model_name: { $prefix: word } })
    }
    expect(only('AND:1 OR=2')).toEqual({ AND: 1, OR: 2 })
    expect(only('a."b c".d:1')).toEqual({ 'a.b c.d': 1 })
  })

  it('tells a minus by its place', () => {
    expect(read('x:-5 -tag:a y>-2 sort:-time time>-2d')).toEqual({
      filter: { x: -5, $nor: [{ tags: 'a' }], y: { $gt: -2 }, time: { $gt: new Date('2026-11-22T12:00:00Z') } },
      sort: [['time', -1]],
    })
  })

  it('prints a relative date as the date it was when it was read', () => {
    const text = printQuery(read('time>-2d'))
    expect(text).toBe('time>2026-11-22T12:00:00.000Z')
    expect(parseQuery(text, { now: new Date('2030-01-01') }).filter).toEqual(only('time>-2d'))
  })

  it('takes declared types', () => {
    expect(parseQuery('build:007 at:2026-01-01', { types: { build: 'string', at: 'date' } }).filter).toEqual({
      build: '007',
      at: new Date('2026-01-01'),
    })
  })

  it.each<[string, number]>([
    ['a:', 2],
    ['a:"open', 2],
    ['(a:1', 4],
    ['a:1)', 3],
    ['a:1 OR', 6],
    ['OR a:1', 6],
    ['a:1 AND', 7],
    ['()', 1],
    ['(sort:a)', 7],
    ['- a:1', 2],
    ['-sort:a', 7],
    ['a:1"b"', 3],
    ['a:http://x', 6],
    ['limit:x', 7],
    ['limit:1 limit:2', 14],
    ['a:..', 4],
    ['time:2026-02-30', 15],
    ['time:yesterday', 14],
    ['$where:1', 6],
    ['a~', 2],
    ['{"a":1', 6],
    ['{"a":1} b:2', 7],
    ['{"a":1,"a":2}', 7],
    ['{"a":{"b":[{"c":1,"c":2}]}}', 18],
    [`${'-('.repeat(20)}a:1${')'.repeat(20)}`, 11],
  ])('refuses %s', (text, at) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code: 'INVALID', reason: 'QUERY_TEXT', path: String(at) }),
    )
  })

  it('keeps __proto__ out, and does not lose the condition', () => {
    const back = parseQuery('{"__proto__":{"$ne":1}}')
    expect(Object.keys(back.filter)).toEqual(['__proto__'])
    expect(() => canonicalQuery(back)).toThrow(expect.objectContaining({ code: 'INVALID', path: '__proto__' }))
  })

  it('reads back what it prints', () => {
    fc.assert(
      fc.property(query, (q) => {
        const text = printQuery(q)
        expect(canonicalQuery(parseQuery(text)), text).toBe(canonicalQuery(q))
      }),
      { numRuns: 5000 },
    )
  })

  it('prints the short form where the grammar has one', () => {
    expect(printQuery(read('mnist version:1.0 accuracy>=0.9 tag:a,b -has:error sort:-time limit:5'))).toBe(
      'model_name^=mnist version:1.0 accuracy>=0.9 tags:a,b -(has:error) sort:-time limit:5',
    )
  })

  it('gives typed errors for any text, and nothing else', () => {
    const pieces = fc.constantFrom(
      'a',
      ':',
      '1',
      '..',
      '-',
      '(',
      ')',
      ',',
      '"',
      '\\',
      '>=',
      ' ',
      'OR',
      'NOT',
      'sort',
      'limit',
      'after',
      'has',
      '{',
      '}',
      '$',
      'time',
      '-2d',
      '2026-11-24',
      '*',
      'null',
      '.',
      '__proto__',
    )
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 12 }).map((all) => all.join('')),
        (text) => {
          try {
            const q = parseQuery(text)
            expect(canonicalQuery(parseQuery(printQuery(q)))).toBe(canonicalQuery(q))
          } catch (error) {
            expect(isHubError(error, 'INVALID'), `${text}: ${String(error)}`).toBe(true)
          }
        },
      ),
      { numRuns: 10_000 },
    )
  })

  it('bears long and deep text', () => {
    for (const text of [
      '-'.repeat(19_999),
      'NOT '.repeat(4000),
      '('.repeat(19_999),
      `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      `{"a":"${'x'.repeat(3_000_000)}`,
      'a'.repeat(20_001),
    ]) {
      expect(() => canonicalQuery(parseQuery(text)), text.slice(0, 10)).toThrow(
        expect.objectContaining({ code: 'INVALID' }),
      )
    }
  })
})

describe('URI form', () => {
  it.each<[string, HubUri]>([
    ['hub://digits/models', { project: 'digits', kind: 'models', query: { filter: {} } }],
    [
      'hub://digits/models/mlp@1.0?sort=-time&limit=5',
      {
        project: 'digits',
        kind: 'models',
        query: { filter: { model_name: 'mlp', version: '1.0' }, sort: [['time', -1]], limit: 5 },
      },
    ],
    [
      'hub://my%20project/datasets/a%2Fb%40c?q=accuracy%3E0.9#01ABC',
      {
        project: 'my project',
        kind: 'datasets',
        query: { filter: { $and: [{ dataset_name: 'a/b@c' }, { accuracy: { $gt: 0.9 } }] } },
        pin: '01ABC',
      },
    ],
    [
      'hub://p/tasks?filter=%7B%22a%22%3A%7B%22%24gt%22%3A1%7D%7D',
      { project: 'p', kind: 'tasks', query: { filter: { a: { $gt: 1 } } } },
    ],
    [
      'hub://p/models?q=mlp+sort:-loss',
      { project: 'p', kind: 'models', query: { filter: { model_name: { $prefix: 'mlp' } }, sort: [['loss', -1]] } },
    ],
  ])('%s', (text, expected) => {
    expect(parseHubUri(text)).toEqual(expected)
    expect(parseHubUri(printHubUri(expected))).toEqual(expected)
  })

  it.each([
    'http://p/models',
    'hub://p',
    'hub://p/users',
    'hub://p/constructor',
    'hub://p/models/',
    'hub://p/models/a@',
    'hub://p/models/%E0%A4%A',
    'hub://p/models?name[$gt]=1',
    'hub://p/models?x=1',
    'hub://p/models?q=a&q=b',
    'hub://p/models?q=a:1&filter={}',
    'hub://p/models?sort=time+a:1',
    'hub://p/models?limit=5+sort:x',
    'hub://p/models?q="a&limit=5"',
    'hub://p/models?filter=a:1',
    'hub://p/models?q=limit:1&limit=2',
    'hub://p/models?sort=',
  ])('refuses %s', (text) => {
    expect(() => parseHubUri(text)).toThrow(expect.objectContaining({ code: 'INVALID', reason: 'QUERY_TEXT' }))
  })

  it('reads back what it prints', () => {
    fc.assert(
      fc.property(
        query,
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.constantFrom<HubUri['kind']>('datasets', 'models', 'logs', 'tasks'),
        (q, project, kind) => {
          const uri = printHubUri({ project, kind, query: q })
          const back = parseHubUri(uri)
          expect(back.project).toBe(project)
          expect(canonicalQuery(back.query), uri).toBe(canonicalQuery(q))
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('identity', () => {
  it('does not depend on the order of keys, but on everything else', () => {
    const id = queryId({ filter: { a: 1, b: { $gt: 1, $lt: 5 } } })
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(queryId({ filter: { b: { $lt: 5, $gt: 1 }, a: 1 } })).toBe(id)
    const others: Query[] = [
      { filter: { a: 1n, b: { $gt: 1, $lt: 5 } } },
      { filter: { a: '1', b: { $gt: 1, $lt: 5 } } },
      { filter: { a: 1, b: { $gt: 1, $lt: 5 } }, limit: 1 },
      { filter: { a: 1, b: { $gt: 1, $lt: 5 } }, sort: [['a', 1]] },
      { filter: { a: 1, b: { $gt: 1, $lt: 5 } }, sort: [['a', -1]] },
    ]
    expect(new Set([id, ...others.map(queryId)]).size).toBe(others.length + 1)
  })

  it('adds no defaults: what is written differently is another query', () => {
    expect(queryId({ filter: { a: 1 } })).not.toBe(queryId({ filter: { a: { $eq: 1 } } }))
    expect(queryId({ filter: { a: 1 } })).not.toBe(queryId({ filter: { a: 1 }, limit: 100 }))
    expect(queryId({ filter: { a: 1 }, sort: [] })).toBe(queryId({ filter: { a: 1 } }))
    expect(canonicalQuery({ filter: { b: new Date(5), a: { $in: [1n, Number.NaN] } } })).toBe(
      '{"filter":{"a":{"$in":[{"$numberLong":"1"},{"$numberDouble":"NaN"}]},"b":{"$date":5}}}',
    )
  })

  it('makes no Unicode equal', () => {
    expect(queryId({ filter: { a: 'é' } })).not.toBe(queryId({ filter: { a: 'e\u0301' } }))
  })

  it('refuses what is no query', () => {
    // @ts-expect-error the compiler refuses it too
    expect(() => queryId({ filter: { a: { $where: 'x' } } })).toThrow(expect.objectContaining({ code: 'INVALID' }))
  })
})
