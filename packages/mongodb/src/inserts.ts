import { type Doc, encodeValue, HubError, type IndexCan, pause, throwIfAborted, type Value } from '@tensorhub/core'
import type { ClientSession, Collection } from 'mongodb'
import { brokenConnections } from './broken-connections.ts'
import { type Connection, startSession } from './connection.ts'
import { failedAt, hasLabel, isDuplicateKey, isReplyLost, isUndoneInPassing, isUnreachable } from './errors.ts'
import { checkSize, docToBson } from './values.ts'

/** Documents to be inserted, and as what they are sent. */
interface Batch {
  readonly coll: string
  readonly collection: Collection<Doc>
  readonly docs: readonly Doc[]
  readonly bodies: readonly Doc[]
  readonly signal: AbortSignal | undefined
}

/** New documents. */
export class Inserts {
  readonly #connection: Connection
  readonly #can: () => IndexCan

  constructor(connection: Connection, can: () => IndexCan) {
    this.#connection = connection
    this.#can = can
  }

  async insert(coll: string, docs: readonly Doc[], signal: AbortSignal | undefined): Promise<void> {
    const { db } = this.#connection.opened
    const { maxDocBytes, transactions } = this.#can()
    const bodies = docs.map((doc) => {
      const body = docToBson(doc)
      checkSize(body, maxDocBytes, coll, 'insert', `Document '${doc._id}'`)
      return body
    })
    const collection = db.collection<Doc>(coll)
    const batch: Batch = { coll, collection, docs, bodies, signal }
    await (bodies.length > 1 && transactions ? this.#inTransaction(batch) : this.#inOrder(batch))
  }

  /**
   * In order up to the first failure. A reply that was lost is made certain: the documents are looked for, and the rest is inserted. A document that is there with exactly our content
   * counts as ours (`_id`s are made by the writer); one that is there with another content may be ours, changed since, so that is UNKNOWN and neither success nor EXISTS.
   */
  async #inOrder({ coll, collection, docs, bodies, signal }: Batch): Promise<void> {
    const at = { scheme: 'mongodb', op: 'insert', target: coll }
    const several = docs.length > 1
    const until = performance.now() + this.#connection.timeout
    const stored = (n: number) => (several ? { stored: docs.slice(0, n).map((doc) => doc._id) } : {})
    const { client } = this.#connection.opened
    const broken = brokenConnections(client)
    const mayBeDone = this.#connection.doubt()
    let from = 0
    let lost: unknown
    for (let wait = 50; ; wait = Math.min(wait * 2, 2000)) {
      throwIfAborted(signal, at)
      try {
        if (lost !== undefined) {
          from += await this.#alreadyThere(collection, docs.slice(from))
          if (from === docs.length) return
        }
        if (several) await collection.insertMany(bodies.slice(from), { ordered: true })
        else await collection.insertOne(bodies[0] as Doc)
        return
      } catch (error) {
        if (error instanceof ChangedMeanwhile)
          throw new HubError(
            'UNKNOWN',
            `The reply of MongoDB at ${this.#connection.place} to an insert was lost, and document '${error.id}' is there with another content: whether it is this one, changed since, is not known.`,
            { at, reason: 'REPLY_LOST', ...stored(from), cause: lost },
          )
        if (isDuplicateKey(error)) {
          const index = from + indexOf(error)
          // A server that was restarted may not know that the driver's second request is the first one again.
          if (lost === undefined && this.#connection.retriesWrites && brokenConnections(client) !== broken) lost = error
          // While the outcome is open it may have been stored by our own first try just now.
          if (lost !== undefined && (await this.#mayBeThere(collection, docs[index]?._id as string))) continue
          throw new HubError(
            'EXISTS',
            `Document '${docs[index]?._id}' exists already in ${coll}, or shares a unique key with one that does.`,
            { at, path: '_id', ...stored(index), cause: error },
          )
        }
        const unsure =
          isReplyLost(error) ||
          mayBeDone(error) ||
          (lost !== undefined && (isUnreachable(error) || isUndoneInPassing(error)))
        if (!unsure) throw several ? withStored(error, this.#mapped(error, at), stored(from + indexOf(error))) : error
        lost = error
        if (performance.now() + wait > until)
          throw new HubError(
            'UNKNOWN',
            `The reply of MongoDB at ${this.#connection.place} to an insert into ${coll} was lost, and it could not be asked again. Read back what was stored.`,
            { at, reason: 'REPLY_LOST', ...stored(from), cause: error },
          )
        await pause(wait * (0.5 + Math.random() / 2), signal, at)
      }
    }
  }

  /** Where this cannot be asked now either, the loop asks again. */
  async #mayBeThere(collection: Collection<Doc>, _id: string): Promise<boolean> {
    try {
      return (await collection.countDocuments({ _id })) > 0
    } catch (error) {
      if (isUnreachable(error)) return true
      throw error
    }
  }

  #mapped(error: unknown, at: { scheme: string; op: string; target: string }) {
    return this.#connection.mapError(error, at)
  }

  /** How many of these, from the first, are stored as they are. @throws ChangedMeanwhile for one with another content. */
  async #alreadyThere(collection: Collection<Doc>, docs: readonly Doc[]): Promise<number> {
    const found = await collection.find({ _id: { $in: docs.map((doc) => doc._id) } }).toArray()
    const byId = new Map(found.map((doc) => [doc._id, doc]))
    for (const [i, doc] of docs.entries()) {
      const there = byId.get(doc._id)
      if (there === undefined) return i
      if (!sameDoc(there, doc)) throw new ChangedMeanwhile(doc._id)
    }
    return docs.length
  }

  /**
   * All or nothing. What passes by itself (another transaction on the same documents, an election) is tried again; a commit without reply is repeated, which MongoDB allows. A server that
   * has forgotten it meanwhile is asked for the documents.
   */
  async #inTransaction({ coll, collection, docs, bodies, signal }: Batch): Promise<void> {
    const at = { scheme: 'mongodb', op: 'insert', target: coll }
    const { client } = this.#connection.opened
    const until = performance.now() + this.#connection.timeout
    let lost: unknown
    for (let wait = 5; ; wait = Math.min(wait * 2, 500)) {
      throwIfAborted(signal, at)
      const session = startSession(client)
      let committing = false
      try {
        session.startTransaction()
        await collection.insertMany([...bodies], { session, ordered: true })
        committing = true
        await commit(session, until)
        return
      } catch (error) {
        // Whatever the last try was told: the driver repeats a commit by itself, and an earlier one may have been done.
        if (committing) lost = error
        if (session.inTransaction()) await session.abortTransaction()
        const there = lost !== undefined && isDuplicateKey(error) ? await this.#areThere(collection, docs) : 'not all'
        if (there === 'as they are') return
        // The label is missing on servers that do not know it; before the commit nothing can have been done.
        const passes = hasLabel(error, 'TransientTransactionError') || (!committing && isUndoneInPassing(error))
        if (!passes || performance.now() + wait > until) {
          // Before the commit nothing is done, whatever became of the request.
          if (lost === undefined) throw this.#undone(error, at)
          if (isDuplicateKey(error) && there === 'not all') throw error
          throw new HubError(
            'UNKNOWN',
            `MongoDB at ${this.#connection.place} did not answer the commit of an insert into ${coll}: all of it was stored, or nothing. Read back which.`,
            { at, reason: 'REPLY_LOST', cause: error },
          )
        }
      } finally {
        await session.endSession()
      }
      await pause(wait * (0.5 + Math.random() / 2), signal, at)
    }
  }

