import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  applyChange,
  type Change,
  checkChange,
  checkDoc,
  compareValues,
  type Doc,
  decodeDoc,
  decodeValue,
  encodeDoc,
  encodeValue,
  parsePath,
  project,
} from '../../src/index.ts'
import { doc, value } from './arbitraries.ts'

const invalid = (path: string) => expect.objectContaining({ code: 'INVALID', path })
const cyclic: Record<string, unknown> = { _id: 'x' }
cyclic['self'] = cyclic
const deep = (levels: number): unknown => (levels === 0 ? 1 : { a: deep(levels - 1) })

describe('what a document may hold', () => {
  it.each<[Record<string, unknown>, string]>([
    [{ a: undefined }, 'a'],
    [{ a: { b: [1, undefined] } }, 'a.b.1'],
    [{ a: () => 1 }, 'a'],
    [{ a: Symbol('x') }, 'a'],
    [{ a: { [Symbol('x')]: 1 } }, 'a'],
    [{ a: new Map() }, 'a'],
    [{ a: /x/ }, 'a'],
    [{ a: new Uint8Array(2) }, 'a'],
    [{ a: new Date(Number.NaN) }, 'a'],
    [{ a: 2 ** 53 }, 'a'],
    [{ a: -(2 ** 53) }, 'a'],
    [{ a: 2n ** 63n }, 'a'],
    [{ a: '\uDC00' }, 'a'],
    [{ 'a\uD800': 1 }, 'a\uD800'],
    [{ '': 1 }, ''],
    [{ $a: 1 }, '$a'],
    [{ 'a.b': 1 }, 'a.b'],
    [{ 'a\u0000': 1 }, 'a\u0000'],
    [{ 12: 1 }, '12'],
    [{ a: { 0: 1 } }, 'a.0'],
    [JSON.parse('{"__proto__":1}') as Record<string, unknown>, '__proto__'],
    [{ a: JSON.parse('{"__proto__":1}') as unknown }, 'a.__proto__'],
    [{ constructor: 1 }, 'constructor'],
    [{ prototype: 1 }, 'prototype'],
    [{ _id: 5 }, '_id'],
    [{ _id: '' }, '_id'],
  ])('refuses %o', (fields, path) => {
    expect(() => checkDoc({ _id: 'x', ...fields })).toThrow(invalid(path))
  })

  it('refuses what is nested too deep, or contains itself', () => {
    expect(() => checkDoc(cyclic)).toThrow(/nested deeper than 200, or contains itself/)
    expect(() => checkDoc({ _id: 'x', a: deep(200) })).toThrow(/nested deeper/)
    checkDoc({ _id: 'x', a: deep(199) })
  })

  it('refuses a document that is none', () => {
    for (const none of [null, [], new Date(0), 'x', 1]) {
      expect(() => checkDoc(none as never)).toThrow(expect.objectContaining({ code: 'INVALID' }))
    }
    expect(() => checkDoc({ a: 1 })).toThrow(invalid('_id'))
  })

  it('copies, and stores -0 as 0', () => {
    const date = new Date(5)
    const given = { _id: 'x', a: -0, d: date, n: [Number.NaN, 1e300, 2n ** 63n - 1n] }
    const copy = checkDoc(given)
    date.setTime(6)
    expect(copy).toEqual({ _id: 'x', a: 0, d: new Date(5), n: [Number.NaN, 1e300, 2n ** 63n - 1n] })
    expect(Object.is(copy['a'], 0)).toBe(true)
  })
})

