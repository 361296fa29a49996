import { parseFilter } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import { compileChange } from '../src/change.ts'
import { compileFilter } from '../src/filter.ts'

/** Every key of a filter that is an operator, with those that stand inside operands left out: an operand is data. */
function operatorsOf(value: unknown, into = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const part of value) operatorsOf(part, into)
  else if (typeof value === 'object' && value !== null && !(value instanceof Date))
    for (const [key, part] of Object.entries(value)) {
      if (key.startsWith('$')) into.add(key)
      operatorsOf(part, into)
    }
  return into
}

const SENT = new Set(
  '$and $or $nor $not $eq $ne $gt $gte $lt $lte $in $nin $exists $size $type $regex $elemMatch'.split(' '),
)

describe('what is sent', () => {
  it('has operators of ours only, whatever stands in values, names and patterns', () => {
    const evil = ['$where', '$ne', '{"$gt":""}', "'; return true; //", '$expr', 'a\u0000$where']
    for (const text of evil) {
      const filters: unknown[] = [
        { name: text },
        { name: { $in: [text] } },
        { name: [text] },
        { name: { $prefix: text } },
        { name: { $contains: text } },
        { list: { $elemMatch: { name: { $not: { $contains: text } } } } },
        { $nor: [{ name: text }, { 'a.b': { $nin: [text, null] } }] },
      ]
      for (const filter of filters) {
        const compiled = compileFilter(parseFilter(filter)).filter
        for (const operator of operatorsOf(compiled)) expect(SENT).toContain(operator)
        // A value stands behind an operator, so that none is read as one.
        for (const [name, test] of Object.entries(compiled))
          if (!name.startsWith('$')) expect(Object.keys(test as object)[0]).toMatch(/^\$/)
      }
    }
  })

  it('refuses an operator that came as a value before anything is sent', () => {
    for (const value of [{ $ne: null, x: 1 }, { $where: '1' }, { $expr: {} }, { $function: {} }, { $text: {} }])
      expect(() => parseFilter({ name: value })).toThrowError(expect.objectContaining({ code: 'INVALID' }))
    expect(() => parseFilter({ $where: 'true' })).toThrowError(expect.objectContaining({ code: 'INVALID' }))
  })

  it('means text as text in $prefix and $contains', () => {
    const { filter } = compileFilter(parseFilter({ s: { $contains: 'a.*(b)\u0000' } }))
    expect(filter).toEqual({ s: { $regex: 'a\\.\\*\\(b\\)\\x00' } })
  })

  it('is a superset, and says so, where servers or versions differ', () => {
    const inexact = [
      { 'a.b': null },
      { 'a.b': { $in: [1, null] } },
      { 'a.b': { $ne: null } },
      { 'a.0': 1 },
      { 'a.0': { $ne: 1 } },
      { s: { $regex: 'ABC', $options: 'i' } },
      { s: { $regex: 'a.c$' } },
      { $nor: [{ 'a.b': null }] },
      { 'a.': 1 },
    ]
    for (const filter of inexact) expect(compileFilter(parseFilter(filter)).exact, JSON.stringify(filter)).toBe(false)
    // What cannot be negated soundly is not sent at all.
    expect(compileFilter(parseFilter({ 'a.b': { $ne: null } })).filter).toEqual({})
    expect(compileFilter(parseFilter({ $nor: [{ 'a.b': null }] })).filter).toEqual({})
    expect(compileFilter(parseFilter({ s: { $regex: '^ab.c' } })).filter).toEqual({ s: { $regex: '^ab' } })
  })
})

describe('a change', () => {
  const change = { set: { status: 'running' }, inc: { epoch: 1, _rev: 1 } }

  it('is one operation without a condition of its own where the filter bounds what is counted', () => {
    for (const filter of [{ epoch: 5 }, { epoch: { $not: { $gt: 1000 } } }])
      expect(compileChange(change, parseFilter(filter)).guards).toEqual([])
    expect(compileChange(change, parseFilter({ status: 'pending' })).guards).toHaveLength(1)
  })

  it('that MongoDB would make otherwise is not left to its operators', () => {
    expect(compileChange({ unset: ['a.b'] }, parseFilter({})).operators).toBe(false)
    expect(compileChange({ inc: { n: 0.5 } }, parseFilter({})).operators).toBe(false)
    expect(compileChange({ inc: { n: 2 ** 40 } }, parseFilter({})).operators).toBe(false)
    expect(compileChange({ set: { a: 1 }, unset: ['b'] }, parseFilter({})).operators).toBe(true)
  })
})
