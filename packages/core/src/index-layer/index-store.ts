import type { Call } from '../contracts/driver.ts'
import type { IndexCan, IndexDriver, IndexEvent } from '../contracts/index-driver.ts'
import type { Change, Order, Predicate } from '../contracts/predicate.ts'
import type { Doc, Path } from '../contracts/value.ts'
import { type ErrorPlace, HubError } from '../errors/hub-error.ts'
import { Lifecycle } from '../lifecycle/lifecycle.ts'
import { applyChange, checkChange } from '../query/change.ts'
import { decodeCursor, isAfter, type PagePosition, seekPredicate } from '../query/cursor.ts'
import { checkDoc } from '../query/document-check.ts'
import { matches } from '../query/matches.ts'
import { withTieBreak } from '../query/order.ts'
import { project } from '../query/project.ts'
import { sortDocs } from './bounded-sort.ts'
import { pollChanges } from './poll-changes.ts'

export interface IndexFindOptions extends Call {
  readonly order?: Order
  readonly limit?: number
  readonly fields?: readonly Path[]
  /** The cursor of the last document of the former page, made with the same order. */
  readonly after?: string
}

/** How often core re-reads candidates that changed meanwhile before it gives up with CONFLICT. */
const REPEATS = 100

/**
 * The index layer's public class, over any {@link IndexDriver}: lazy open, checks before any I/O, total order, cursors, post-filtering of what a
 * driver decides only roughly, `_rev` on every document, and errors with their place.
 */
export class IndexStore implements AsyncDisposable {
  readonly driver: IndexDriver
  readonly #life: Lifecycle<IndexCan, IndexDriver>

  constructor(driver: IndexDriver) {
    this.driver = driver
    this.#life = new Lifecycle<IndexCan, IndexDriver>(driver)
  }

  get scheme(): string {
    return this.driver.scheme
  }

  /** Opens the driver now rather than at the first call. */
  async open(call: Call = {}): Promise<void> {
    await this.can(call)
  }

  /** The effective capabilities. */
  can(call: Call = {}): Promise<Readonly<IndexCan>> {
    return this.#life.ready(this.#at('open'), call.signal)
  }

