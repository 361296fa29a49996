import { randomUUID } from 'node:crypto'
import type { Db, MongoClient } from 'mongodb'
import { startSession } from './connection.ts'
import { CODES, codeOf, hasLabel, isUnreachable } from './errors.ts'
import type { Features } from './features.ts'

export interface Abilities {
  /** A transaction that is aborted leaves nothing. */
  readonly transactions: boolean
  /** Change streams. */
  readonly watch: boolean
}

/** Never written to for good. */
const PROBE = '_probe'
const asked = new WeakMap<MongoClient, Map<string, Promise<Abilities>>>()

/**
 * Tries out what servers claim and do not keep: some say they are replica sets and know no transactions, or no change streams. Asked once a client and database; three requests in a
 * row, at the same time for both.
 */
export function probeAbilities(client: MongoClient, db: Db, features: Features): Promise<Abilities> {
  let known = asked.get(client)
  if (known === undefined) {
    known = new Map()
    asked.set(client, known)
  }
  let found = known.get(db.databaseName)
  if (found === undefined) {
    found = probe(client, db, features)
    known.set(db.databaseName, found)
    const forget = known
    found.catch(() => forget.delete(db.databaseName))
  }
  return found
}

async function probe(client: MongoClient, db: Db, features: Features): Promise<Abilities> {
  if (!features.replicated) return { transactions: false, watch: false }
  const [transactions, watch] = await Promise.all([features.sessions ? rollsBack(client, db) : false, streams(db)])
  return { transactions, watch }
}

/** Stores a document in a transaction, aborts it, and looks whether it is gone. Two that do so at once in a new database may get in each other's way, which says nothing. */
async function rollsBack(client: MongoClient, db: Db): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    const found = await rollBackOnce(client, db)
    if (found !== undefined || tries === TRIES) return found ?? true
  }
}

const TRIES = 5

/** @returns undefined for a failure that passes. */
async function rollBackOnce(client: MongoClient, db: Db): Promise<boolean | undefined> {
  const probes = db.collection<{ _id: string }>(PROBE)
  const _id = `probe-${randomUUID()}`
  const session = startSession(client)
  try {
    session.startTransaction()
    await probes.insertOne({ _id }, { session })
    await session.abortTransaction()
    return (await probes.deleteOne({ _id })).deletedCount === 0
  } catch (error) {
    if (isUnreachable(error)) throw error
    if (hasLabel(error, 'TransientTransactionError')) return undefined
    // Who may only read never inserts; what the server says of itself is all there is.
    return codeOf(error) === CODES.unauthorized
  } finally {
    await session.endSession()
  }
}

/** Opens a change stream by its bare command, since the driver's own would ask it for changes too, and closes it. */
async function streams(db: Db): Promise<boolean> {
  try {
    const { cursor } = await db.command({
      aggregate: PROBE,
      pipeline: [{ $changeStream: {} }],
      cursor: { batchSize: 1 },
      readConcern: { level: 'majority' },
    })
    if (Number(cursor?.id ?? 0) === 0) return false
    // The answer is known; a cursor that is left over ends by the server's own limit.
    await db.command({ killCursors: PROBE, cursors: [cursor.id] }).catch(() => undefined)
    return true
  } catch (error) {
    if (isUnreachable(error)) throw error
    return false
  }
}
