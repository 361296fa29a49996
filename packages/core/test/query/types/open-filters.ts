import type { Doc, Value } from '../../../src/contracts/value.ts'
import { eq, type OpenFilter } from '../../../src/query/typed-filter.ts'

type Status = 'pending' | 'finished'
type Task = Doc & {
  readonly task_name: string
  readonly time: Date
  readonly status: Status
  readonly lease_until: Date | null
  readonly keys: readonly string[]
  readonly progress: Value
  readonly content: { readonly format: string }
}

const check = (filter: OpenFilter<Task>): OpenFilter<Task> => filter
declare const word: string
declare const wide: OpenFilter<Doc>

export const accepted: readonly OpenFilter<Task>[] = [
  {},
  check({ accuracy: { $gte: 0.9, $lt: 1 }, optimizer: 'adam', best: true, note: null }),
  check({ task_name: word, status: 'pending', time: { $gt: new Date(0) } }),
  check({ status: { $in: ['pending', 'finished'] }, lease_until: null }),
  check({ lease_until: { $lt: new Date(0) }, keys: 'loss' }),
  check({ keys: { $all: ['a', 'b'], $size: 2 }, content: { $exists: true } }),
  check({ 'content.format': 'value', 'parents.0': { $prefix: 'a' } }),
  check({ $or: [{ accuracy: { $not: { $gt: 0.5 } } }, { $and: [{ a: 1 }], $nor: [{ status: 'pending' }] }] }),
  check({ shape: [28, 28], tags: { $in: ['a', ['b']] }, run: { $regex: '^m', $options: 'i' } }),
  check({ params: { $elemMatch: { k: 'lr', v: { $lt: 0.1 } } }, losses: { $elemMatch: { $gt: 0, $lt: 1 } } }),
  check({ version: eq(word), epoch: 5n, kind: { $type: ['string', 'null'] } }),
  check({ progress: 3, 'progress.epoch': { $gte: 2 } }),
  check({ [word]: { $gte: 1 } }),
  check(wide),
]

// @ts-expect-error an operator that does not exist
check({ accuracy: { $greater: 0.5 } })
// @ts-expect-error nor beside one that does
check({ accuracy: { $gte: 0.5, $greater: 0.5 } })
// @ts-expect-error nor under $not
check({ accuracy: { $not: { $greater: 0.5 } } })
// @ts-expect-error nor within $or
check({ $or: [{ accuracy: { $greater: 0.5 } }] })
// @ts-expect-error nor within $nor of $and
check({ $and: [{ $nor: [{ accuracy: { $greater: 0.5 } }] }] })
// @ts-expect-error nor on a field of an element
check({ params: { $elemMatch: { v: { $greater: 1 } } } })
// @ts-expect-error nor on a dotted path
check({ 'content.format': { $where: 'x' } })
// @ts-expect-error nor on a declared field
check({ time: { $greater: new Date(0) } })
// @ts-expect-error an operator in the place of a field
check({ $where: 'true' })
// @ts-expect-error an operator that lost its field
check({ $gte: 0.5 })
// @ts-expect-error $and takes a list
check({ $and: { a: 1 } })
// @ts-expect-error an object is no operand
check({ params: { rate: 0.1 } })
// @ts-expect-error a field's value of another type
check({ task_name: 5 })
// @ts-expect-error a Date is no string
check({ time: { $gt: '2026-01-01' } })
// @ts-expect-error a status that does not exist
check({ status: 'pendng' })
// @ts-expect-error a function is no operand
check({ accuracy: () => true })
