import {
  type Doc,
  encodeCursor,
  type Order,
  parseFilter,
  parseSort,
  type SortInput,
  withTieBreak,
} from '@tensorhub/core'
import { check, collect, equal, rejects, sameDocs } from '../expect.ts'
import type { IndexBench, IndexTest } from './bench.ts'

const everything = parseFilter({})

async function ids(
  bench: IndexBench,
  c: string,
  filter: Record<string, unknown>,
  sort?: SortInput,
  limit?: number,
): Promise<string[]> {
  const found = await collect(
    bench.store.find(c, parseFilter(filter), { order: parseSort(sort), ...(limit === undefined ? {} : { limit }) }),
  )
  return found.map((doc) => doc._id)
}

/** One document of each rank, ascending. */
const RANKED: readonly Doc[] = [
  { _id: '00', v: [] },
  { _id: '01' },
  { _id: '02', v: null },
  { _id: '03', v: Number.NaN },
  { _id: '04', v: Number.NEGATIVE_INFINITY },
  { _id: '05', v: -9223372036854775808n },
  { _id: '06', v: -1.5 },
  { _id: '07', v: 0 },
  { _id: '08', v: 9007199254740991 },
  { _id: '09', v: 9007199254740993n },
  { _id: '10', v: 1e300 },
  { _id: '11', v: Number.POSITIVE_INFINITY },
  { _id: '12', v: '' },
  { _id: '13', v: 'Z' },
  { _id: '14', v: 'a' },
  { _id: '15', v: 'a\u0000' },
  { _id: '16', v: '\uffff' },
  { _id: '17', v: '😀' },
  { _id: '18', v: {} },
  { _id: '19', v: { a: 1 } },
  { _id: '20', v: [[1]] },
  { _id: '21', v: false },
  { _id: '22', v: true },
  { _id: '23', v: new Date(-1) },
  { _id: '24', v: new Date(0) },
]

