import { eq, type Filter, path } from '../../../src/query/typed-filter.ts'

interface Model {
  readonly _id: string
  readonly model_name: string
  readonly time: Date
  readonly accuracy?: number
  readonly best?: boolean
  readonly tags: readonly string[]
  readonly parent?: { readonly _id: string; readonly epoch?: { readonly n: number } }
  readonly content: {
    readonly format: string
    readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]
  }
}

const check = (filter: Filter<Model>): Filter<Model> => filter

export const accepted: readonly Filter<Model>[] = [
  {},
  check({ model_name: 'mlp', accuracy: { $gte: 0.9, $lt: 1 } }),
  check({ tags: 'best', best: null }),
  check({ tags: ['a', 'b'] }),
  check({ tags: { $all: ['a', 'b'], $size: 2 } }),
  check({ time: { $gt: new Date(0) }, accuracy: { $in: [0.5, null] } }),
  check({ 'content.format': 'value', 'content.tensors.0.name': { $prefix: 'dense' } }),
  check({ $or: [{ model_name: { $regex: '^m', $options: 'i' } }, { accuracy: { $exists: false } }] }),
  check({ accuracy: { $not: { $gt: 0.5 } }, model_name: eq('x') }),
  check({ [path<Model>()('parent', 'epoch', 'n')]: 1 }),
  check({ [path<Model>()('content', 'tensors', 'name')]: 'w' }),
]

// @ts-expect-error a field that does not exist
check({ acuracy: 1 })
// @ts-expect-error a value of another type
check({ accuracy: '0.9' })
// @ts-expect-error an operand of another type
check({ accuracy: { $gt: '0.9' } })
// @ts-expect-error an operator that is refused
check({ $where: 'true' })
// @ts-expect-error an operator on a field that is refused
check({ accuracy: { $mod: [2, 0] } })
// @ts-expect-error a Date is no string
check({ time: '2026-01-01' })
// @ts-expect-error an unknown field within $or
check({ $or: [{ acuracy: 1 }] })
// @ts-expect-error an object operand
check({ content: { format: 'value' } })
// @ts-expect-error an element of another type
check({ tags: 5 })
// @ts-expect-error undefined is no value
check({ accuracy: undefined })
// @ts-expect-error an operator inside a dotted path's condition that is refused
check({ 'content.format': { $where: 'x' } })
// @ts-expect-error a step that does not exist
path<Model>()('content', 'formt')
// @ts-expect-error a number has no fields
path<Model>()('accuracy', 'toFixed')
// @ts-expect-error a string has no fields
path<Model>()('model_name', 'length')
// @ts-expect-error nor has an element that is a string
path<Model>()('tags', 'length')
