import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { check, equal } from '../expect.ts'
import type { BlobTest } from './bench.ts'
import { bytesOf } from './bytes.ts'

const MIB = 1024 * 1024
const TOTAL = 64 * MIB
/** What a driver may hold besides parts in flight. */
const ROOM = 16 * MIB

/** How often it is measured on the way of the 64 MiB. */
const STEP = 16 * MIB

/** Rounds that must give no less, before what is held is believed. */
const STEADY = 3

/**
 * Bytes that live array buffers hold. A collection gives dead buffers to a thread of V8's that frees them some time later, and until then they count
 * (measured: 500 MiB of dead ones still counted after two collections on a busy machine). So it collects, and lets the loop turn, until the figure has
 * stopped falling: taken too early, dead buffers of earlier tests would hide what a driver holds.
 */
async function held(collect: () => void): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let steady = 0; steady < STEADY; ) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
    const now = process.memoryUsage().arrayBuffers
    // A turn of the loop may bring a piece more; only less is news.
    if (now < least) {
      least = now
      steady = 0
    } else steady++
  }
  return least
}

export const memoryTests: readonly BlobTest[] = [
  [
    'memory: 64 MiB of unknown length pass through, in and out, without being held whole',
    async (bench) => {
      const { partMin } = await bench.can()
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc') as () => void
      const key = `${bench.prefix()}large`
      const ceiling = ROOM + 6 * partMin + (bench.harness.inProcess ? 2 * TOTAL : 0)
      const piece = bytesOf(256 * 1024, 5)
      const start = await held(collect)
      let peak = 0
      let sent = 0
      const source = async function* () {
        while (sent < TOTAL) {
          sent += piece.byteLength
          yield piece.slice()
          if (sent % STEP === 0) peak = Math.max(peak, (await held(collect)) - start)
        }
      }
      const info = await bench.store.write(key, source())
      equal(info.size, TOTAL, 'the size')
      check(
        peak < ceiling,
        `writing 64 MiB held ${Math.round(peak / MIB)} MiB; at most ${Math.round(ceiling / MIB)} expected`,
      )
      const resting = await held(collect)
      peak = 0
      let read = 0
      const { body } = await bench.store.read(key)
      for await (const part of body) {
        const before = read
        read += part.byteLength
        if (Math.floor(before / STEP) !== Math.floor(read / STEP))
          peak = Math.max(peak, (await held(collect)) - resting)
      }
      equal(read, TOTAL, 'how many bytes were read')
      check(peak < ROOM + 6 * partMin, `reading 64 MiB held ${Math.round(peak / MIB)} MiB`)
      await bench.store.delete([key])
    },
  ],
]
