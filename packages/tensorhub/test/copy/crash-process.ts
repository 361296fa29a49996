import { TensorHub } from '../../src/index.ts'
import { embeddedDrivers } from '../faults/embedded-stores.ts'
import { type Kill, KillingStores } from '../faults/killing-stores.ts'

/** Copies one folder's hub to another's, and dies at a numbered change of the destination: `node crash-process.ts <from> <to> <at> <when>`. */
const [from, to, at, when] = process.argv.slice(2) as [string, string, string, Kill['when']]
const stores = new KillingStores({ at: Number(at), when })
const drivers = embeddedDrivers(to)
const source = await TensorHub.connect(from, { projectName: 'tutorial', collect: false })
const destination = await TensorHub.connect({
  index: stores.index(drivers.index),
  blobs: stores.blobs(drivers.blobs),
  projectName: 'tutorial',
})
stores.arm()
await source.copyTo(destination)
process.stdout.write('acknowledged')
await destination.close()
await source.close()
