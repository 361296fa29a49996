import { DatabaseSync } from 'node:sqlite'
import { type Call, type ErrorCode, HubError, type MappedError, throwIfAborted, wrapErrors } from '@tensorhub/core'

// A body that comes in is staged for this connection alone. A blob's id is never used twice: it is the version.
const SCHEMA = `PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS docs (coll TEXT, id TEXT, doc TEXT, PRIMARY KEY (coll, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, size, modified);
  CREATE TABLE IF NOT EXISTS pieces (id REFERENCES blobs ON DELETE CASCADE, start, bytes, PRIMARY KEY (id, start));
  CREATE TEMP TABLE staged (upload, start, bytes);`
const stores = new Map<string, object>()
const BUSY = 'UNAVAILABLE'
const CODES: Record<number, ErrorCode> = { 5: BUSY, 11: 'INTEGRITY', 13: 'STORAGE_FULL', 14: BUSY, 19: 'EXISTS' }

/** What SQLite's result codes mean (https://www.sqlite.org/rescode.html). */
function meaning(error: unknown): MappedError | undefined {
  const code = CODES[((error as { errcode?: number }).errcode ?? 0) & 0xff]
  return code && { code, retryable: code === BUSY }
}

export function refuse(code: ErrorCode, message: string, op: string, target: string): never {
  throw new HubError(code, message, { at: { scheme: 'onefile', op, target } })
}

/** A driver whose calls look at their signal first, and whose failures have their meaning. */
export function guarded<D extends { readonly scheme: string }>(driver: D): D {
  const guard =
    (member: unknown) =>
    (...args: unknown[]) => {
      throwIfAborted((args.at(-1) as Call | undefined)?.signal)
      return Reflect.apply(member as () => unknown, driver, args)
    }
  const members = Object.entries(driver).map(([name, it]) => [name, typeof it === 'function' ? guard(it) : it])
  return wrapErrors(Object.fromEntries(members) as D, meaning)
}

/** One connection to the file. Calls are synchronous: nothing of this process comes between two of them. */
export function storeOf(file: string) {
  let opened: DatabaseSync | undefined
  stores.set(file, stores.get(file) ?? {})
  const sql = (text: string) => (opened as DatabaseSync).prepare(text) // core opens before the first call
  return {
    sql,
    async open(): Promise<undefined> {
      opened = new DatabaseSync(file)
      opened.exec(SCHEMA)
    },
    close: async () => opened?.close(),
    native: () => stores.get(file), // by which two hubs of one file know that they are
    /** All or nothing; other processes wait. */
    atomically<T>(work: () => T): T {
      sql('BEGIN IMMEDIATE').run()
      try {
        const result = work()
        sql('COMMIT').run()
        return result
      } catch (error) {
        if (opened?.isTransaction) sql('ROLLBACK').run()
        throw error
      }
    },
  }
}
