import {
  type Call,
  type Change,
  type Doc,
  HubError,
  type IndexEvent,
  type Order,
  type OrderKey,
  type Predicate,
  parseSort,
  type SortInput,
  type Value,
} from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import { type Collection, checkTagName, checkTags } from '../documents/collections.ts'
import type { HubRecord } from '../documents/record.ts'
import { findTop } from '../documents/top-query.ts'
import { callOf, checkOptions, type FilterInput, type FindOptions, type ParsedFilter, parseInput } from './arguments.ts'
import { RecordCursor } from './record-cursor.ts'

export interface SortOptions extends Call {
  /** `[['accuracy', -1]]` or `{ accuracy: -1 }`. Documents without the first key (or with null or NaN there) come last either way. Default: newest. */
  readonly sort?: SortInput
}

/** A correction of tags: reserved fields are refused. */
export interface TagChange {
  readonly set?: Readonly<Record<string, Value>>
  readonly unset?: readonly string[]
}

const OLDEST_FIRST: Order = [
  { path: ['time'], dir: 1 },
  { path: ['_id'], dir: 1 },
]
const NEWEST_FIRST: Order = [
  { path: ['time'], dir: -1 },
  { path: ['_id'], dir: -1 },
]

/** What datasets, models, logs and tasks share. Every operation is confined to the hub's project. */
export class Namespace<R extends HubRecord> {
  readonly collection: Collection
  protected readonly context: HubContext

  constructor(context: HubContext, collection: Collection) {
    this.context = context
    this.collection = collection
  }

  /** The matching records, oldest first unless sorted; streamed, content never loaded. */
  find(filter?: FilterInput, options?: FindOptions): RecordCursor<R> {
    const op = this.op('find')
    checkOptions(options, ['sort', 'limit', 'after', 'fields', 'signal'], op)
    const parsed = this.parse(filter, op)
    const limit = options?.limit ?? parsed.limit
    if (limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
      throw new HubError('INVALID', `limit must be a whole number from 0, not ${String(limit)}.`, {
        at: this.place(op),
        path: 'limit',
      })
    }
    const after = options?.after ?? parsed.after
    return new RecordCursor<R>(
      this.context.index,
      this.collection,
      this.confine(parsed.where),
      this.order(options?.sort, parsed, OLDEST_FIRST),
      {
        ...callOf(options),
        ...(limit === undefined ? {} : { limit }),
        ...(after === undefined ? {} : { after }),
        ...(options?.fields === undefined ? {} : { fields: options.fields.map((field) => field.split('.')) }),
      },
      () => this.context.assertOpen(op),
    )
  }

  /** The first matching record, the newest unless sorted; undefined when none matches. */
  async top(filter?: FilterInput, options?: SortOptions): Promise<R | undefined> {
    const op = this.op('top')
    this.context.assertOpen(op)
    checkOptions(options, ['sort', 'signal'], op)
    const parsed = this.parse(filter, op)
    const order = this.order(options?.sort, parsed, NEWEST_FIRST)
    return (await findTop(this.context.index, this.collection, this.confine(parsed.where), order, callOf(options))) as
      | Doc
      | undefined as R | undefined
  }

  /** How many records match. */
  async count(filter?: FilterInput, options?: Call): Promise<number> {
    const op = this.op('count')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    return this.context.index.count(this.collection, this.confine(this.parse(filter, op).where), callOf(options))
  }

  /**
   * Corrects tags of every matching record. `{}` means all of this kind in the project.
   *
   * @throws INVALID for a reserved field.
   */
  async update(filter: FilterInput, change: TagChange, options?: Call): Promise<{ documents: number }> {
    const op = this.op('update')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    checkOptions(change, ['set', 'unset'], `the change of ${op}`)
    for (const path of [...Object.keys(change.set ?? {}), ...(change.unset ?? [])])
      checkTagName(this.collection, path, op)
    if (change.set && Object.hasOwn(change.set, 'tags')) checkTags(this.collection, { tags: change.set['tags'] }, op)
    const plain: Change = {
      ...(change.set ? { set: change.set } : {}),
      ...(change.unset ? { unset: change.unset } : {}),
    }
    const where = this.confine(this.parse(filter, op).where)
    return { documents: await this.context.index.update(this.collection, where, plain, callOf(options)) }
  }

  /** Events of matching records from now on, until the signal aborts or the loop is left. */
  watch(filter?: FilterInput, options?: Call): AsyncIterable<IndexEvent> {
    const op = this.op('watch')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    return this.context.index.watch(this.collection, this.confine(this.parse(filter, op).where), callOf(options))
  }

  /**
   * Makes an index for queries by these tags (`index('accuracy')`) together with the project, so that equality, ranges and sorts on them
   * do not scan. Repeating it is harmless. The embedded store makes one by itself at a tag's third query over more than 1,000 documents.
   */
  async index(...fields: readonly string[]): Promise<void> {
    const op = this.op('index')
    this.context.assertOpen(op)
    if (fields.length === 0) throw new HubError('INVALID', `${op} needs at least one field.`, { at: this.place(op) })
    await this.context.index.ensureIndex(this.collection, [
      { path: ['project_name'], dir: 1 },
      ...fields.map((field) => ({ path: field.split('.'), dir: 1 as const })),
    ])
  }

  /** Only this project, whatever the filter says. */
  protected confine(where: Predicate): Predicate {
    const own: Predicate = { op: 'eq', path: ['project_name'], value: this.context.projectName }
    return where.op === 'everything' ? own : { op: 'and', of: [own, where] }
  }

  protected parse(filter: FilterInput | undefined, op: string): ParsedFilter {
    return parseInput(this.collection, filter, op)
  }

  protected order(given: SortInput | undefined, parsed: ParsedFilter, fallback: Order): Order {
    const order = given === undefined ? parsed.sort : parseSort(given)
    if (order.length === 0) return fallback
    // Ties follow the last key's direction, so that one index serves the whole order, forwards or backwards.
    const { dir } = order.at(-1) as OrderKey
    return order.some((key) => key.path.length === 1 && key.path[0] === '_id')
      ? order
      : [...order, { path: ['_id'], dir }]
  }

  /** The fields every new document has. `time` is the store's, and never runs backwards within a process. */
  protected base(): { _id: string; project_name: string; time: Date } & Record<string, Value> {
    const { _id, time } = this.context.stamp()
    const task = this.context.task
    return {
      _id,
      project_name: this.context.projectName,
      time,
      ...(task ? { task: { id: task.id, epoch: task.epoch } } : {}),
    }
  }

  protected op(name: string): string {
    return `${this.collection}.${name}`
  }

  protected place(op: string): { scheme: string; op: string; target: string } {
    return { scheme: 'hub', op, target: this.collection }
  }

  /** @throws INVALID when the name is no non-empty string. */
  protected checkName(name: unknown, what: string, op: string): string {
    if (typeof name !== 'string' || name === '') {
      throw new HubError('INVALID', `${op} needs ${what}: a non-empty string.`, { at: this.place(op), path: what })
    }
    return name
  }
}
