import fc from 'fast-check'
import type { Doc, Order, Value } from '../../src/index.ts'

/** Few names and few values, so that random filters and documents meet. */
const NAME = fc.constantFrom('a', 'b', 'c')

export const scalar: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(
    null,
    true,
    false,
    0,
    1,
    2,
    -1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ),
  fc.constantFrom<Value>(2n ** 53n + 1n, 2 ** 53 - 1, -(2n ** 60n), 1n),
  fc.constantFrom<Value>('', 'a', 'ab', 'B', '\u{10000}', '\uFFFD'),
  fc.constantFrom<Value>(new Date(0), new Date(86_400_000)),
)

export const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(NAME, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value

export const doc: fc.Arbitrary<Doc> = fc
  .tuple(fc.dictionary(NAME, value, { maxKeys: 3, noNullPrototype: true }), fc.integer({ min: 0, max: 99 }))
  .map(([fields, id]) => ({ ...fields, _id: String(id).padStart(2, '0') }))

export const path = fc
  .tuple(NAME, fc.array(fc.constantFrom('a', 'b', 'c', '0', '1'), { maxLength: 2 }))
  .map(([first, rest]) => [first, ...rest])

export const order: fc.Arbitrary<Order> = fc.uniqueArray(fc.record({ path, dir: fc.constantFrom<1 | -1>(1, -1) }), {
  minLength: 1,
  maxLength: 3,
  selector: (key) => key.path.join('.'),
})

const operand: fc.Arbitrary<Value> = fc.oneof(scalar, fc.array(scalar, { maxLength: 2 }))
const operators: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{ operators: Record<string, unknown> }>((tie) => ({
  operators: fc.oneof(
    { maxDepth: 2 },
    fc.record({ $gt: operand }),
    fc.record({ $gte: operand, $lte: operand }),
    fc.record({ $lt: operand }),
    fc.record({ $ne: operand }),
    fc.record({ $eq: operand }),
    fc.record({ $in: fc.array(operand, { maxLength: 3 }) }),
    fc.record({ $nin: fc.array(operand, { maxLength: 3 }) }),
    fc.record({ $all: fc.array(operand, { maxLength: 2 }) }),
    fc.record({ $exists: fc.boolean() }),
    fc.record({ $size: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ $type: fc.constantFrom('number', 'string', 'bool', 'date', 'null', 'array', 'object') }),
    fc.record({ $prefix: fc.constantFrom('', 'a', 'x y') }),
    fc.record({ $contains: fc.constantFrom('b', '"') }),
    fc.record({ $regex: fc.constantFrom('^a', 'b$') }),
    fc.record({ $not: tie('operators') }),
    fc.record({ $elemMatch: tie('operators') }),
  ),
})).operators

/** Filters as users write them. */
export const filter: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{ filter: Record<string, unknown> }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    fc.dictionary(
      path.map((steps) => steps.join('.')),
      fc.oneof(operand, operators),
      { maxKeys: 3, noNullPrototype: true },
    ),
    fc.record({ $or: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ $and: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ $nor: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
  ),
})).filter
