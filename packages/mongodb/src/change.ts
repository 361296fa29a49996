import type { Change, Predicate } from '@tensorhub/core'
import type { Document } from 'mongodb'
import { refuseBsonType, toBson } from './values.ts'

/**
 * A change as MongoDB's update operators. What these do otherwise than core's `applyChange` is excluded by guards (conditions on the document), or cannot be said by them at all.
 */
export interface CompiledChange {
  readonly update: Document
  /**
   * Under these conditions the operators do what `applyChange` does: a number that comes near 2^31 would become an int64, one near 2^53 inexact. Empty where nothing can go wrong, or
   * the filter demands as much itself.
   */
  readonly guards: readonly Document[]
  /** False where the operators would do something else: `$unset` passes by a parent that is no object, fractions turn an int64 into a double. */
  readonly operators: boolean
  /** Documents of which one of these holds cannot take the change, or not by operators: with several, that is asked before the first is changed. */
  readonly obstacles: readonly Document[]
}

/** Sums stay below 2^31 as long as neither side is larger. */
const MOST = 2 ** 30

export function compileChange(change: Change, where: Predicate): CompiledChange {
  const { set = {}, unset = [], inc = {} } = change
  refuseBsonType([...Object.keys(set), ...unset, ...Object.keys(inc)])
  const guards: Document[] = []
  const obstacles = Object.keys(set).flatMap(noObject)
  let operators = unset.every((path) => !path.includes('.'))
  for (const [path, by] of Object.entries(inc)) {
    // Core's own counter, which every document has.
    if (path === '_rev') continue
    obstacles.push(...noObject(path), { [path]: { $type: ['array'] } })
    obstacles.push({ [path]: { $exists: true, $not: { $type: ['number'] } } })
    obstacles.push({ [path]: by > 0 ? { $gt: MOST } : { $lt: -MOST } })
    if (!Number.isInteger(by) || Math.abs(by) > MOST) operators = false
    else if (by > 0 && !bounds(where, path, 'gt')) guards.push({ [path]: { $not: { $gt: MOST } } })
    else if (by < 0 && !bounds(where, path, 'lt')) guards.push({ [path]: { $not: { $lt: -MOST } } })
  }
  const update: Document = {}
  if (Object.keys(set).length > 0)
    update['$set'] = Object.fromEntries(Object.entries(set).map(([path, value]) => [path, toBson(value)]))
  if (unset.length > 0) update['$unset'] = Object.fromEntries(unset.map((path) => [path, '']))
  if (Object.keys(inc).length > 0) update['$inc'] = { ...inc }
  return { update, guards, operators, obstacles }
}

/** The ways a parent of a path can be no object. */
function noObject(path: string): Document[] {
  const steps = path.split('.').slice(0, -1)
  return steps.flatMap((_, i) => {
    const parent = steps.slice(0, i + 1).join('.')
    return [{ [parent]: { $type: ['array'] } }, { [parent]: { $exists: true, $not: { $type: ['object'] } } }]
  })
}

/** Whether the filter itself says that the number is small: equal to one, or not beyond one. */
function bounds(where: Predicate, path: string, beyond: 'gt' | 'lt'): boolean {
  if (where.op === 'and') return where.of.some((part) => bounds(part, path, beyond))
  const small = (value: unknown) => typeof value === 'number' && Math.abs(value) <= MOST
  if (where.op === 'not') return where.of.op === beyond && where.of.path.join('.') === path && small(where.of.value)
  return where.op === 'eq' && where.path.join('.') === path && small(where.value)
}
