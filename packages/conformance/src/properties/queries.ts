import type { Change, Doc, SortInput, Value } from '@tensorhub/core'
import fc from 'fast-check'
import { twinsOf } from './twins.ts'
import { NAMES, nestedValue, pathsOf, scalar } from './values.ts'

/** A filter as users write it. */
export type RawFilter = Record<string, unknown>

/** One step against the store, and so against the model. */
export type Step =
  | {
      readonly kind: 'find'
      readonly filter: RawFilter
      readonly sort: SortInput
      readonly limit: number | undefined
      readonly fields: readonly string[] | undefined
    }
  | { readonly kind: 'pages'; readonly filter: RawFilter; readonly sort: SortInput; readonly size: number }
  | { readonly kind: 'update'; readonly filter: RawFilter; readonly change: Change }
  | { readonly kind: 'takeOne'; readonly filter: RawFilter; readonly sort: SortInput; readonly change: Change }
  | { readonly kind: 'delete'; readonly filter: RawFilter }

type Found = { readonly path: string; readonly value: Value }

function isOperand(value: Value): boolean {
  return (
    typeof value !== 'object' ||
    value === null ||
    value instanceof Date ||
    (Array.isArray(value) && value.every((part: Value) => isOperand(part)))
  )
}

/** Steps whose paths and operands come mostly from the documents themselves, so that most filters match some of them and not all. */
export function stepsOf(docs: readonly Doc[], count: number): fc.Arbitrary<Step[]> {
  const found = pathsOf(docs)
  const somewhere: fc.Arbitrary<Found> =
    found.length === 0 ? fc.constant({ path: 'a', value: null }) : fc.constantFrom(...found)
  const anywhere = fc.constantFrom(...NAMES, 'a.b', 'b.a', 'a.0', 'c.n', 'a.b.c', 'a.0.b', 'missing', 'n.1')
  const place: fc.Arbitrary<Found> = fc.oneof(
    { weight: 5, arbitrary: somewhere },
    { weight: 1, arbitrary: fc.tuple(anywhere, somewhere).map(([path, { value }]) => ({ path, value })) },
  )
  const leaf = place.chain((at) => condition(at, somewhere).map((operators): RawFilter => ({ [at.path]: operators })))
  const texts = found.flatMap(({ path, value }) => (typeof value === 'string' ? [{ path, value }] : []))
  // Text operators where there is text: elsewhere they all say no.
  const textLeaf =
    texts.length === 0
      ? leaf
      : fc.constantFrom(...texts).chain(({ path, value }) => {
          const { head, part } = piecesOf(value)
          return fc.oneof(
            head.map((text): RawFilter => ({ [path]: { $prefix: text } })),
            part.map((text): RawFilter => ({ [path]: { $contains: text } })),
          )
        })
  const byId = fc.constantFrom(...docs).map((doc): RawFilter => ({ _id: doc._id }))
  const two = fc.tuple(leaf, leaf)
  const filter: fc.Arbitrary<RawFilter> = fc.oneof(
    { weight: 9, arbitrary: leaf },
    { weight: 1, arbitrary: textLeaf },
    { weight: 1, arbitrary: byId },
    { weight: 1, arbitrary: fc.constant({}) },
    { weight: 2, arbitrary: two.map((of) => ({ $and: of })) },
    { weight: 3, arbitrary: two.map((of) => ({ $or: of })) },
    { weight: 2, arbitrary: two.map((of) => ({ $nor: of })) },
    { weight: 2, arbitrary: two.map(([x, y]) => ({ ...x, ...y })) },
    { weight: 1, arbitrary: fc.tuple(two, leaf).map(([of, other]) => ({ $or: [{ $and: of }, { $nor: [other] }] })) },
  )
  const path = fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...NAMES) },
    { weight: 1, arbitrary: place.map((at) => at.path) },
    { weight: 1, arbitrary: fc.constant('_id') },
  )
  const sort: fc.Arbitrary<SortInput> = fc.uniqueArray(fc.tuple(path, fc.constantFrom(1 as const, -1 as const)), {
    maxLength: 3,
    selector: ([name]) => name,
  })
  const fields = fc.option(
    fc.uniqueArray(fc.oneof(fc.constantFrom(...NAMES), fc.constantFrom('a.b', 'b.a', 'c.n')), { maxLength: 3 }),
    { nil: undefined },
  )
  const target = fc.constantFrom(...NAMES, 'a.b', 'b.c.n', 'fresh')
  const change: fc.Arbitrary<Change> = fc
    .uniqueArray(
      fc.tuple(
        target,
        fc.oneof(
          nestedValue(1).map((value) => ({ set: value })),
          fc.constant('unset' as const),
          fc.constantFrom(1, -2, 0.5).map((by) => ({ inc: by })),
        ),
      ),
      {
        minLength: 1,
        maxLength: 3,
        // Paths that overlap are refused before any driver sees them.
        selector: ([name]) => name.split('.')[0],
      },
    )
    .map(changeOf)
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        kind: fc.constant('find' as const),
        filter,
        sort,
        limit: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
        fields,
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('pages' as const), filter, sort, size: fc.integer({ min: 1, max: 4 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('update' as const), filter, change }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('takeOne' as const), filter, sort, change }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('delete' as const),
        filter: fc.oneof(
          byId,
          filter.filter((one) => Object.keys(one).length > 0),
        ),
      }),
    },
  )
  return fc.array(step, { minLength: count, maxLength: count })
}

