// node packages/content/bench/stream.ts FOLDER GIB: streams a file in and out; prints peak RSS (threads included) and rates.
import { join } from 'node:path'
import { type Doc, openBlobs, openIndex } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'
import { ContentStore, type Manifest } from '../src/index.ts'

const [folder = '.', gib = '4'] = process.argv.slice(2)
const PIECE = 1024 * 1024
const total = Number(gib) * 2 ** 30
async function* generate(): AsyncGenerator<Uint8Array> {
  let x = 88172645
  for (let made = 0; made < total; made += PIECE) {
    const words = new Uint32Array(PIECE / 4)
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      words[i] = x
    }
    yield new Uint8Array(words.buffer)
  }
}
const index = openIndex(sqlite({ file: join(folder, 'index.db') }))
const content = new ContentStore({ index, blobs: openBlobs(fs({ folder: join(folder, 'blobs') })) })
const start = performance.now()
const doc = await content.save(generate(), {
  coll: 'files',
  document: (m) => ({ _id: 'f', content: m as unknown as Doc[string] }) as Doc,
})
const saved = performance.now()
const peakIn = Math.round(process.resourceUsage().maxRSS / 1024)
let seen = 0
for await (const piece of content.stream(doc.content as unknown as Manifest)) seen += piece.byteLength
if (seen !== total) throw new Error(`${seen} of ${total} bytes came back`)
const rate = (ms: number) => Math.round(total / 2 ** 20 / (ms / 1000))
console.log(
  JSON.stringify({
    peakInMiB: peakIn,
    peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    inMiBs: rate(saved - start),
    outMiBs: rate(performance.now() - saved),
  }),
)
await index.close()
