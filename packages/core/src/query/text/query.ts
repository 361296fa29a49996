import type { OpenFilter } from '../typed-filter.ts'

/** A query as a small serialisable value: a filter, and perhaps sort, limit and cursor. Whoever runs it checks it: reading a text does not. */
export interface Query {
  readonly filter: OpenFilter<unknown>
  readonly sort?: readonly (readonly [path: string, dir: 1 | -1])[]
  readonly limit?: number
  readonly after?: string
}

export interface ParseOptions {
  /** The collection; a bare word is then a prefix of its name field (`models`: `model_name`). */
  readonly kind?: string
  /** What relative dates (`-2d`) are counted from. Default: the clock of this process. */
  readonly now?: Date
  /** Declared types of fields whose literals are not numbers, beside name, version, tags and time. */
  readonly types?: Readonly<Record<string, 'string' | 'date'>>
}

/** The field a bare word names in each collection. */
export const NAME_FIELDS: Readonly<Record<string, string>> = {
  datasets: 'dataset_name',
  models: 'model_name',
  tasks: 'task_name',
  logs: 'kind',
}

/** Fields that take a literal's text as it is: `version:1.0` stays "1.0". */
export const STRING_FIELDS: ReadonlySet<string> = new Set([
  'name',
  'version',
  'tags',
  'dataset_name',
  'model_name',
  'task_name',
  'kind',
  'project_name',
  '_id',
  'status',
])
export const DATE_FIELDS: ReadonlySet<string> = new Set(['time'])
