import {
  applyChange,
  type Call,
  type Change,
  compareDocs,
  compareValues,
  type Doc,
  HubError,
  type IndexCan,
  type IndexDriver,
  type IndexEvent,
  matches,
  type Order,
  type Path,
  type Predicate,
  project,
  throwIfAborted,
  type Value,
} from '@tensorhub/core'

const CAN: IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: true, uniqueKeys: true, watch: true }

interface Collection {
  readonly docs: Map<string, Doc>
  readonly unique: Path[][]
  readonly watchers: Set<(event: IndexEvent, before: Doc | undefined, after: Doc | undefined) => void>
}

/** The documents of one store; several drivers may share one. */
export type MemoryDocuments = Map<string, Collection>

/**
 * The reference index driver: `matches()` and `compareDocs` over a Map, with every capability. Documents are frozen copies, so that no caller
 * can change what is stored. Each call works in one synchronous step, which makes it atomic.
 *
 * @param documents Share a store between drivers; default a new one.
 */
export function memoryIndex(documents: MemoryDocuments = new Map()): IndexDriver {
  return new MemoryIndex(documents)
}

class MemoryIndex implements IndexDriver {
  readonly scheme = 'memory'
  readonly can = CAN
  readonly #collections: MemoryDocuments

  constructor(documents: MemoryDocuments) {
    this.#collections = documents
  }

  native(): unknown {
    return this.#collections
  }

  async ensureIndex(coll: string, keys: Order, o: Call & { unique?: boolean }): Promise<void> {
    throwIfAborted(o.signal)
    if (o.unique !== true) return
    const paths = keys.map((key) => key.path).filter((path) => path.length > 0)
    const collection = this.#collection(coll)
    const same = (other: Path[]) => JSON.stringify(other) === JSON.stringify(paths)
    if (collection.unique.some(same)) return
    const docs = [...collection.docs.values()]
    docs.forEach((doc, i) => {
      const twin = docs.slice(i + 1).find((other) => sameKey(paths, doc, other))
      if (twin !== undefined) throw exists(coll, twin._id)
    })
    collection.unique.push(paths)
  }

  async insert(coll: string, docs: readonly Doc[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    const collection = this.#collection(coll)
    const fresh: Doc[] = []
    for (const doc of docs) {
      checkSize(coll, doc)
      if (collection.docs.has(doc._id)) throw exists(coll, doc._id)
      this.#checkUnique(coll, collection, doc, fresh)
      fresh.push(freeze(doc))
    }
    for (const doc of fresh) {
      collection.docs.set(doc._id, doc)
      tell(collection, { _id: doc._id, op: 'insert' }, undefined, doc)
    }
  }

  async *find(
    coll: string,
    where: Predicate,
    o: Call & { order: Order; limit?: number; fields?: readonly Path[] },
  ): AsyncGenerator<Doc, void, undefined> {
    throwIfAborted(o.signal)
    let found = this.#matching(coll, where).sort(compareDocs(o.order))
    if (o.limit !== undefined) found = found.slice(0, o.limit)
    for (const doc of found) {
      throwIfAborted(o.signal)
      yield handOut(o.fields ? project(doc, o.fields) : doc)
    }
  }

  async count(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    return this.#matching(coll, where).length
  }

  async update(coll: string, where: Predicate, change: Change, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    const found = this.#matching(coll, where)
    // All are computed before any is stored: an impossible change changes nothing.
    const changed = found.map((doc) => this.#changed(coll, doc, change))
    for (const [i, after] of changed.entries()) this.#replace(coll, found[i] as Doc, after)
    return found.length
  }

  async takeOne(coll: string, where: Predicate, change: Change, o: Call & { order: Order }): Promise<Doc | null> {
    throwIfAborted(o.signal)
    const by = compareDocs(o.order)
    let first: Doc | undefined
    for (const doc of this.#matching(coll, where)) if (first === undefined || by(doc, first) < 0) first = doc
    if (first === undefined) return null
    const after = this.#changed(coll, first, change)
    this.#replace(coll, first, after)
    return handOut(after)
  }

  async delete(coll: string, where: Predicate, o: Call): Promise<number> {
    throwIfAborted(o.signal)
    const found = this.#matching(coll, where)
    const collection = this.#collection(coll)
    for (const doc of found) {
      collection.docs.delete(doc._id)
      tell(collection, { _id: doc._id, op: 'delete' }, doc, undefined)
    }
    return found.length
  }

  async *watch(coll: string, where: Predicate, o: Call): AsyncGenerator<IndexEvent, void, undefined> {
    throwIfAborted(o.signal)
    const queue: IndexEvent[] = []
    let wake: () => void = () => undefined
    const collection = this.#collection(coll)
    const watcher = (event: IndexEvent, before: Doc | undefined, after: Doc | undefined) => {
      if (!((before !== undefined && matches(where, before)) || (after !== undefined && matches(where, after)))) return
      queue.push(event)
      wake()
    }
    const onAbort = () => wake()
    collection.watchers.add(watcher)
    o.signal?.addEventListener('abort', onAbort)
    try {
      for (;;) {
        throwIfAborted(o.signal)
        const event = queue.shift()
        if (event !== undefined) yield event
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      collection.watchers.delete(watcher)
      o.signal?.removeEventListener('abort', onAbort)
    }
  }

  async now(o: Call): Promise<Date> {
    throwIfAborted(o.signal)
    return new Date()
  }

  #collection(coll: string): Collection {
    let collection = this.#collections.get(coll)
    if (collection === undefined) {
      collection = { docs: new Map(), unique: [], watchers: new Set() }
      this.#collections.set(coll, collection)
    }
    return collection
  }

  #matching(coll: string, where: Predicate): Doc[] {
    const docs = this.#collection(coll).docs
    const id = idOf(where)
    if (id !== undefined) {
      const doc = docs.get(id)
      return doc !== undefined && matches(where, doc) ? [doc] : []
    }
    return [...docs.values()].filter((doc) => matches(where, doc))
  }

  #changed(coll: string, doc: Doc, change: Change): Doc {
    const after = freeze(applyChange(doc, change))
    checkSize(coll, after)
    this.#checkUnique(coll, this.#collection(coll), after, [])
    return after
  }

  #replace(coll: string, before: Doc, after: Doc): void {
    const collection = this.#collection(coll)
    collection.docs.set(after._id, after)
    tell(collection, { _id: after._id, op: 'update' }, before, after)
  }

