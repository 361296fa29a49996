import { type Db, type Document, MongoServerError } from 'mongodb'
import { isWrongCredentials } from './errors.ts'

/** What the server says and does, as found when the connection was opened. Nothing is concluded from its name or version. */
export interface Features {
  /** `hello`, or `isMaster` on servers that do not know it. */
  readonly hello: 'hello' | 'isMaster'
  /** A member of a replica set, or a router in front of some. */
  readonly replicated: boolean
  /** Logical sessions, which transactions and retryable writes need. */
  readonly sessions: boolean
  /** The largest document, in bytes of BSON. */
  readonly maxDocBytes: number
}

const COMMAND_NOT_FOUND = 59

/** Asks the server what it is: one request, two on servers without `hello`. */
export async function readFeatures(db: Db): Promise<Features> {
  const { hello, reply } = await ask(db)
  return {
    hello,
    replicated: typeof reply['setName'] === 'string' || reply['msg'] === 'isdbgrid',
    sessions: reply['logicalSessionTimeoutMinutes'] !== undefined && reply['logicalSessionTimeoutMinutes'] !== null,
    maxDocBytes: Number(reply['maxBsonObjectSize'] ?? 16 * 1024 * 1024),
  }
}

/**
 * Whether the server takes writes that carry a transaction number, as the driver sends them unless told otherwise: Amazon DocumentDB and Cosmos DB say that they are replica sets and
 * refuse every such write. https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html#functional-differences.retryable-writes
 */
export async function takesRetryableWrites(db: Db): Promise<boolean> {
  try {
    // Deletes nothing: there is no such document.
    await db.collection<{ _id: string }>('_probe').deleteOne({ _id: 'retryable' })
    return true
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown }
    if (code === NOT_RETRYABLE || /txnNumber|retryable ?writes/i.test(String(message))) return false
    // Who may only read, or a server that is not ready to write: of this nothing is known, and the first write tells.
    if (error instanceof MongoServerError && !isWrongCredentials(error)) return true
    throw error
  }
}

const NOT_RETRYABLE = 301

async function ask(db: Db): Promise<{ hello: Features['hello']; reply: Document }> {
  try {
    return { hello: 'hello', reply: await db.command({ hello: 1 }) }
  } catch (error) {
    if (!isUnknownCommand(error)) throw error
    return { hello: 'isMaster', reply: await db.command({ isMaster: 1 }) }
  }
}

/** `CommandNotFound`; some servers have the text only. */
export function isUnknownCommand(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return code === COMMAND_NOT_FOUND || /no such (command|cmd)|unknown command/i.test(String(message))
}
