import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { pickOf } from './processes/contents.ts'
import { fastBlobs, fastIndex } from './processes/fast-clock.ts'
import { COLLECTIONS, namedKeys, openReal } from './real-store.ts'

/** Seconds the writers run: TENSORHUB_FAULTS=full takes ten minutes. */
const SECONDS = process.env.TENSORHUB_FAULTS === 'full' ? 600 : 12
/** A day of hub time in 0.4 seconds. */
const SCALE = (24 * 3600) / 0.4

interface Line {
  readonly saved?: string
  readonly pick?: readonly number[]
  readonly asked?: string
  readonly deleted?: string
  readonly conflicts?: number
}

it('collection beside 4 writers that share 20 contents and delete (F14): no document misses a chunk, nothing leaks', {
  timeout: 1_200_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-gc-'))
  await using store = await openReal(folder, { index: fastIndex(SCALE), blobs: fastBlobs(SCALE) })
  await store.content.gc({ collections: COLLECTIONS })
  const seed = Date.now() % 1_000_000
  console.log(`seed ${seed}`)
  const writers = ['a', 'b', 'c', 'd'].map((name, i) => {
    const script = join(import.meta.dirname, 'processes', 'writer.ts')
    const child = spawn(process.execPath, [script, folder, name, String(SCALE), String(seed + i)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout.on('data', (piece: Buffer) => {
      out += piece.toString()
    })
    const ended = once(child, 'close').then(([code]) => {
      if (code !== 0) throw new Error(`Writer ${name} ended with ${String(code)}`)
      return out
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line)
    })
    return { stop: () => child.stdin.end('stop\n'), ended }
  })
  const all = Promise.all(writers.map((writer) => writer.ended))
  let freed = 0
  let passes = 0
  const end = performance.now() + SECONDS * 1000
  const failed = all.then(
    () => undefined,
    (error: unknown) => error,
  )
  while (performance.now() < end) {
    freed += (await store.content.gc({ collections: COLLECTIONS })).freed
    passes++
    const early = await Promise.race([failed, new Promise((turn) => setTimeout(turn, 50, 'going on'))])
    if (early !== 'going on') throw early
  }
  for (const writer of writers) writer.stop()
  const lines = (await all).flat()

  const asked = new Set(lines.map((line) => line.asked))
  const docs = new Map((await store.docs()).map((doc) => [doc._id, doc]))
  let kept = 0
  for (const { saved, pick } of lines) {
    if (saved === undefined || asked.has(saved)) continue
    const doc = docs.get(saved)
    expect(doc).toBeDefined()
    expect(await store.content.load(doc?.content as never)).toStrictEqual(pickOf(pick ?? []))
    kept++
  }
  expect((await store.content.check({ collections: COLLECTIONS, readData: true })).problems).toEqual([])
  // Each pass two days on, until nothing waits.
  for (let i = 0; i < 4; i++) {
    await new Promise((turn) => setTimeout(turn, 1000))
    await store.content.gc({ collections: COLLECTIONS })
  }
  expect(await store.keys()).toEqual(await namedKeys(store))
  expect(await readdir(join(folder, 'blobs', '#staging'))).toEqual([])
  expect((await store.content.check({ collections: COLLECTIONS, readData: true })).problems).toEqual([])
  const saves = lines.filter((line) => line.saved !== undefined).length
  console.log(
    JSON.stringify({ saves, kept, freed, passes, conflicts: lines.reduce((n, l) => n + (l.conflicts ?? 0), 0) }),
  )
  expect(saves).toBeGreaterThan(20)
  expect(freed).toBeGreaterThan(0)
  await rm(folder, { recursive: true })
})