function changeOf(parts: readonly (readonly [string, { set: Value } | 'unset' | { inc: number }])[]): Change {
  const set: Record<string, Value> = {}
  const inc: Record<string, number> = {}
  const unset: string[] = []
  for (const [name, what] of parts) {
    if (what === 'unset') unset.push(name)
    else if ('set' in what) set[name] = what.set
    else inc[name] = what.inc
  }
  return { set, inc, unset }
}

/** Beginnings and pieces of a text, and of texts that look like it: in the other case, with a mark in place of a letter. */
function piecesOf(text: string): { readonly head: fc.Arbitrary<string>; readonly part: fc.Arbitrary<string> } {
  const whole = fc.constantFrom(text, text, text.toUpperCase(), text.toLowerCase(), text.replace(/\w/, '%'))
  const from = fc.integer({ min: 0, max: 3 })
  const length = fc.integer({ min: 0, max: 3 })
  return {
    head: fc.tuple(whole, length).map(([all, n]) => [...all].slice(0, n).join('')),
    part: fc.tuple(whole, from, length).map(([all, at, n]) => [...all].slice(at, at + n).join('')),
  }
}

/** A condition on one path: the value found there, or near it, under every operator. */
function condition(at: Found, somewhere: fc.Arbitrary<Found>): fc.Arbitrary<unknown> {
  const own = isOperand(at.value) ? at.value : null
  // What is well-formed is a matter of filters, not of drivers: a cut pair of surrogates is no operand.
  const twins = twinsOf(own).filter((value) => typeof value !== 'string' || value.isWellFormed())
  const operand: fc.Arbitrary<Value> = fc.oneof(
    { weight: 5, arbitrary: fc.constant(own) },
    { weight: 3, arbitrary: twins.length === 0 ? fc.constant(own) : fc.constantFrom(...twins) },
    { weight: 2, arbitrary: somewhere.map(({ value }) => (isOperand(value) ? value : null)) },
    { weight: 1, arbitrary: scalar },
  )
  const several = fc.array(operand, { maxLength: 4 })
  const range = fc.constantFrom('$gt', '$gte', '$lt', '$lte')
  const { head, part } = piecesOf(typeof own === 'string' ? own : 'a')
  const pattern = fc.constantFrom('^a', 'b$', 'a.', '[ab]', '^.$', 'B', 'a|b', '^$', '\\d', 'é')
  const operators: fc.Arbitrary<Record<string, unknown>> = fc.oneof(
    { weight: 2, arbitrary: operand.map((value) => ({ $eq: value })) },
    { weight: 2, arbitrary: operand.map((value) => ({ $ne: value })) },
    { weight: 5, arbitrary: fc.tuple(range, operand).map(([name, value]) => ({ [name]: value })) },
    { weight: 2, arbitrary: fc.tuple(operand, operand).map(([low, high]) => ({ $gte: low, $lt: high })) },
    { weight: 2, arbitrary: several.map((values) => ({ $in: values })) },
    { weight: 2, arbitrary: several.map((values) => ({ $nin: values })) },
    { weight: 1, arbitrary: several.map((values) => ({ $all: values })) },
    { weight: 1, arbitrary: fc.boolean().map((value) => ({ $exists: value })) },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: 0, max: 3 })
        .map((value) => ({ $size: Array.isArray(at.value) && value === 3 ? at.value.length : value })),
    },
    {
      weight: 1,
      arbitrary: fc
        .uniqueArray(fc.constantFrom('number', 'string', 'bool', 'date', 'null', 'array', 'object'), {
          minLength: 1,
          maxLength: 2,
        })
        .map((types) => ({ $type: types.length === 1 ? types[0] : types })),
    },
    { weight: 1, arbitrary: head.map((value) => ({ $prefix: value })) },
    { weight: 1, arbitrary: part.map((value) => ({ $contains: value })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(pattern, fc.boolean())
        .map(([value, i]) => (i ? { $regex: value, $options: 'i' } : { $regex: value })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(range, operand, range, operand).map(([x, v, y, w]) => ({ $elemMatch: { [x]: v, [y]: w } })),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(...NAMES), range, operand)
        .map(([name, x, v]) => ({ $elemMatch: { [name]: { [x]: v } } })),
    },
  )
  return fc.oneof(
    { weight: 3, arbitrary: operand },
    { weight: 10, arbitrary: operators },
    { weight: 2, arbitrary: operators.map((inner) => ({ $not: inner })) },
  )
}
