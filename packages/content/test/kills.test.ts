import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { FILE, VALUES } from './processes/work.ts'
import { COLLECTIONS, namedKeys, openReal } from './real-store.ts'

interface Line {
  readonly saved?: string
  readonly asked?: string
  readonly deleted?: string
  readonly calls?: number
}

async function runKilled(folder: string, call: number, moment: string): Promise<{ lines: Line[]; killed: boolean }> {
  const script = join(import.meta.dirname, 'processes', 'killed.ts')
  const child = spawn(process.execPath, [script, folder, String(call), moment], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (piece: Buffer) => {
    out += piece.toString()
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`The process ended with ${code ?? signal}`)
  return {
    lines: out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line),
    killed: signal === 'SIGKILL',
  }
}

const expected = (name: string) =>
  name === 'file' ? FILE() : (VALUES[name === 'again' ? 'weights' : name] as () => unknown)()

/** What was acknowledged is there and right, nothing half is, and what leaked can be collected. */
async function inspect(folder: string, lines: readonly Line[]): Promise<void> {
  await using store = await openReal(folder)
  expect((await store.content.check({ collections: COLLECTIONS, readData: true })).problems).toEqual([])
  const docs = new Map((await store.docs()).map((doc) => [doc._id, doc]))
  const asked = new Set(lines.map((line) => line.asked))
  for (const { saved, deleted } of lines) {
    if (saved !== undefined && !asked.has(saved)) expect(docs.has(saved)).toBe(true)
    if (deleted !== undefined) expect(docs.has(deleted)).toBe(false)
  }
  // Documents that were not acknowledged may stand where the process died between inserting and looking back; they must be whole as well.
  for (const [name, doc] of docs) expect(await store.content.load(doc.content)).toStrictEqual(expected(name))
  await store.collect()
  expect(await store.keys()).toEqual(await namedKeys(store))
  const rows: string[] = []
  for await (const row of store.index.find('_chunks', { op: 'everything' })) rows.push(String(row.key))
  expect(rows.sort()).toEqual(await namedKeys(store))
  await store.content.gc({ collections: COLLECTIONS, grace: 0, allowShortGrace: true })
  expect(await readdir(join(folder, 'blobs', '#staging'))).toEqual([])
  for (const [name, doc] of docs) expect(await store.content.load(doc.content)).toStrictEqual(expected(name))
}

// TENSORHUB_FAULTS=full: every call of the stores, both ways. Otherwise about 30, spread over all of them: the process dies before one call and in the
// next.
it('SIGKILL at the n-th call of a store (F6): acknowledged saves are whole, others invisible or whole, leaks are collected', {
  timeout: 1_800_000,
}, async () => {
  const base = await mkdtemp(join(tmpdir(), 'tensorhub-kills-'))
  const whole = await runKilled(join(base, 'whole'), Number.MAX_SAFE_INTEGER, 'before')
  const calls = whole.lines.at(-1)?.calls ?? 0
  expect(calls).toBeGreaterThan(60)
  await inspect(join(base, 'whole'), whole.lines)
  const jobs: { call: number; moment: string }[] = []
  const full = process.env.TENSORHUB_FAULTS === 'full'
  const step = full ? 1 : Math.ceil(calls / 30)
  for (let call = 1; call <= calls; call += step)
    for (const moment of full ? ['before', 'during'] : [call % 2 === 0 ? 'before' : 'during'])
      jobs.push({ call, moment })
  let killed = 0
  const worker = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const folder = join(base, `${job.call}-${job.moment}`)
      const run = await runKilled(folder, job.call, job.moment)
      if (run.killed) killed++
      try {
        await inspect(folder, run.lines)
      } catch (cause) {
        throw new Error(`Killed ${job.moment} call ${job.call} of ${calls}; its store is in ${folder}`, { cause })
      }
      await rm(folder, { recursive: true })
    }
  }
  await Promise.all([worker(), worker()])
  expect(killed).toBeGreaterThan(calls / step / 2)
  await rm(base, { recursive: true })
})
