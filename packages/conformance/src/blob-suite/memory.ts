import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { check, equal } from '../expect.ts'
import type { BlobTest } from './bench.ts'
import { bytesOf } from './bytes.ts'

const MIB = 1024 * 1024
const TOTAL = 64 * MIB
/** What a driver may hold besides parts in flight. */
const ROOM = 16 * MIB

/** Bytes that live array buffers hold, after collecting those that do not. */
function held(collect: () => void): number {
  collect()
  return process.memoryUsage().arrayBuffers
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
      const start = held(collect)
      let peak = 0
      let sent = 0
      const source = async function* () {
        while (sent < TOTAL) {
          sent += piece.byteLength
          yield piece.slice()
          if (sent % (4 * MIB) === 0) peak = Math.max(peak, held(collect) - start)
        }
      }
      const info = await bench.store.write(key, source())
      equal(info.size, TOTAL, 'the size')
      check(
        peak < ceiling,
        `writing 64 MiB held ${Math.round(peak / MIB)} MiB; at most ${Math.round(ceiling / MIB)} expected`,
      )
      const resting = held(collect)
      peak = 0
      let read = 0
      const { body } = await bench.store.read(key)
      for await (const part of body) {
        const before = read
        read += part.byteLength
        if (Math.floor(before / (4 * MIB)) !== Math.floor(read / (4 * MIB)))
          peak = Math.max(peak, held(collect) - resting)
      }
      equal(read, TOTAL, 'how many bytes were read')
      check(peak < ROOM + 6 * partMin, `reading 64 MiB held ${Math.round(peak / MIB)} MiB`)
      await bench.store.delete([key])
    },
  ],
]