  #checkUnique(coll: string, collection: Collection, doc: Doc, fresh: readonly Doc[]): void {
    for (const paths of collection.unique) {
      for (const other of [...collection.docs.values(), ...fresh]) {
        if (other._id !== doc._id && sameKey(paths, doc, other)) throw exists(coll, doc._id)
      }
    }
  }
}

/** The `_id` a filter demands, so that the commonest reads need no scan. */
function idOf(where: Predicate): string | undefined {
  if (where.op === 'eq' && where.path.length === 1 && where.path[0] === '_id' && typeof where.value === 'string')
    return where.value
  if (where.op !== 'and') return undefined
  for (const part of where.of) {
    const id = idOf(part)
    if (id !== undefined) return id
  }
  return undefined
}

function sameKey(paths: readonly Path[], a: Doc, b: Doc): boolean {
  return paths.every((path) => compareValues(at(a, path), at(b, path)) === 0)
}

function at(doc: Doc, path: Path): Value | undefined {
  let node: Value | undefined = doc
  for (const step of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, step)) return undefined
    node = (node as { readonly [key: string]: Value })[step]
  }
  return node
}

function freeze(doc: Doc): Doc {
  return deepFreeze(structuredClone(doc)) as Doc
}

function deepFreeze(value: Value): Value {
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value
}

/** What a caller gets: the frozen document itself, with Dates copied, because freezing does not stop `setTime`. */
function handOut(doc: Doc): Doc {
  return withOwnDates(doc) as Doc
}

function withOwnDates(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return new Date(value)
  if (Array.isArray(value)) {
    const parts = value.map(withOwnDates)
    return parts.every((part, i) => part === value[i]) ? value : Object.freeze(parts)
  }
  const entries = Object.entries(value)
  const copies = entries.map(([key, part]): [string, Value] => [key, withOwnDates(part)])
  return copies.every(([, part], i) => part === entries[i]?.[1]) ? value : Object.freeze(Object.fromEntries(copies))
}

function checkSize(coll: string, doc: Doc): void {
  // A cheap bound first: only what might be too large is measured.
  const size = roughSize(doc)
  if (size > CAN.maxDocBytes) {
    throw new HubError('INVALID', `Document '${doc._id}' has about ${size} bytes; at most ${CAN.maxDocBytes}.`, {
      at: { scheme: 'memory', op: 'insert', target: coll },
      reason: 'DOCUMENT_TOO_LARGE',
    })
  }
}

function roughSize(value: Value): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null || value instanceof Date) return 8
  let size = 2
  for (const [key, part] of Object.entries(value)) size += key.length + 4 + roughSize(part)
  return size
}

function exists(coll: string, id: string): HubError {
  return new HubError(
    'EXISTS',
    `Document '${id}' exists already in ${coll}, or shares a unique key with one that does.`,
    { at: { scheme: 'memory', op: 'insert', target: coll }, path: '_id' },
  )
}

function tell(collection: Collection, event: IndexEvent, before: Doc | undefined, after: Doc | undefined): void {
  for (const watcher of [...collection.watchers]) watcher(event, before, after)
}
