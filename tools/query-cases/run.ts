import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  compareDocs,
  compareValues,
  type Doc,
  type IndexDriver,
  IndexStore,
  matches,
  parseFilter,
  parseSort,
  type SortInput,
} from '@tensorhub/core'

/** One case of the file: documents, a filter, perhaps a sort, and which documents the reference server gave. */
interface Case {
  readonly id: string
  readonly docs: readonly Record<string, unknown>[]
  readonly filter: unknown
  readonly sort?: [string, 1 | -1][]
  readonly expect: { readonly kind: 'match' | 'order'; readonly ids: readonly number[] }
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { driver: { type: 'string' } } })
const [file] = positionals
if (file === undefined) {
  console.error('node tools/query-cases/run.ts FILE [--driver memory|sqlite|mongodb]')
  process.exit(2)
}
const cases = (JSON.parse(await readFile(file, 'utf8')) as { cases: Case[] }).cases
const failures: string[] = []
let run = 0
let left = 0
const open = values.driver === undefined ? undefined : await openDriver(values.driver)
for (const c of cases) {
  if (open !== undefined && namesId(c.filter)) {
    left++
    continue
  }
  run++
  try {
    const found = open === undefined ? byMatcher(c) : await byDriver(c, open.driver, run)
    const problem = compare(c, found)
    if (problem !== undefined)
      failures.push(
        `${c.id}: ${problem}\n    filter ${JSON.stringify(c.filter)} sort ${JSON.stringify(c.sort)}\n    docs ${JSON.stringify(c.docs).slice(0, 300)}`,
      )
  } catch (error) {
    failures.push(`${c.id}: ${(error as Error).message}\n    filter ${JSON.stringify(c.filter)}`)
  }
}
await open?.close()
for (const failure of failures) console.log(failure)
console.log(
  `${values.driver ?? 'matches()'}: ${run - failures.length} of ${run} cases agree${left > 0 ? `, ${left} left out (their filter compares _id)` : ''}`,
)
process.exit(failures.length === 0 ? 0 : 1)

function byMatcher(c: Case): number[] {
  const where = parseFilter(revive(c.filter))
  const docs = c.docs.map((doc) => revive(doc) as Doc)
  const found = docs.map((doc, i) => ({ doc, i })).filter(({ doc }) => matches(where, doc))
  if (c.sort) {
    const by = compareDocs(parseSort(c.sort as SortInput))
    found.sort((a, b) => by(a.doc, b.doc))
  }
  return found.map(({ i }) => i)
}

async function byDriver(c: Case, driver: IndexStore, n: number): Promise<number[]> {
  const coll = `case_${n}`
  const docs = c.docs.map((doc) => revive(doc) as Doc)
  // The generated strings stand in the order of the `_id`s they replace, so that a sort by `_id` still means the same.
  const byId = docs.map((_, i) => i).sort((a, b) => compareValues(docs[a]?._id, docs[b]?._id))
  const ids = new Map(byId.map((i, rank) => [i, `id-${String(rank).padStart(6, '0')}`]))
  const indexOf = new Map([...ids].map(([i, id]) => [id, i]))
  await driver.insert(
    coll,
    docs.map((doc, i) => ({ ...doc, _id: ids.get(i) as string })),
  )
  const order = c.sort === undefined ? [] : parseSort(c.sort as SortInput)
  const found: number[] = []
  for await (const doc of driver.find(coll, parseFilter(revive(c.filter)), { order }))
    found.push(indexOf.get(doc._id) as number)
  return found
}

/** Order is compared up to ties, since the reference promises none. */
function compare(c: Case, found: readonly number[]): string | undefined {
  const expected = c.expect.ids
  const set = [...found].sort((a, b) => a - b)
  if (JSON.stringify(set) !== JSON.stringify([...expected].sort((a, b) => a - b)))
    return `expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`
  if (c.expect.kind !== 'order' || c.sort === undefined) return undefined
  const by = compareDocs(parseSort(c.sort as SortInput))
  const doc = (i: number) => revive(c.docs[i] as Record<string, unknown>) as Doc
  for (let i = 0; i < expected.length; i++) {
    const a = expected[i] as number
    const b = found[i] as number
    if (a !== b && by(doc(a), doc(b)) !== 0)
      return `expected order ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`
  }
  return undefined
}

function namesId(filter: unknown): boolean {
  if (typeof filter !== 'object' || filter === null) return false
  return Object.entries(filter).some(([key, value]) => key === '_id' || namesId(value))
}

/** The file's extended JSON as values. */
function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive)
  if (typeof value !== 'object' || value === null) return value
  const keys = Object.keys(value)
  const only = keys.length === 1 ? keys[0] : undefined
  if (only === '$date') return new Date((value as { $date: number }).$date)
  if (only === '$numberDouble') return Number((value as { $numberDouble: string }).$numberDouble)
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, revive(part)]))
}

async function openDriver(name: string): Promise<{ driver: IndexStore; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'query-cases-'))
  let driver: IndexDriver
  let server: { stop(): Promise<void> } | undefined
  if (name === 'memory') driver = (await import('@tensorhub/memory')).memoryIndex()
  else if (name === 'sqlite') driver = (await import('@tensorhub/sqlite')).sqlite({ file: join(folder, 'index.db') })
  else if (name === 'mongodb') {
    const started = await (await import('@tensorhub/servers')).startMongo()
    server = started
    driver = (await import('@tensorhub/mongodb')).mongodb({ url: started.urlOf(`cases_${process.pid}`) })
  } else throw new Error(`no driver '${name}': memory, sqlite or mongodb`)
  const store = new IndexStore(driver)
  return {
    driver: store,
    async close() {
      await store.close()
      await server?.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
