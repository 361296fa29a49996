import { type Doc, parseFilter, type Value } from '@tensorhub/core'
import { check, collect, equal, rejects, sameDocs } from '../expect.ts'
import type { IndexTest } from './bench.ts'

const everything = parseFilter({})
const byId = (_id: string) => parseFilter({ _id })

const VALUES: Readonly<Record<string, Value>> = {
  nothing: null,
  yes: true,
  no: false,
  zero: 0,
  third: 1 / 3,
  tiny: 5e-324,
  huge: 1.7976931348623157e308,
  safe: Number.MAX_SAFE_INTEGER,
  unsafe: -Number.MAX_SAFE_INTEGER,
  nan: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  minus: Number.NEGATIVE_INFINITY,
  smallBig: 7n,
  big: 9223372036854775807n,
  least: -9223372036854775808n,
  empty: '',
  epoch: new Date(0),
  before: new Date(-62135596800000),
  date: new Date(1700000000001),
  list: [],
  object: {},
  nested: [[1, [2, []]], { a: [{ b: null }] }],
}

const STRINGS: Readonly<Record<string, string>> = {
  NUL: 'a\u0000b',
  control: '\u0001\t\n\r\u001f\u007f',
  quotes: `'"\`\\ ''; DROP TABLE docs; --`,
  astral: '😀𝒳\u{10ffff}',
  last: '\uffff\ufffe\ue000',
  composed: 'é',
  decomposed: 'e\u0301',
  dollar: '$where',
  likeJson: '{"$date":1}',
  wild: '%_*?[a]',
  rightToLeft: 'שלום‮abc',
  long: 'x'.repeat(200_000),
}

const KEYS = [
  'with space',
  `quote"s`,
  "it's",
  'back\\slash',
  'ünïcode',
  '😀',
  'a-b',
  'a/b',
  '[0]',
  'a$b',
  '%',
  'a:b',
  '`',
  'toString',
  'length',
  'hasOwnProperty',
  '_x',
  '-1',
  '1a',
]