  close(): Promise<void> {
    return this.#life.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Makes an index serving equality and order on these keys; harmless when repeated. */
  async ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean } = {}): Promise<void> {
    const at = this.#at('ensureIndex', coll)
    checkCollection(coll, at)
    checkOptions(o, ['signal', 'unique'], at)
    if (keys.length === 0) throw new HubError('INVALID', 'An index needs at least one key.', { at })
    await this.#life.run(at, o.signal, async (can) => {
      if (o.unique === true && !can.uniqueKeys) throw unsupported('unique indexes', at)
      await this.driver.ensureIndex(coll, keys, o)
    })
  }

  /** Stores new documents with `_rev: 0`, whatever `_rev` they carry. One that exists: EXISTS. See `IndexDriver.insert` on several. */
  async insert(coll: string, docs: readonly Doc[], o: Call = {}): Promise<void> {
    const at = this.#at('insert', coll)
    checkCollection(coll, at)
    const checked = docs.map((doc) => {
      const copy: { -readonly [K in keyof Doc]: Doc[K] } = checkDoc(doc)
      copy._rev = 0
      return copy
    })
    const twice = checked.length > 1 && new Set(checked.map((doc) => doc._id)).size !== checked.length
    if (twice) throw new HubError('INVALID', 'Two documents of one insert have the same _id.', { at, path: '_id' })
    if (checked.length === 0) return
    await this.#life.run(at, o.signal, () => this.driver.insert(coll, checked, o))
  }

  /** The matching documents in a total order: the given one, then `_id`. */
  find(coll: string, where: Predicate, o: IndexFindOptions = {}): AsyncGenerator<Doc, void, undefined> {
    const at = this.#at('find', coll)
    checkCollection(coll, at)
    checkOptions(o, ['signal', 'order', 'limit', 'fields', 'after'], at)
    const order = withTieBreak(o.order ?? [])
    if (o.limit !== undefined && (!Number.isSafeInteger(o.limit) || o.limit < 0))
      throw new HubError('INVALID', 'limit must be a whole number from 0.', { at, path: 'limit' })
    const position = o.after === undefined ? undefined : decodeCursor(order, o.after)
    return this.#life.stream(at, o.signal, () => this.#find(coll, where, order, position, o))
  }

  async *#find(
    coll: string,
    where: Predicate,
    order: Order,
    position: PagePosition | undefined,
    o: IndexFindOptions,
  ): AsyncGenerator<Doc, void, undefined> {
    if (o.limit === 0) return
    const call: Call = o.signal ? { signal: o.signal } : {}
    const wanted: Predicate =
      position === undefined ? where : { op: 'and', of: [where, seekPredicate(order, position)] }
    const exact = this.driver.exact?.(coll, wanted, order) ?? { where: true, order: true }
    if (position === undefined && exact.where && exact.order) {
      const { limit, fields } = o
      yield* this.driver.find(coll, wanted, {
        ...call,
        order,
        ...(limit === undefined ? {} : { limit }),
        ...(fields ? { fields } : {}),
      })
      return
    }
    const candidates = this.driver.find(coll, wanted, { ...call, order: exact.order ? order : [] })
    const kept = keep(
      candidates,
      (doc) => (exact.where || matches(where, doc)) && (position === undefined || isAfter(order, position, doc)),
    )
    const sorted = exact.order ? kept : sortDocs(kept, order, o.limit)
    let left = o.limit ?? Number.POSITIVE_INFINITY
    for await (const doc of sorted) {
      yield o.fields ? project(doc, o.fields) : doc
      if (--left === 0) return
    }
  }

  /** The first matching document, or undefined. */
  async top(coll: string, where: Predicate, o: Omit<IndexFindOptions, 'limit'> = {}): Promise<Doc | undefined> {
    const at = this.#at('find', coll)
    checkCollection(coll, at)
    checkOptions(o, ['signal', 'order', 'fields', 'after'], at)
    const order = withTieBreak(o.order ?? [])
    const position = o.after === undefined ? undefined : decodeCursor(order, o.after)
    // One call rather than a stream, and the driver's own where it is exact: the shortest way to the commonest read.
    return this.#life.run(at, o.signal, () =>
      first(
        position === undefined && this.#ordersExactly(coll, where, order)
          ? this.driver.find(coll, where, { ...o, order, limit: 1 })
          : this.#find(coll, where, order, position, { ...o, limit: 1 }),
      ),
    )
  }

  async count(coll: string, where: Predicate, o: Call = {}): Promise<number> {
    const at = this.#at('count', coll)
    checkCollection(coll, at)
    return this.#life.run(at, o.signal, async () => {
      if (this.#exact(coll, where)) return this.driver.count(coll, where, o)
      let n = 0
      for await (const doc of this.driver.find(coll, where, { ...o, order: [] })) if (matches(where, doc)) n++
      return n
    })
  }

  /** Changes every matching document and raises its `_rev`; gives how many. No filter must be said: `{ op: 'everything' }`. */
  async update(coll: string, where: Predicate, change: Change, o: Call = {}): Promise<number> {
    const at = this.#at('update', coll)
    checkCollection(coll, at)
    const checked = withRevision(change, at)
    return this.#life.run(at, o.signal, () => {
      if (this.#exact(coll, where)) return this.driver.update(coll, where, checked, o)
      // Tried on all before the first is changed, so that an impossible change changes nothing.
      const possible = (doc: Doc) => void applyChange(doc, checked)
      return this.#eachCandidate(coll, where, at, o, (one) => this.driver.update(coll, one, checked, o), possible)
    })
  }

  /** Deletes every matching document; gives how many. */
  async delete(coll: string, where: Predicate, o: Call = {}): Promise<number> {
    const at = this.#at('delete', coll)
    checkCollection(coll, at)
    return this.#life.run(at, o.signal, () => {
      if (this.#exact(coll, where)) return this.driver.delete(coll, where, o)
      return this.#eachCandidate(coll, where, at, o, (one) => this.driver.delete(coll, one, o))
    })
  }

  /** Atomic: changes the first match in order and gives it as changed; null when none matches. */
  async takeOne(coll: string, where: Predicate, change: Change, o: Call & { order?: Order } = {}): Promise<Doc | null> {
    const at = this.#at('takeOne', coll)
    checkCollection(coll, at)
    checkOptions(o, ['signal', 'order'], at)
    const checked = withRevision(change, at)
    const order = withTieBreak(o.order ?? [])
    const call: Call = o.signal ? { signal: o.signal } : {}
    return this.#life.run(at, o.signal, async () => {
      const exact = this.driver.exact?.(coll, where, order) ?? { where: true, order: true }
      if (exact.where && exact.order) return this.driver.takeOne(coll, where, checked, { ...call, order })
      for (let tries = 0; tries < REPEATS; tries++) {
        let candidate: Doc | undefined
        for await (const doc of this.#find(coll, where, order, undefined, { ...call, limit: 1 })) candidate = doc
        if (candidate === undefined) return null
        const taken = await this.driver.takeOne(coll, sameRevision(candidate), checked, {
          ...call,
          order: withTieBreak([]),
        })
        if (taken !== null) return taken
      }
      throw contended(at)
    })
  }

  /** Events of matching documents from now on, until the signal aborts or the loop is left. By polling where the driver cannot watch. */
  watch(coll: string, where: Predicate, o: Call = {}): AsyncGenerator<IndexEvent, void, undefined> {
    const at = this.#at('watch', coll)
    checkCollection(coll, at)
    return this.#life.stream(
      at,
      o.signal,
      (can, signal) => {
        const call: Call = signal ? { signal } : {}
        const native = can.watch && this.#exact(coll, where) ? this.driver.watch?.(coll, where, call) : undefined
        return (
          native ??
          pollChanges((fields) => this.#find(coll, where, withTieBreak([]), undefined, { ...call, fields }), signal)
        )
      },
      true,
    )
  }

  /** The store's clock. */
  now(o: Call = {}): Promise<Date> {
    return this.#life.run(this.#at('now'), o.signal, () => this.driver.now(o))
  }

  #ordersExactly(coll: string, where: Predicate, order: Order): boolean {
    const exact = this.driver.exact?.(coll, where, order)
    return exact === undefined || (exact.where && exact.order)
  }

  #exact(coll: string, where: Predicate): boolean {
    return this.driver.exact?.(coll, where, []).where ?? true
  }

  /** Changes what really matches among a driver's candidates, one by one by `_id` and `_rev`, again for those that changed meanwhile. */
  async #eachCandidate(
    coll: string,
    where: Predicate,
    at: ErrorPlace,
    o: Call,
    apply: (one: Predicate) => Promise<number>,
    check?: (doc: Doc) => void,
  ): Promise<number> {
    let done = 0
    let pending: Predicate = where
    for (let round = 0; round < REPEATS; round++) {
      const candidates: { readonly id: string; readonly one: Predicate }[] = []
      for await (const doc of this.driver.find(coll, pending, { ...o, order: [] }))
        if (matches(where, doc)) {
          check?.(doc)
          candidates.push({ id: doc._id, one: sameRevision(doc) })
        }
      const missed: string[] = []
      for (const { id, one } of candidates) {
        if ((await apply(one)) === 1) done++
        else missed.push(id)
      }
      if (missed.length === 0) return done
      pending = { op: 'in', path: ['_id'], values: missed }
    }
    throw contended(at)
  }

  #at(op: string, target?: string): ErrorPlace {
    const { scheme } = this.driver
    return target === undefined ? { scheme, op } : { scheme, op, target }
  }
}

