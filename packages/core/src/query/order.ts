import type { Order, OrderKey } from '../contracts/predicate.ts'
import { HubError } from '../errors/hub-error.ts'
import { parsePath } from './path.ts'

/** A sort as users write it: `[['time', -1]]` or `{ time: -1 }`; 1 ascending, -1 descending. */
export type SortInput = readonly (readonly [path: string, dir: 1 | -1])[] | Readonly<Record<string, 1 | -1>>

/** Parses a sort. @throws INVALID for another form, another direction, or a path named twice. */
export function parseSort(input: SortInput | undefined): Order {
  if (input === undefined) return []
  const pairs: readonly unknown[] = Array.isArray(input)
    ? input
    : isRecord(input)
      ? Object.entries(input)
      : fail('A sort must be [[path, 1 or -1], …] or { path: 1 or -1 }.', '')
  const order = pairs.map((pair): OrderKey => {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string')
      fail('Each sort key must be [path, 1 or -1].', '')
    const [path, dir] = pair as [string, unknown]
    if (dir !== 1 && dir !== -1) fail(`The direction of '${path}' must be 1 or -1, not ${String(dir)}.`, path)
    return { path: parsePath(path, 'sort'), dir }
  })
  if (order.length > 16) fail('A sort has at most 16 keys.', '')
  const seen = new Set<string>()
  for (const { path } of order) {
    const name = path.join('.')
    if (seen.has(name)) fail(`The sort names '${name}' twice.`, name)
    seen.add(name)
  }
  return order
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function fail(message: string, path: string): never {
  throw new HubError('INVALID', message, { at: { scheme: 'core', op: 'sort' }, path })
}

/** The order with `_id` at its end (ascending) unless it is there: total on every back end, because none promises the order of ties. */
export function withTieBreak(order: Order): Order {
  return order.some((key) => key.path.length === 1 && key.path[0] === '_id')
    ? order
    : [...order, { path: ['_id'], dir: 1 }]
}
