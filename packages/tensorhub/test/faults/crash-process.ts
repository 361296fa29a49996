import { flushCompileCache } from 'node:module'
import { TensorHub } from '../../src/index.ts'
import { SCENARIOS } from './crash-scenarios.ts'
import { type Kill, KillingStores } from './killing-stores.ts'
import { driversOf, urlsOfEnvironment } from './store-urls.ts'

/**
 * Does one thing in a hub and dies at a numbered change of a store: `node crash-process.ts <scenario> <kill as JSON> <script>`; TENSORHUB_INDEX and
 * TENSORHUB_BLOBS name the stores. Prints a word once the thing is acknowledged. Everything before `arm` was prepared by the test.
 */
const [name, kill, script] = process.argv.slice(2) as [string, string, string]
const stores = new KillingStores(JSON.parse(kill) as Kill)
const drivers = await driversOf(urlsOfEnvironment())
const scenario = SCENARIOS[name]
if (scenario === undefined) throw new Error(`no scenario '${name}'`)
const hub = await TensorHub.connect({
  index: stores.index(drivers.index),
  blobs: stores.blobs(drivers.blobs),
  projectName: 'tutorial',
  collect: scenario.collects === true,
})
flushCompileCache()
stores.arm()
await scenario.act({ hub, index: drivers.index, script })
process.stdout.write('acknowledged')
await hub.close()
