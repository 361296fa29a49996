import { type ErrorPlace, HubError } from '@tensorhub/core'
import type { Connection } from './connection.ts'
import { withLock } from './with-lock.ts'

/** The layout this version reads and writes, kept in `PRAGMA user_version`. */
const VERSION = 1
const SHAPES_TABLE = "SELECT 1 FROM sqlite_schema WHERE type='table' AND name='th_shapes'"

/**
 * Makes or checks the schema. Several processes may do so at once.
 *
 * @throws UNSUPPORTED when a newer version wrote the file, INVALID when it is another program's; before anything is touched.
 */
export async function openSchema(connection: Connection, lockTimeout: number, at: ErrorPlace): Promise<void> {
  const { database } = connection
  const version = () => database.prepare('PRAGMA user_version').get()?.['user_version'] as number
  const check = (found: number) => {
    if (found > VERSION)
      throw new HubError(
        'UNSUPPORTED',
        `${at.target} has layout ${found}, and this version of @tensorhub/sqlite reads up to ${VERSION}; upgrade it, or name another file if it is another program's. Nothing was touched.`,
        { at },
      )
    // Many programs number their own layouts from 1 in the same place.
    if (found === VERSION && database.prepare(SHAPES_TABLE).get() === undefined)
      throw new HubError(
        'INVALID',
        `${at.target} is another program's database (its user_version is ${found}, and it has no th_shapes); name another file. Nothing was touched.`,
        { at, path: 'file' },
      )
  }
  await withLock(() => check(version()), lockTimeout)
  // The journal mode is kept in the file; switching it needs the file alone for a moment.
  await withLock(() => {
    const mode = database.prepare('PRAGMA journal_mode=WAL').get()?.['journal_mode']
    if (mode !== 'wal')
      throw new HubError(
        'UNSUPPORTED',
        `${at.target} lies on a file system where SQLite's WAL does not work (mode '${String(mode)}'); use a local disk.`,
        { at },
      )
  }, lockTimeout)
  if ((await withLock(version, lockTimeout)) === VERSION) return
  await withLock(() => {
    database.exec('BEGIN IMMEDIATE')
    try {
      check(version())
      database.exec(
        `CREATE TABLE IF NOT EXISTS th_shapes(id INTEGER PRIMARY KEY, coll TEXT NOT NULL, shape TEXT NOT NULL, UNIQUE(coll,shape)); PRAGMA user_version=${VERSION}; COMMIT`,
      )
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }, lockTimeout)
}
