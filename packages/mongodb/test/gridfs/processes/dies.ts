// Writes, replaces or deletes one blob and dies by SIGKILL at a step: `node dies.ts URL OPERATION STEP before|after`. A step is one command to the server:
// `before` it is sent, or `after` its answer came. Prints 'done' when it is through before that.
import { openBlobs } from '@tensorhub/core'
import { MongoClient } from 'mongodb'
import { gridfs } from '../../../src/gridfs/driver.ts'
import { noise } from '../bucket.ts'

const [, , url, operation, step, moment] = process.argv as [string, string, string, string, string, string]
const client = new MongoClient(url, { monitorCommands: true })
const blobs = openBlobs(gridfs({ client, chunkSizeBytes: 64 * 1024, parallel: 2 }))
await blobs.open()
// The clock and the indexes are no steps of the operation.
await blobs.write('ready', 'x')
let at = 0
const count = (wanted: string) => () => {
  if (moment !== wanted) return
  if (at++ === Number(step)) process.kill(process.pid, 'SIGKILL')
}
client.on('commandStarted', count('before'))
client.on('commandSucceeded', count('after'))
const bytes = noise(300 * 1024, 2)
if (operation === 'delete') await blobs.delete(['k'])
else if (operation === 'stream') await blobs.write('k', new Blob([bytes as Uint8Array<ArrayBuffer>]).stream())
else await blobs.write('k', bytes)
console.log('done')
await blobs.close()
await client.close()