describe('canonical JSON form', () => {
  it('gives back every document exactly', () => {
    fc.assert(
      fc.property(doc, (one) => {
        const back = decodeDoc(encodeDoc(one))
        expect(back).toEqual(one)
        expect(compareValues(back, one)).toBe(0)
        expect(Object.keys(back)).toEqual(Object.keys(one))
        expect(encodeDoc(back)).toBe(encodeDoc(one))
      }),
      { numRuns: 3000 },
    )
  })

  it('tags what JSON lacks', () => {
    expect(encodeValue([new Date(5), Number.NaN, Number.NEGATIVE_INFINITY, 5n])).toBe(
      '[{"$date":5},{"$numberDouble":"NaN"},{"$numberDouble":"-Infinity"},{"$numberLong":"5"}]',
    )
    expect(decodeValue('["$date"]')).toEqual(['$date'])
  })

  it.each([
    '',
    '{',
    '{"a":{"$date":"x"}}',
    '{"a":{"$date":1e300}}',
    '{"a":{"$numberLong":"x"}}',
    '{"a":{"$numberDouble":"1"}}',
  ])('calls %j damaged', (text) => {
    expect(() => decodeDoc(text)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  })
})

describe('changes', () => {
  const base: Doc = { _id: 'x', n: 1, big: 2n ** 60n, o: { p: 1, q: [1] }, nothing: null, s: 'text' }

  it.each<[Change, Record<string, unknown>]>([
    [{ set: { a: 1 } }, { a: 1 }],
    [{ set: { 'o.p': 2 } }, { o: { p: 2, q: [1] } }],
    [{ set: { 'new.deep.path': null } }, { new: { deep: { path: null } } }],
    [{ inc: { n: 2, fresh: 5, 'o.p': -1 } }, { n: 3, fresh: 5, o: { p: 0, q: [1] } }],
    [{ inc: { big: 1 } }, { big: 2n ** 60n + 1n }],
    [{ unset: ['gone', 'o.gone', 'lost.deeper'] }, {}],
    [{ set: { a: -0 } }, { a: 0 }],
  ])('%o', (change, expected) => {
    const before = encodeDoc(base)
    expect(applyChange(base, checkChange(change))).toEqual({ ...base, ...expected })
    expect(encodeDoc(base)).toBe(before)
  })

  it('unset removes', () => {
    expect(applyChange(base, checkChange({ unset: ['n', 'o.p'] }))).toEqual({
      _id: 'x',
      big: 2n ** 60n,
      o: { q: [1] },
      nothing: null,
      s: 'text',
    })
  })

  it.each<[unknown, string]>([
    [{}, ''],
    [{ set: {} }, ''],
    [null, ''],
    [{ $set: { a: 1 } }, '$set'],
    [{ set: { a: 1 }, push: { b: 1 } }, 'push'],
    [{ set: null }, 'set'],
    [{ set: [1] }, 'set'],
    [{ unset: 'a' }, 'unset'],
    [{ unset: [1] }, 'unset'],
    [{ inc: 5 }, 'inc'],
    [{ set: { _id: 'y' } }, '_id'],
    [{ unset: ['_id'] }, '_id'],
    [{ set: { a: undefined } }, 'a'],
    [{ set: { 'o.q.0': 1 } }, 'o.q.0'],
    [{ set: { 'a..b': 1 } }, 'a..b'],
    [{ set: { $a: 1 } }, '$a'],
    [{ set: { 'a.__proto__.b': 1 } }, 'a.__proto__.b'],
    [{ unset: ['constructor'] }, 'constructor'],
    [{ inc: { n: Number.NaN } }, 'n'],
    [{ inc: { n: '1' } }, 'n'],
    [{ set: { n: 1 }, inc: { n: 1 } }, 'n'],
    [{ set: { o: {} }, unset: ['o.p'] }, 'o.p'],
    [{ unset: ['n', 'n'] }, 'n'],
  ])('refuses %o before any I/O', (change, path) => {
    expect(() => checkChange(change as Change)).toThrow(invalid(path))
  })

  it.each<[Change, string]>([
    [{ set: { 'n.deep': 1 } }, 'n.deep'],
    [{ set: { 'nothing.deep': 1 } }, 'nothing.deep'],
    [{ set: { 'o.q.deep': 1 } }, 'o.q.deep'],
    [{ unset: ['s.deep'] }, 's.deep'],
    [{ inc: { s: 1 } }, 's'],
    [{ inc: { nothing: 1 } }, 'nothing'],
    [{ inc: { big: 0.5 } }, 'big'],
    [{ inc: { n: Number.MAX_SAFE_INTEGER } }, 'n'],
  ])('refuses %o on a document it does not fit', (change, path) => {
    expect(() => applyChange(base, checkChange(change))).toThrow(invalid(path))
  })

  it('set then read gives the value back', () => {
    fc.assert(
      fc.property(doc, value, (one, v) => {
        expect(applyChange(one, checkChange({ set: { z: v } }))['z']).toEqual(v)
      }),
    )
  })
})

describe('projection', () => {
  it('keeps _id and the named fields, arrays whole', () => {
    const one: Doc = { _id: 'x', a: { b: 1, c: 2 }, d: [{ e: 1, f: 2 }], g: 1 }
    expect(project(one, [parsePath('a.b')])).toEqual({ _id: 'x', a: { b: 1 } })
    expect(project(one, [parsePath('a.b'), parsePath('a.c')])).toEqual({ _id: 'x', a: { b: 1, c: 2 } })
    expect(project(one, [parsePath('d.e'), parsePath('none')])).toEqual({ _id: 'x', d: [{ e: 1, f: 2 }] })
    expect(project(one, [parsePath('a'), parsePath('a.b')])).toEqual({ _id: 'x', a: { b: 1, c: 2 } })
    expect(project(one, [])).toEqual({ _id: 'x' })
  })
})
