import { setTimeout as delay } from 'node:timers/promises'
import { TensorHub } from '../../src/index.ts'
import { LARGE, noise } from '../suite/values.ts'
import { embeddedDrivers } from './embedded-stores.ts'
import { type Kill, KillingStores } from './killing-stores.ts'

/**
 * Does one thing with content and dies at a numbered change of a store: `node crash-process.ts <folder> <scenario> <at> <when>`. Prints a line once the
 * thing is acknowledged. Everything before `arm` is the scenario's preparation, which the test makes once for all.
 */
const [folder, scenario, at, when] = process.argv.slice(2) as [string, string, string, Kill['when']]
const stores = new KillingStores({ at: Number(at), when })
const drivers = embeddedDrivers(folder)
const hub = await TensorHub.connect({
  index: stores.index(drivers.index),
  blobs: stores.blobs(drivers.blobs),
  projectName: 'tutorial',
  collect: scenario === 'delete with a collection behind it',
})

async function* film() {
  for (let i = 0; i < 3; i++) yield new Uint8Array(noise(1024 * 1024, 40 + i).buffer)
}

const SCENARIOS: Readonly<Record<string, () => Promise<unknown>>> = {
  'save dataset': () => hub.saveDataset({ a: noise(LARGE, 1), b: noise(LARGE, 2), kept: noise(LARGE, 9) }, 'new'),
  'save dataset, a stream': () => hub.saveDataset(film(), 'new'),
  'save dataset, small': () => hub.saveDataset([1, 2, 3], 'new'),
  'save model': () => hub.saveModel({ architecture: 'mlp', weights: [noise(LARGE, 9), noise(LARGE, 3)] }, 'new'),
  'save model, its manifest a blob': () =>
    hub.saveModel(
      Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i])),
      'new',
    ),
  delete: () => hub.deleteDatasets('old'),
  'delete with a collection behind it': async () => {
    await hub.deleteDatasets('old')
    // The pass has begun when its day is taken; there is nothing yet that it could change.
    const day = { op: 'eq', path: ['_id'], value: 'gc' } as const
    while ((await drivers.index.count('_hub', day, {})) === 0) await delay(10)
  },
  gc: async () => {
    await hub.gc({ grace: 0, allowShortGrace: true })
    await delay(5)
    await hub.gc({ grace: 0, allowShortGrace: true })
  },
}

stores.arm()
await (SCENARIOS[scenario] as () => Promise<unknown>)()
process.stdout.write('acknowledged')
await hub.close()