  /** A failure of which the error, read as that of a write, would leave open whether it was done. */
  #undone(error: unknown, at: { scheme: string; op: string; target: string }): unknown {
    if (!isReplyLost(error) && !isUnreachable(error)) return error
    const { code, message, ...more } = this.#mapped(error, { ...at, op: 'transaction' }) ?? {}
    return code === undefined ? error : new HubError(code, message ?? String(error), { at, ...more, cause: error })
  }

  async #areThere(collection: Collection<Doc>, docs: readonly Doc[]): Promise<'as they are' | 'changed' | 'not all'> {
    try {
      return (await this.#alreadyThere(collection, docs)) === docs.length ? 'as they are' : 'not all'
    } catch (error) {
      if (error instanceof ChangedMeanwhile || isUnreachable(error)) return 'changed'
      throw error
    }
  }
}

async function commit(session: ClientSession, until: number): Promise<void> {
  for (let wait = 20; ; wait = Math.min(wait * 2, 1000)) {
    try {
      await session.commitTransaction()
      return
    } catch (error) {
      // The driver asks twice; that the second try found no server says nothing about the first.
      const open = hasLabel(error, 'UnknownTransactionCommitResult') || isReplyLost(error) || isUnreachable(error)
      if (!open || performance.now() + wait > until) throw error
      await pause(wait)
    }
  }
}

class ChangedMeanwhile extends Error {
  readonly id: string
  constructor(id: string) {
    super(`document ${id} has another content`)
    this.id = id
  }
}

/** Which document of a batch failed. */
function indexOf(error: unknown): number {
  return failedAt(error) ?? Number((error as { insertedCount?: unknown }).insertedCount ?? 0)
}

function withStored(
  error: unknown,
  mapped: ReturnType<Connection['mapError']>,
  stored: { stored?: readonly string[] },
): unknown {
  if (mapped === undefined) return error
  const { code, message, ...more } = mapped
  return new HubError(code, message ?? String(error), {
    at: { scheme: 'mongodb', op: 'insert' },
    ...more,
    ...stored,
    cause: error,
  })
}

function sameDoc(a: Doc, b: Doc): boolean {
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && encodeValue(a[key] as Value) === encodeValue(b[key] as Value))
  )
}