/** The public class over a driver. */
export function openIndex(driver: IndexDriver): IndexStore {
  return new IndexStore(driver)
}

async function first(docs: AsyncIterable<Doc>): Promise<Doc | undefined> {
  for await (const doc of docs) return doc
  return undefined
}

async function* keep(docs: AsyncIterable<Doc>, holds: (doc: Doc) => boolean): AsyncGenerator<Doc, void, undefined> {
  for await (const doc of docs) if (holds(doc)) yield doc
}

function sameRevision(doc: Doc): Predicate {
  const rev = doc['_rev']
  return {
    op: 'and',
    of: [
      { op: 'eq', path: ['_id'], value: doc._id },
      { op: 'eq', path: ['_rev'], value: typeof rev === 'number' ? rev : null },
    ],
  }
}

function withRevision(change: Change, at: ErrorPlace): Change {
  const checked = checkChange(change)
  const paths = [...Object.keys(checked.set ?? {}), ...(checked.unset ?? []), ...Object.keys(checked.inc ?? {})]
  const own = paths.find((path) => path === '_rev' || path.startsWith('_rev.'))
  if (own !== undefined)
    throw new HubError('INVALID', '_rev belongs to the store and cannot be changed.', { at, path: own })
  return { ...checked, inc: { ...checked.inc, _rev: 1 } }
}

/** No option is ignored in silence. */
function checkOptions(o: object, names: readonly string[], at: ErrorPlace): void {
  for (const name of Object.keys(o)) {
    if (names.includes(name)) continue
    const hint = name === 'skip' ? ' There is no skip: pages are cursors (after).' : ''
    throw new HubError('INVALID', `${at.op} has no option '${name}'; it knows ${names.join(', ')}.${hint}`, {
      at,
      path: name,
    })
  }
}

/** Collection names: a letter or underscore, then letters, digits and underscores; at most 60. */
function checkCollection(coll: string, at: ErrorPlace): void {
  if (typeof coll !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,59}$/.test(coll)) {
    throw new HubError(
      'INVALID',
      `'${String(coll)}' is no collection name: letters, digits and underscores, at most 60.`,
      { at },
    )
  }
}

function unsupported(what: string, at: ErrorPlace): HubError {
  return new HubError('UNSUPPORTED', `The ${at.scheme} index does not support ${what}.`, { at, reason: 'CAPABILITY' })
}

function contended(at: ErrorPlace): HubError {
  return new HubError('CONFLICT', `Documents kept changing while ${at.op} was choosing among them; try again.`, {
    at,
    retryable: true,
  })
}
