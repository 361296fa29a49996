import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The index file of an embedded hub, and a copy of it for the baseline: the same tables, the same indexes, the same rows. The hub must be closed. */
export async function copyOfIndex(hubFolder: string, name: string): Promise<string> {
  const copy = join(hubFolder, '..', name)
  await copyFile(join(hubFolder, 'index.db'), copy)
  return copy
}

/** Opens a file as the embedded index opens its own: WAL, every commit durable, the same cache. Whoever finds it locked waits. */
export function openDurable(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 10_000 })
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY')
  return database
}