export const findTests: readonly IndexTest[] = [
  [
    'find: missing, null and the negations',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'missing' },
        { _id: 'null', a: null },
        { _id: 'one', a: 1 },
        { _id: 'list', a: [1, null] },
      ])
      equal(await ids(bench, c, { a: null }), ['list', 'missing', 'null'], 'a: null')
      equal(await ids(bench, c, { a: { $exists: true } }), ['list', 'null', 'one'], '$exists: true')
      equal(await ids(bench, c, { a: { $exists: false } }), ['missing'], '$exists: false')
      equal(await ids(bench, c, { a: { $ne: 1 } }), ['missing', 'null'], '$ne: 1')
      equal(await ids(bench, c, { a: { $nin: [null] } }), ['one'], '$nin: [null]')
      equal(await ids(bench, c, { a: { $not: { $gt: 0 } } }), ['missing', 'null'], '$not $gt')
      equal(await ids(bench, c, { a: { $in: [] } }), [], '$in: []')
      equal(await ids(bench, c, { a: { $nin: [] } }), ['list', 'missing', 'null', 'one'], '$nin: []')
    },
  ],
  [
    'find: comparisons never cross types, and arrays match by any element',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'number', a: 5 },
        { _id: 'text', a: '5' },
        { _id: 'true', a: true },
        { _id: 'list', a: [1, 9] },
        { _id: 'date', a: new Date(5) },
        { _id: 'nan', a: Number.NaN },
        { _id: 'big', a: 5n },
      ])
      equal(await ids(bench, c, { a: 5 }), ['big', 'number'], 'a: 5')
      equal(await ids(bench, c, { a: 9 }), ['list'], 'a: 9')
      equal(await ids(bench, c, { a: { $gt: 4 } }), ['big', 'list', 'number'], '$gt: 4')
      equal(await ids(bench, c, { a: { $gt: 2, $lt: 6 } }), ['big', 'list', 'number'], 'two bounds on an array')
      equal(await ids(bench, c, { a: { $elemMatch: { $gt: 2, $lt: 6 } } }), [], '$elemMatch needs one element')
      equal(await ids(bench, c, { a: { $gte: '' } }), ['text'], '$gte: an empty string')
      equal(await ids(bench, c, { a: Number.NaN }), ['nan'], 'a: NaN')
      equal(await ids(bench, c, { a: { $lt: 100 } }), ['big', 'list', 'number'], 'NaN is less than nothing')
      equal(await ids(bench, c, { a: true }), ['true'], 'a: true')
      equal(await ids(bench, c, { a: { $type: 'number' } }), ['big', 'list', 'nan', 'number'], '$type: number')
    },
  ],
  [
    'find: dotted paths through objects and arrays',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'object', a: { b: 1 } },
        { _id: 'list', a: [{ b: 1 }, { b: 2 }, 3] },
        { _id: 'nested', a: [[{ b: 1 }]] },
        { _id: 'flat', a: 1 },
      ])
      equal(await ids(bench, c, { 'a.b': 1 }), ['list', 'object'], 'a.b: 1')
      equal(await ids(bench, c, { 'a.0.b': 1 }), ['list', 'nested'], 'a.0.b: 1')
      equal(await ids(bench, c, { 'a.2': 3 }), ['list'], 'a.2: 3')
      equal(await ids(bench, c, { 'a.b': { $all: [1, 2] } }), ['list'], '$all')
      equal(await ids(bench, c, { a: { $size: 3 } }), ['list'], '$size')
      equal(await ids(bench, c, { a: { $elemMatch: { b: { $gt: 1 } } } }), ['list'], '$elemMatch')
    },
  ],
  [
    'find: text operators are exact and see their metacharacters as text',
    async (bench) => {
      const c = bench.coll()
      const texts = ['abc', 'aBc', 'a%c', 'a_c', 'a*c', 'a?c', '[abc]', 'x\nabc', 'é', "'", '']
      await bench.store.insert(
        c,
        texts.map((s, i) => ({ _id: String(i).padStart(2, '0'), s })),
      )
      const found = async (filter: Record<string, unknown>) =>
        (await ids(bench, c, filter)).map((id) => texts[Number(id)])
      equal(await found({ s: { $prefix: 'a%' } }), ['a%c'], '$prefix a%')
      equal(await found({ s: { $prefix: 'a*' } }), ['a*c'], '$prefix a*')
      equal(await found({ s: { $prefix: '[a' } }), ['[abc]'], '$prefix [a')
      equal(await found({ s: { $contains: '_' } }), ['a_c'], '$contains _')
      equal(await found({ s: { $contains: "'" } }), ["'"], "$contains '")
      equal(await found({ s: { $prefix: '' } }), texts, '$prefix of nothing')
      equal(await found({ s: { $regex: '^a.c$' } }), ['abc', 'aBc', 'a%c', 'a_c', 'a*c', 'a?c'], '$regex')
      equal(await found({ s: { $regex: 'ABC', $options: 'i' } }), ['abc', 'aBc', '[abc]', 'x\nabc'], '$regex i')
    },
  ],
  [
    'sort: one order over all types, both ways; documents of equal keys by _id',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [...RANKED].reverse())
      const all = RANKED.map((doc) => doc._id)
      // Missing and null are one key, so _id decides between them in either direction.
      const down = [...all].reverse()
      down.splice(down.indexOf('02'), 2, '01', '02')
      equal(await ids(bench, c, {}, { v: 1 }), all, 'ascending')
      equal(await ids(bench, c, {}, { v: -1 }), down, 'descending')
      equal(await ids(bench, c, {}), all, 'without a sort: by _id')
      equal(await ids(bench, c, {}, { _id: -1 }), [...all].reverse(), 'by _id descending')
    },
  ],
  [
    'sort: arrays by their least element ascending and their greatest descending; several keys; two arrays are INVALID',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'a', v: [1, 9], w: 1 },
        { _id: 'b', v: 5, w: 1 },
        { _id: 'c', v: [6], w: 2 },
      ])
      equal(await ids(bench, c, {}, { v: 1 }), ['a', 'b', 'c'], 'ascending')
      equal(await ids(bench, c, {}, { v: -1 }), ['a', 'c', 'b'], 'descending')
      equal(
        await ids(bench, c, {}, [
          ['w', -1],
          ['v', -1],
        ]),
        ['c', 'a', 'b'],
        'two keys',
      )
      await bench.store.insert(c, [{ _id: 'd', v: [1], w: [2] }])
      await rejects(
        () =>
          ids(bench, c, {}, [
            ['v', 1],
            ['w', 1],
          ]),
        'INVALID',
        'a sort by two arrays',
      )
    },
  ],
  [
    'sort: strings by code point, not by UTF-16 unit',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: '😀', v: '😀' },
        { _id: '\uffff', v: '\uffff' },
        { _id: 'z', v: 'z' },
      ])
      equal(await ids(bench, c, {}, { v: 1 }), ['z', '\uffff', '😀'], 'by a field')
      equal(await ids(bench, c, {}), ['z', '\uffff', '😀'], 'by _id')
      equal(await ids(bench, c, { v: { $gt: '\uffff' } }), ['😀'], '$gt of U+FFFF')
    },
  ],
  [
    'find: limit; 0 gives nothing; a wrong limit is INVALID',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(
        c,
        Array.from({ length: 20 }, (_, i) => ({ _id: String(i).padStart(2, '0'), n: 19 - i })),
      )
      equal(await ids(bench, c, {}, { n: 1 }, 3), ['19', '18', '17'], 'limit 3')
      equal(await ids(bench, c, { n: { $lt: 2 } }, { n: 1 }, 3), ['19', '18'], 'a limit beyond the matches')
      equal(await ids(bench, c, {}, { n: 1 }, 0), [], 'limit 0')
      equal((await bench.store.top(c, everything, { order: [{ path: ['n'], dir: 1 }] }))?._id, '19', 'top')
      for (const limit of [-1, 1.5, Number.NaN])
        await rejects(() => ids(bench, c, {}, undefined, limit), 'INVALID', `limit ${limit}`)
    },
  ],
  [
    'find: more documents than any page of a server, each once, in order; leaving the loop early is fine',
    async (bench) => {
      const c = bench.coll()
      const all = Array.from({ length: 2500 }, (_, i) => ({ _id: String(i).padStart(5, '0'), n: i % 7 }))
      for (let i = 0; i < all.length; i += 500) await bench.store.insert(c, all.slice(i, i + 500))
      equal((await ids(bench, c, {})).join(), all.map((doc) => doc._id).join(), 'all of them')
      for (let i = 0; i < 20; i++) {
        let seen = 0
        for await (const doc of bench.store.find(c, everything, { order: [{ path: ['n'], dir: 1 }] })) {
          check(doc['n'] === 0, 'the first by n')
          if (++seen === 3) break
        }
      }
      equal(await bench.store.count(c, parseFilter({ n: 0 })), 358, 'the count afterwards')
    },
  ],
  [
    'find: cursors page through every order, each document once',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        ...RANKED,
        ...RANKED.map((doc) => ({ ...doc, _id: `x${doc._id}` })),
        { _id: 'y', v: [3, 'b'] },
        { _id: 'z', v: [null, 4] },
      ])
      const orders: Order[] = [
        [],
        [{ path: ['v'], dir: 1 }],
        [{ path: ['v'], dir: -1 }],
        [
          { path: ['v'], dir: 1 },
          { path: ['_id'], dir: -1 },
        ],
      ]
      for (const order of orders) {
        const total = withTieBreak(order)
        const whole = await collect(bench.store.find(c, everything, { order }))
        for (const size of [1, 4]) {
          const paged: Doc[] = []
          for (let after: string | undefined; ; ) {
            const page = await collect(
              bench.store.find(c, everything, { order, limit: size, ...(after === undefined ? {} : { after }) }),
            )
            paged.push(...page)
            if (page.length < size || paged.length > whole.length) break
            after = encodeCursor(total, page.at(-1) as Doc)
          }
          equal(
            paged.map((doc) => doc._id),
            whole.map((doc) => doc._id),
            `pages of ${size} by ${JSON.stringify(order)}`,
          )
        }
      }
    },
  ],
  [
    'find: a page does not repeat or miss documents when others are written between pages',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(
        c,
        ['b', 'd', 'f', 'h'].map((_id) => ({ _id, n: _id })),
      )
      const order: Order = withTieBreak([{ path: ['n'], dir: 1 }])
      const first = await collect(bench.store.find(c, everything, { order, limit: 2 }))
      await bench.store.insert(c, [
        { _id: 'a', n: 'a' },
        { _id: 'e', n: 'e' },
      ])
      await bench.store.delete(c, parseFilter({ _id: 'd' }))
      const second = await collect(
        bench.store.find(c, everything, { order, after: encodeCursor(order, first[1] as Doc) }),
      )
      equal(
        [...first, ...second].map((doc) => doc._id),
        ['b', 'd', 'e', 'f', 'h'],
        'the pages',
      )
    },
  ],
  [
    'find: a cursor of another sort or a damaged one is INVALID',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', n: 1 }])
      const after = encodeCursor(withTieBreak([{ path: ['n'], dir: 1 }]), { _id: 'a', n: 1 })
      await rejects(() => collect(bench.store.find(c, everything, { after })), 'INVALID', 'a cursor of another sort')
      await rejects(
        () => collect(bench.store.find(c, everything, { after: 'nonsense' })),
        'INVALID',
        'a damaged cursor',
      )
    },
  ],
  [
    'find: fields reduce the documents, always with _id',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'a', x: 1, y: { p: 1, q: 2 }, z: [1] },
        { _id: 'b', y: 5 },
      ])
      sameDocs(
        await collect(bench.store.find(c, everything, { fields: [['x'], ['y', 'q']] })),
        [{ _id: 'a', x: 1, y: { q: 2 } }, { _id: 'b' }],
        'fields x, y.q',
      )
      sameDocs(
        await collect(
          bench.store.find(c, everything, { fields: [['z']], order: [{ path: ['x'], dir: -1 }], limit: 1 }),
        ),
        [{ _id: 'a', z: [1] }],
        'fields that the order does not name',
      )
      sameDocs(
        await collect(bench.store.find(c, everything, { fields: [] })),
        [{ _id: 'a' }, { _id: 'b' }],
        'no fields',
      )
    },
  ],
  [
    'now: the store clock is near this machine and does not run back',
    async (bench) => {
      const before = Date.now()
      const first = await bench.store.now()
      const second = await bench.store.now()
      check(first instanceof Date && !Number.isNaN(first.getTime()), 'now gives a Date')
      check(second.getTime() >= first.getTime(), 'now ran back')
      check(Math.abs(first.getTime() - before) < 300_000, `the store clock is ${first.getTime() - before} ms away`)
    },
  ],
]
