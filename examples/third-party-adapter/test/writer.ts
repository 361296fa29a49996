import { TensorHub } from 'tensorhub'
import { oneFileBlobs, oneFileIndex } from '../src/index.ts'

/** Saves dataset after dataset, and prints the name of each when it is acknowledged: `node writer.ts <file>`. */
const file = process.argv[2] as string
const hub = await TensorHub.connect({ index: oneFileIndex(file), blobs: oneFileBlobs(file), projectName: 'p' })
for (let i = 0; ; i++) {
  await hub.saveDataset(new Float32Array(50_000).fill(i), `d${i}`)
  process.stdout.write(`d${i}\n`)
}
