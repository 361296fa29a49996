// Streams MIB mebibytes from a generator into a hub's folder and out again: `node stream.ts FOLDER MIB`. Prints JSON: peak memory, progress, hashes.
import { createHash } from 'node:crypto'
import { openReal } from '../real-store.ts'
import { MIB, noise } from '../store.ts'

const [, , folder, mebibytes] = process.argv as [string, string, string, string]
const total = Number(mebibytes) * MIB
const sent = createHash('sha256')
async function* generate(): AsyncGenerator<Uint8Array, void, undefined> {
  for (let made = 0; made < total; made += MIB) {
    const piece = new Uint8Array(noise(MIB, made / MIB + 1).buffer)
    sent.update(piece)
    yield piece
  }
}
await using store = await openReal(folder)
const told: number[] = []
const doc = await store.save('file', generate(), { onProgress: (p) => told.push(p.bytes) })
const back = createHash('sha256')
const toldBack: number[] = []
for await (const piece of store.content.stream(doc.content, { onProgress: (p) => toldBack.push(p.bytes) }))
  back.update(piece)
const rises = (list: number[]) => list.every((n, i) => n >= (list[i - 1] ?? 0)) && list.at(-1) === total
console.log(
  JSON.stringify({
    peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    bytes: doc.content.bytes,
    same: sent.digest('hex') === back.digest('hex'),
    progress: rises(told) && rises(toldBack),
  }),
)
