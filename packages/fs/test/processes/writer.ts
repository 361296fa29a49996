// Writes blobs of one letter each, over and over, until it is killed: `node writer.ts FOLDER`. Tells on standard output when it has begun.
import { writeSync } from 'node:fs'
import { openBlobs } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'

const blobs = openBlobs(fs({ folder: process.argv[2] as string }))
await blobs.open()
writeSync(1, 'begun\n')
for (let n = 0; ; n++) {
  const size = 1 + ((n * 7919) % 300_000)
  const bytes = new Uint8Array(size).fill(97 + (size % 26))
  const when = n % 2 === 0 ? { when: { ifAbsent: true } as const } : {}
  // Names come again, so that blobs are also replaced.
  const key = n % 2 === 0 ? `new/${process.pid}-${n}` : `again/${n % 7}`
  await blobs.write(key, n % 3 === 0 ? new Blob([bytes]) : bytes, when)
}
