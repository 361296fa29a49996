import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Doc, IndexStore, type Order, type Predicate, parseFilter, parseSort, withTieBreak } from '@tensorhub/core'
import { onTestFinished } from 'vitest'
import { type SqliteOptions, sqlite } from '../src/index.ts'

/** A folder that goes away with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-sqlite-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A store on a file, closed with the test. */
export function openFile(file: string, options: Omit<SqliteOptions, 'file'> = {}): IndexStore {
  const store = new IndexStore(sqlite({ file, ...options }))
  onTestFinished(() => store.close())
  return store
}

export async function temporaryIndex(
  options: Omit<SqliteOptions, 'file'> = {},
): Promise<{ store: IndexStore; file: string }> {
  const file = join(await temporaryFolder(), 'index.db')
  return { store: openFile(file, options), file }
}

export const where = (filter: Record<string, unknown>): Predicate => parseFilter(filter)
export const order = (sort: Record<string, 1 | -1>): Order => withTieBreak(parseSort(sort))
export const keys = (...names: string[]): Order => names.map((name) => ({ path: name.split('.'), dir: 1 as const }))

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** `n` documents of one project, inserted a thousand at a time. */
export async function fill(
  store: IndexStore,
  coll: string,
  n: number,
  make: (i: number) => Record<string, Doc[string]>,
): Promise<void> {
  for (let from = 0; from < n; from += 1000) {
    const docs = Array.from({ length: Math.min(1000, n - from) }, (_, i) => ({
      _id: `d${String(from + i).padStart(8, '0')}`,
      ...make(from + i),
    }))
    await store.insert(coll, docs)
  }
}

/** SQLite's own words on how it would run a query. */
export async function plan(
  store: IndexStore,
  coll: string,
  filter: Record<string, unknown>,
  sort: Record<string, 1 | -1> = {},
  limit?: number,
): Promise<string> {
  await store.open()
  const driver = store.driver as unknown as {
    explain(coll: string, where: Predicate, order: Order, limit?: number): Promise<string[]>
  }
  return (await driver.explain(coll, where(filter), Object.keys(sort).length === 0 ? [] : order(sort), limit)).join(
    '\n',
  )
}
