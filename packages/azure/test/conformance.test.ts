import { blobConformance } from '@tensorhub/conformance'
import { type AzureServer, startAzure } from '@tensorhub/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { byClient, byKey, bySas, harness } from './containers.ts'

let server: AzureServer
beforeAll(async () => {
  server = await startAzure()
})
afterAll(() => server?.stop())

const runner = { afterAll, beforeAll, describe, it }
const KIB = 1024

blobConformance(
  'azure (Azurite)',
  harness(() => server, byKey),
  runner,
)
blobConformance(
  'azure (Azurite), small parts',
  harness(() => server, byKey, { partSize: 256 * KIB }),
  runner,
)
blobConformance(
  'azure (Azurite), a client given',
  harness(() => server, byClient, { prefix: 'some/where', partSize: 512 * KIB }),
  runner,
)
blobConformance(
  'azure (Azurite), a SAS token',
  harness(() => server, bySas, { prefix: 'here', partSize: 512 * KIB }),
  runner,
)
