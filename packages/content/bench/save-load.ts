// node packages/content/bench/save-load.ts FOLDER [MIB]: save, load and save again against plain files and sha256; medians of interleaved runs.
import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type Doc, openBlobs, openIndex } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'
import { ContentStore, type Manifest } from '../src/index.ts'

const MIB = 2 ** 20
const folder = process.argv[2] ?? '.'
const size = Number(process.argv[3] ?? 256) * MIB
const rounds = 7

function noise(bytes: number, seed: number): Float32Array {
  const words = new Uint32Array(bytes / 4)
  let x = (seed * 2654435761 + 1) >>> 0
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = ((x >>> 0) & 0x807fffff) | 0x3c000000
  }
  return new Float32Array(words.buffer)
}
function model(seed: number): Record<string, Float32Array> {
  const out: Record<string, Float32Array> = {}
  const sizes = [32, 16, 8, 4, 2, 2]
  for (let n = 0, left = size; left > 0; n++) {
    const bytes = Math.min(left, (sizes[n % sizes.length] as number) * MIB)
    out[`layer${n}`] = noise(bytes, seed * 1000 + n)
    left -= bytes
  }
  return out
}
async function plain(value: Record<string, Float32Array>): Promise<void> {
  const hash = createHash('sha256')
  const handle = await open(join(folder, 'plain.tmp'), 'w')
  for (const tensor of Object.values(value)) {
    const bytes = new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength)
    for (let at = 0; at < bytes.length; at += 8 * MIB) {
      const piece = bytes.subarray(at, at + 8 * MIB)
      hash.update(piece)
      await handle.write(piece)
    }
  }
  hash.digest()
  await handle.sync()
  await handle.close()
  await rename(join(folder, 'plain.tmp'), join(folder, 'plain'))
  const directory = await open(folder, 'r')
  await directory.sync()
  await directory.close()
}
async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}
const median = (list: number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] as number
async function paired(name: string, ours: () => Promise<number>, base: () => Promise<number>): Promise<void> {
  await ours()
  await base()
  const a: number[] = []
  const b: number[] = []
  for (let i = 0; i < rounds; i++) {
    if (i % 2) b.push(await base())
    a.push(await ours())
    if (i % 2 === 0) b.push(await base())
  }
  console.log(
    `${name}: ${median(a.map((ms, i) => (b[i] as number) / ms)).toFixed(2)}x (ours ${median(a).toFixed(0)} ms, baseline ${median(b).toFixed(0)} ms)`,
  )
}

await mkdir(folder, { recursive: true })
const index = openIndex(sqlite({ file: join(folder, 'index.db') }))
const content = new ContentStore({ index, blobs: openBlobs(fs({ folder: join(folder, 'blobs') })) })
let n = 0
let last: Doc | undefined
const save = async (value: unknown) => {
  last = await content.save(value, {
    coll: 'models',
    document: (m) => ({ _id: `m${++n}`, content: m as unknown as Doc[string] }) as Doc,
  })
}
let seed = 0
await paired(
  'save',
  () => {
    const value = model(++seed)
    return timed(() => save(value))
  },
  () => {
    const value = model(++seed)
    return timed(() => plain(value))
  },
)
const manifest = (last as Doc | undefined)?.content as unknown as Manifest
await paired(
  'load',
  () => timed(() => content.load(manifest)),
  () =>
    timed(async () =>
      createHash('sha256')
        .update(await readFile(join(folder, 'plain')))
        .digest(),
    ),
)
const value = model(1)
const parts: Uint8Array[] = []
for (const tensor of Object.values(value)) {
  for (let at = 0; at < tensor.byteLength; at += 16 * MIB) {
    const piece = new Uint8Array(tensor.buffer, tensor.byteOffset + at, Math.min(16 * MIB, tensor.byteLength - at))
    const shared = new Uint8Array(new SharedArrayBuffer(piece.length))
    shared.set(piece)
    parts.push(shared)
  }
}
const code = `const { parentPort } = require('node:worker_threads'); const { createHash } = require('node:crypto')
parentPort.on('message', (parts) => { for (const part of parts) createHash('sha256').update(part).digest(); parentPort.postMessage(0) })`
const threads = [0, 1].map(() => new Worker(code, { eval: true }))
const share = Math.ceil(parts.length / threads.length)
await save(value)
await paired(
  'save again',
  () => timed(() => save(value)),
  () =>
    timed(() =>
      Promise.all(
        threads.map(
          (thread, i) =>
            new Promise((resolve) => {
              thread.once('message', resolve)
              thread.postMessage(parts.slice(i * share, (i + 1) * share))
            }),
        ),
      ),
    ),
)
for (const thread of threads) await thread.terminate()
await index.close()
