import { indexConformance, indexProperties } from '@tensorhub/conformance'
import type { MongoServer } from '@tensorhub/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { indexHarness, MODES } from './servers.ts'

// A request each: fewer than embedded drivers play, unless the environment says how many.
const cases = process.env['TENSORHUB_CONFORMANCE_CASES'] ? {} : { cases: 500 }

for (const [name, { start, standIn }] of Object.entries(MODES)) {
  describe(name, () => {
    let server: MongoServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())
    const harness = indexHarness(() => server, standIn)
    const runner = { describe, it, beforeAll, afterAll }
    indexConformance(`mongodb on ${name}`, harness, runner)
    indexProperties(`mongodb on ${name}`, harness, runner, cases)
  })
}
