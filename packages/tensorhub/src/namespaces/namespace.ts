import {
  type Call,
  type Change,
  type Doc,
  decodeCursor,
  HubError,
  type IndexEvent,
  type Order,
  type OrderKey,
  type Predicate,
  parsePath,
  parseSort,
  type SortInput,
  type Value,
} from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import { byAge, isByAge } from '../documents/age-order.ts'
import { type Collection, checkTagName, checkTags } from '../documents/collections.ts'
import type { HubRecord } from '../documents/record.ts'
import { findTop } from '../documents/top-query.ts'
import {
  callOf,
  checkOptions,
  type FilterInput,
  type FindOptions,
  type ParsedFilter,
  parseInput,
  type Reading,
  type UncheckedFilter,
} from './arguments.ts'
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

/** What datasets, models, logs and tasks share. Every operation is confined to the hub's project. */
export class Namespace<R extends HubRecord> {
  readonly collection: Collection
  // Private to the engine, not only to the compiler: a logged namespace must not show the URLs in it.
  readonly #context: HubContext

  constructor(context: HubContext, collection: Collection) {
    this.#context = context
    this.collection = collection
  }

  protected get context(): HubContext {
    return this.#context
  }

  /** The matching records, oldest first unless sorted; streamed, content never loaded. @throws INVALID for a filter or option that is wrong. */
  find(filter?: FilterInput<R>, options?: FindOptions): RecordCursor<R> {
    const op = this.op('find')
    checkOptions(options, ['sort', 'limit', 'after', 'fields', 'signal'], op)
    const parsed = this.parse(filter, op, ['sort', 'limit', 'after'])
    const limit = options?.limit ?? parsed.limit
    if (limit !== undefined && (!Number.isInteger(limit) || limit < 0))
      throw this.invalid(
        op,
        `limit must be a whole number from 0, not ${typeof limit === 'number' ? limit : `a ${typeof limit}`}.`,
        'limit',
      )
    const after = options?.after ?? parsed.after
    if (after !== undefined && typeof after !== 'string')
      throw this.invalid(op, "after must be a cursor: the text that a find's 'cursor' gave.", 'after')
    const order = this.order(options?.sort, parsed, 1)
    if (after !== undefined) decodeCursor(order, after)
    const fields: unknown = options?.fields
    if (fields !== undefined && !(Array.isArray(fields) && fields.every((field) => typeof field === 'string')))
      throw this.invalid(op, 'fields must be an array of field names.', 'fields')
    return new RecordCursor<R>(
      this.context.index,
      this.context.streams,
      {
        op,
        collection: this.collection,
        where: this.confine(parsed.where),
        order,
        ...callOf(options),
        ...(limit === undefined ? {} : { limit }),
        ...(after === undefined ? {} : { after }),
        ...(options?.fields === undefined ? {} : { fields: options.fields.map((field) => parsePath(field, 'fields')) }),
      },
      () => this.context.assertOpen(op),
    )
  }

  /**
   * The first matching record, the newest unless sorted; undefined when none matches. Records without the first sort key, or with null or NaN
   * there, come last in either direction.
   */
  async top(filter?: FilterInput<R>, options?: SortOptions): Promise<R | undefined> {
    const op = this.op('top')
    this.context.assertOpen(op)
    checkOptions(options, ['sort', 'signal'], op)
    const parsed = this.parse(filter, op, ['sort', 'limit'])
    // The first of the first n is the first.
    if (parsed.limit === 0) return undefined
    const order = this.order(options?.sort, parsed, -1)
    const found = await findTop(this.context.index, this.collection, this.confine(parsed.where), order, callOf(options))
    return found as Doc | undefined as R | undefined
  }

  /** How many records match. */
  async count(filter?: FilterInput<R>, options?: Call): Promise<number> {
    const op = this.op('count')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    return this.context.index.count(this.collection, this.confine(this.parse(filter, op).where), callOf(options))
  }

  /**
   * Corrects tags of every matching record, each atomically. Keys are dotted paths through objects; missing parents are made.
   *
   * @throws INVALID for a reserved field, a change that does not fit, or an empty filter (`{ _id: { $exists: true } }` says "all of the project").
   */
  async update(filter: FilterInput<R>, change: TagChange, options?: Call): Promise<{ documents: number }> {
    const op = this.op('update')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const plain = this.#tagChange(change, op)
    const where = this.confine(this.parseMutation(filter, op))
    return { documents: await this.context.index.update(this.collection, where, plain, callOf(options)) }
  }

