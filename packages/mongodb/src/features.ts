import type { Db, Document } from 'mongodb'

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
