import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { newFolder } from '../suite/store-pair.ts'
import { noise } from '../suite/values.ts'

const MIB = 1024 * 1024
const PIECES = 160

async function* film() {
  for (let i = 0; i < PIECES; i++) yield new Uint8Array(noise(4 * MIB, i).buffer)
}

it('a copy of a large file keeps the process small', { timeout: 600_000 }, async () => {
  const [from, to] = [await newFolder(), await newFolder()]
  await using hub = await TensorHub.connect(from, { projectName: 'tutorial', collect: false })
  await hub.saveDataset(film(), 'film')
  const program = fileURLToPath(new URL('./memory-process.ts', import.meta.url))
  const child = spawn(process.execPath, [program, from, to], { stdio: ['ignore', 'pipe', 'inherit'] })
  const { bytes, rss } = JSON.parse(await text(child.stdout)) as { bytes: number; rss: number }
  console.log(`${Math.round(bytes / MIB)} MiB copied, peak memory ${Math.round(rss)} MiB`)
  expect(bytes).toBe(PIECES * 4 * MIB)
  // Node itself is about 100 MiB, 64 MiB are on their way, and garbage waits to be collected.
  expect(rss).toBeLessThan(384)
})
