// Streams MIB mebibytes from a generator into GridFS and out again: `node stream.ts URL MIB`. Prints JSON: peak memory of the process, and whether it is the same.
import { createHash } from 'node:crypto'
import { openBlobs } from '@tensorhub/core'
import { gridfs } from '../../../src/gridfs/driver.ts'
import { MIB, noise } from '../bucket.ts'

const [, , url, mebibytes] = process.argv as [string, string, string, string]
const total = Number(mebibytes) * MIB
const sent = createHash('sha256')
async function* generate(): AsyncGenerator<Uint8Array, void, undefined> {
  for (let made = 0; made < total; made += MIB / 4) {
    const piece = noise(MIB / 4, made + 1)
    sent.update(piece)
    yield piece
  }
}
await using blobs = openBlobs(gridfs({ url }))
await blobs.open()
const before = process.memoryUsage.rss()
const { size } = await blobs.write('stream', generate())
const back = createHash('sha256')
for await (const piece of (await blobs.read('stream')).body) back.update(piece)
console.log(
  JSON.stringify({
    size,
    same: sent.digest('hex') === back.digest('hex'),
    grewMiB: Math.round(process.resourceUsage().maxRSS / 1024 - before / MIB),
  }),
)
