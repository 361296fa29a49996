// main.ts: an application that owns the hub, and lends it to a library
import { mkdir } from 'node:fs/promises'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'
import { TensorHub } from 'tensorhub'
import { ModelRegistry } from './src/index.ts'

// The application chooses the stores, as objects it has made: clients with its own credentials, pools and settings.
await mkdir('data', { recursive: true })
const hub = await TensorHub.connect({
  index: sqlite({ file: 'data/index.db' }),
  blobs: fs({ folder: 'data/blobs' }),
  projectName: 'shop',
})
const registry = new ModelRegistry({ hub })

for (const score of [0.81, 0.93, 0.9])
  await registry.publish('recommender', { w: new Float32Array(4).fill(score) }, score)
const best = await registry.promoteBest('recommender')
console.log(best.model_name, best['accuracy'], (await registry.production('recommender'))?.['w']?.length)
await hub.close()
