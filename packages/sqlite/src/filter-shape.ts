import { type Operand, type Predicate, rankOf, type Value } from '@tensorhub/core'
import { type SqlValue, sqlValue } from './filter.ts'

/**
 * A text that is the same for filters that differ only in their values, with the values pushed to `params` in the order of the compiled filter; so
 * that a query that comes again is not compiled again. Undefined for filters that are more than comparisons with scalars, negated or joined by "and".
 *
 * @param isScalar Whether a comparison of the field compiles to one comparison with one value, and so to one parameter.
 */
export function filterShape(
  where: Predicate,
  params: SqlValue[],
  isScalar: (path: string) => boolean,
): string | undefined {
  switch (where.op) {
    case 'everything':
      return '*'
    case 'and': {
      let shape = '('
      for (const part of where.of) {
        const inner = filterShape(part, params, isScalar)
        if (inner === undefined) return undefined
        shape += inner
      }
      return `${shape})`
    }
    case 'not': {
      const inner = filterShape(where.of, params, isScalar)
      return inner === undefined ? undefined : `!(${inner})`
    }
    case 'in': {
      const path = where.path.join('.')
      if (!isScalar(path) || !where.values.every((value) => typeof value === 'string')) return undefined
      params.push(...(where.values as readonly string[]))
      return `in${where.values.length}${path}\u0000`
    }
    case 'eq':
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte': {
      const { value } = where
      const path = where.path.join('.')
      if (!isOneValue(value) || !isScalar(path)) return undefined
      params.push(sqlValue(value))
      return `${where.op}${rankOf(value as Value)}${path}\u0000`
    }
    default:
      return undefined
  }
}

/** Null, NaN and arrays compile to something else than one comparison. */
function isOneValue(value: Operand): boolean {
  return value !== null && !Array.isArray(value) && !Number.isNaN(value)
}
