import type { Filter } from '../../../src/query/typed-filter.ts'

/** What the compiler does before any filter is written: the difference to filters.ts is what filters cost. */
export type Untouched = Filter<never>