  #tagChange(change: TagChange, op: string): Change {
    if (typeof change !== 'object' || change === null || Array.isArray(change))
      throw this.invalid(op, `${op} needs a change: { set: { accuracy: 0.9 }, unset: ['note'] }.`, 'change')
    for (const part of Object.keys(change))
      if (part !== 'set' && part !== 'unset')
        throw this.invalid(op, `The change of ${op} has no part '${part}'; it knows set and unset.`, part)
    const { set, unset } = change
    if (unset !== undefined && !Array.isArray(unset))
      throw this.invalid(op, 'unset must be an array of field names.', 'unset')
    for (const path of [...Object.keys(set ?? {}), ...(unset ?? [])]) {
      checkTagName(this.collection, String(path), op)
      if (String(path).startsWith('tags.'))
        throw this.invalid(op, `'tags' is one list of strings; set it whole.`, String(path))
    }
    if (set !== undefined && Object.hasOwn(set, 'tags')) checkTags(this.collection, { tags: set['tags'] }, op)
    if (Object.keys(set ?? {}).length === 0 && (unset ?? []).length === 0)
      throw this.invalid(op, `The change of ${op} is empty; give set or unset.`, 'change')
    return { ...(set ? { set } : {}), ...(unset ? { unset } : {}) }
  }

  /**
   * Events of matching records from now on. Changes that follow each other quickly may be one event. The loop ends by `break`, with ABORTED when
   * the signal aborts, with CLOSED when the hub closes; a loop that waits keeps the process alive.
   */
  watch(filter?: FilterInput<R>, options?: Call): AsyncIterable<IndexEvent> {
    const op = this.op('watch')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const where = this.confine(this.parse(filter, op).where)
    return this.context.streams.await(op, options?.signal, (signal) =>
      this.context.index.watch(this.collection, where, { signal }),
    )
  }

  /**
   * Makes an index for queries by these tags (`index('accuracy')`) together with the project, so that equality, ranges and sorts on them
   * do not scan. Repeating it is harmless. The embedded store makes one by itself at a tag's third query over more than 1,000 documents.
   */
  async index(...fields: readonly string[]): Promise<void> {
    const op = this.op('index')
    this.context.assertOpen(op)
    if (fields.length === 0) throw this.invalid(op, `${op} needs at least one field.`, 'fields')
    await this.context.index.ensureIndex(this.collection, [
      { path: ['project_name'], dir: 1 },
      ...fields.map((field) => ({ path: parsePath(field, 'index'), dir: 1 as const })),
      // In the direction that order() gives ties.
      { path: ['_id'], dir: 1 },
    ])
  }

  /** Only this project, whatever the filter says. */
  protected confine(where: Predicate): Predicate {
    const own: Predicate = { op: 'eq', path: ['project_name'], value: this.context.projectName }
    return where.op === 'everything' ? own : { op: 'and', of: [own, where] }
  }

  protected parse(
    filter: UncheckedFilter | undefined,
    op: string,
    directives: Reading['directives'] = [],
  ): ParsedFilter {
    const { clock, projectName } = this.context
    const now = () => (clock.age === Number.POSITIVE_INFINITY ? undefined : clock.now())
    return parseInput(filter, { collection: this.collection, projectName, op, now, directives })
  }

  /** A filter of a change or delete: one that says nothing is more likely a mistake than a wish, so it is refused (design §3). */
  protected parseMutation(filter: UncheckedFilter | undefined, op: string): Predicate {
    const { where } = this.parse(filter, op)
    if (where.op === 'everything')
      throw new HubError(
        'INVALID',
        `${op} was given no filter; for all ${this.collection} of the project say so: { _id: { $exists: true } }.`,
        { at: this.place(op), path: 'filter', reason: 'EMPTY_FILTER' },
      )
    return where
  }

  /** The order of a query: the given one, or by age. */
  protected order(given: SortInput | undefined, parsed: ParsedFilter, age: 1 | -1): Order {
    const order = given === undefined ? parsed.sort : parseSort(given)
    if (order.length === 0) return byAge(this.collection, parsed.where, age)
    // Ties follow the last key's direction, so that one index serves the whole order, forwards or backwards.
    const { dir } = order.at(-1) as OrderKey
    if (isByAge(order)) return byAge(this.collection, parsed.where, dir)
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
      throw this.invalid(op, `${op} needs ${what}: a non-empty string.`, 'name')
    }
    return name
  }

  protected invalid(op: string, message: string, path: string): HubError {
    return new HubError('INVALID', message, { at: this.place(op), path })
  }
}
