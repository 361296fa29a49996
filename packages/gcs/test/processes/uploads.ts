// Streams so many MiB to a key by a composite upload: `node uploads.ts ENDPOINT BUCKET KEY MIB PART-KIB PARALLEL`. Prints its peak memory in MiB at the end.
import { openBlobs } from '@tensorhub/core'
import { gcs } from '@tensorhub/gcs'

const [, , endpoint, bucket, key, mebibytes, partKib, parallel] = process.argv as string[] as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
  string,
]
await using blobs = openBlobs(
  gcs({
    ...{ bucket, endpoint, projectId: 'p', probe: false, upload: 'composite' },
    ...{ partSize: Number(partKib) * 1024, parallel: Number(parallel) },
  }),
)
const pieces = async function* () {
  for (let i = 0; i < Number(mebibytes); i++) yield new Uint8Array(1024 * 1024).fill(i)
}
await blobs.write(key, pieces())
console.log(process.resourceUsage().maxRSS / 1024)