export const documentTests: readonly IndexTest[] = [
  [
    'documents: every kind of value comes back the same',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'all', ...VALUES }])
      sameDocs(
        await collect((await bench.again()).find(c, everything)),
        [{ _id: 'all', ...VALUES, _rev: 0 }],
        'the document',
      )
    },
  ],
  [
    'documents: every kind of value is found by equality',
    async (bench) => {
      const c = bench.coll()
      const scalars = Object.entries(VALUES).filter(
        ([, value]) => value === null || typeof value !== 'object' || value instanceof Date,
      )
      await bench.store.insert(
        c,
        scalars.map(([_id, value]) => ({ _id, value })),
      )
      for (const [_id, value] of scalars) {
        const found = (await collect(bench.store.find(c, parseFilter({ value })))).map((doc) => doc._id)
        equal(found, [_id], `the documents equal to ${_id}`)
      }
    },
  ],
  [
    'documents: -0 becomes 0',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [{ _id: 'a', n: -0, deep: [{ n: -0 }] }])
      const doc = (await bench.store.top(c, parseFilter({ n: 0 }))) as Doc
      check(Object.is(doc['n'], 0), '-0 is read back as 0')
    },
  ],
  [
    'documents: odd strings are kept and found, as values and as _id',
    async (bench) => {
      const c = bench.coll()
      for (const [name, text] of Object.entries(STRINGS)) {
        const _id = name === 'long' ? 'long' : text
        await bench.store.insert(c, [{ _id, text }])
        sameDocs(await collect(bench.store.find(c, byId(_id))), [{ _id, text, _rev: 0 }], `by _id: ${name}`)
        equal(
          (await collect(bench.store.find(c, parseFilter({ text })))).map((doc) => doc._id),
          [_id],
          `by value: ${name}`,
        )
        if (name !== 'long') {
          equal(
            (await collect(bench.store.find(c, parseFilter({ text: { $prefix: text } })))).map((doc) => doc._id),
            [_id],
            `by prefix: ${name}`,
          )
          check((await bench.store.count(c, parseFilter({ text: { $contains: text } }))) >= 1, `by $contains: ${name}`)
        }
      }
      equal(
        await bench.store.delete(c, byId(STRINGS['quotes'] as string)),
        1,
        'how many were deleted by an _id full of quotes',
      )
      equal(await bench.store.count(c, everything), Object.keys(STRINGS).length - 1, 'how many are left')
    },
  ],
  [
    'documents: strings are not normalised',
    async (bench) => {
      const c = bench.coll()
      await bench.store.insert(c, [
        { _id: 'é', s: 'é' },
        { _id: 'e\u0301', s: 'e\u0301' },
        { _id: 'É', s: 'É' },
      ])
      equal(
        (await collect(bench.store.find(c, parseFilter({ s: 'é' })))).map((doc) => doc._id),
        ['é'],
        'equality of an accented letter',
      )
      equal(await bench.store.count(c, everything), 3, 'how many strings that look alike are kept apart')
    },
  ],
  [
    'documents: keys with quotes, spaces, brackets, other scripts and names of JavaScript members are kept, found, sorted and changed',
    async (bench) => {
      const c = bench.coll()
      for (const key of KEYS) {
        const _id = `doc of ${key}`
        await bench.store.insert(c, [{ _id, [key]: { [key]: 5 }, plain: key }])
        const path = `${key}.${key}`
        equal(
          (
            await collect(bench.store.find(c, parseFilter({ [path]: 5 }), { order: [{ path: [key, key], dir: -1 }] }))
          ).map((doc) => doc._id),
          [_id],
          `the documents by ${path}`,
        )
        equal(
          await bench.store.update(c, parseFilter({ [key]: { $exists: true } }), { set: { [path]: 6 }, inc: { n: 1 } }),
          1,
          `how many were changed by ${key}`,
        )
        sameDocs(
          await collect(bench.store.find(c, parseFilter({ [path]: { $gt: 5 } }))),
          [{ _id, [key]: { [key]: 6 }, plain: key, n: 1, _rev: 1 }],
          `the changed document of ${key}`,
        )
      }
    },
  ],
  [
    'documents: what cannot be stored is INVALID, names the path, and stores nothing',
    async (bench) => {
      const c = bench.coll()
      const cyclic: Record<string, unknown> = { _id: 'a' }
      cyclic['self'] = cyclic
      const bad: readonly (readonly [what: string, doc: unknown])[] = [
        ['undefined', { _id: 'a', x: undefined }],
        ['a function', { _id: 'a', x: () => 1 }],
        ['a symbol', { _id: 'a', x: Symbol('s') }],
        ['a Map', { _id: 'a', x: new Map() }],
        ['a cycle', cyclic],
        ['a lone surrogate', { _id: 'a', x: '\ud800' }],
        ['an invalid Date', { _id: 'a', x: new Date(Number.NaN) }],
        ['a rounded integer', { _id: 'a', x: 2 ** 53 + 2 }],
        ['a bigint of more than 64 bits', { _id: 'a', x: 2n ** 63n }],
        ['no _id', { x: 1 }],
        ['an empty _id', { _id: '' }],
        ['a number as _id', { _id: 1 }],
        ['an empty key', { _id: 'a', '': 1 }],
        ['a key with a dot', { _id: 'a', 'a.b': 1 }],
        ['a key with $', { _id: 'a', $a: 1 }],
        ['a key of digits', { _id: 'a', x: { 0: 1 } }],
        ['a key with NUL', { _id: 'a', 'a\u0000': 1 }],
        ['__proto__', JSON.parse('{"_id":"a","x":{"__proto__":{"polluted":true}}}')],
        ['constructor', { _id: 'a', constructor: 1 }],
        ['an array', [1]],
      ]
      for (const [what, doc] of bad) {
        await rejects(() => bench.store.insert(c, [{ _id: 'good' }, doc as Doc]), 'INVALID', `inserting ${what}`)
      }
      equal(await bench.store.count(c, everything), 0, 'how many were stored')
      check(!('polluted' in {}), 'the prototype of objects is untouched')
    },
  ],
  [
    'documents: a big one is kept whole; one over the limit is refused, never cut',
    async (bench) => {
      const c = bench.coll()
      const { maxDocBytes } = await bench.can()
      const text = 'é'.repeat(Math.min(Math.floor(maxDocBytes / 8), 1_000_000))
      await bench.store.insert(c, [{ _id: 'big', text }])
      check((await bench.store.top(c, byId('big')))?.['text'] === text, 'a big document comes back whole')
      if (maxDocBytes > 2 ** 30) return
      await rejects(
        () => bench.store.insert(c, [{ _id: 'over', text: 'x'.repeat(maxDocBytes + 1) }]),
        'INVALID',
        'a document over the limit',
      )
      await rejects(
        () => bench.store.update(c, byId('big'), { set: { more: 'x'.repeat(maxDocBytes + 1) } }),
        'INVALID',
        'growing a document over the limit',
      )
      equal(await bench.store.count(c, everything), 1, 'how many are there')
      check((await bench.store.top(c, byId('big')))?.['_rev'] === 0, 'the document that could not grow is unchanged')
    },
  ],
  [
    'documents: nesting of 100 levels is kept',
    async (bench) => {
      const c = bench.coll()
      let deep: Value = 1
      for (let i = 0; i < 90; i++) deep = i % 2 === 0 ? [deep] : { d: deep }
      await bench.store.insert(c, [{ _id: 'deep', deep }])
      sameDocs(await collect(bench.store.find(c, byId('deep'))), [{ _id: 'deep', deep, _rev: 0 }], 'a deep document')
    },
  ],
]
