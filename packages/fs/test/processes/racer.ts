// Tries to be the first to write each of the keys `race/0` … `race/99`: `node racer.ts FOLDER NAME`. Prints the numbers it won as JSON.
import { isHubError, openBlobs } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'

const [, , folder, name] = process.argv as [string, string, string, string]
const blobs = openBlobs(fs({ folder }))
const won: number[] = []
for (let n = 0; n < 100; n++) {
  try {
    await blobs.write(`race/${n}`, name, { when: { ifAbsent: true } })
    won.push(n)
  } catch (error) {
    if (!isHubError(error, 'EXISTS')) throw error
  }
}
console.log(JSON.stringify(won))
