import { type Operand, type Predicate, rankOf, type Value } from '@tensorhub/core'
import { type SqlValue, sqlValue } from './filter.ts'

/**
 * A text that is the same for filters that differ only in their values, with the values pushed to `params` in the order of the compiled filter; so
 * that a query that comes again is not compiled again. Undefined for filters that are more than comparisons with scalars joined by "and".
 */
export function filterShape(where: Predicate, params: SqlValue[]): string | undefined {
  switch (where.op) {
    case 'everything':
      return '*'
    case 'and': {
      let shape = '('
      for (const part of where.of) {
        const inner = filterShape(part, params)
        if (inner === undefined) return undefined
        shape += inner
      }
      return `${shape})`
    }
    case 'eq':
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte': {
      const { value } = where
      if (!isScalar(value)) return undefined
      params.push(sqlValue(value))
      return `${where.op}${rankOf(value as Value)}${where.path.join('.')}\u0000`
    }
    default:
      return undefined
  }
}

/** Null, NaN and arrays compile to something else than one comparison. */
function isScalar(value: Operand): boolean {
  return value !== null && !Array.isArray(value) && !Number.isNaN(value)
}
