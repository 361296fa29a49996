import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { nameOfPair, type OpenPair, openPair, PAIRS } from '@tensorhub/servers/pairs'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { prepare, SCENARIOS } from './crash-scenarios.ts'
import { crash, goesOn, holds } from './crashed-hub.ts'
import { type Kill, KillingStores, MOMENTS } from './killing-stores.ts'
import { largeScript } from './large-script.ts'
import { BOUND, FULL } from './scale.ts'

/** How many changes a scenario makes, counted on stores in memory; others may make one more or less. */
const counted = new Map<string, Promise<number>>()
function changesOf(scenario: string, script: string): Promise<number> {
  const count = async () => {
    const stores = new KillingStores(undefined)
    const [documents, bytes] = [new Map(), new Map()]
    const options = { projectName: 'tutorial', collect: false }
    const first = await TensorHub.connect({ ...options, index: memoryIndex(documents), blobs: memoryBlobs(bytes) })
    await prepare(first, script)
    await first.close()
    const index = memoryIndex(documents)
    await using hub = await TensorHub.connect({
      ...{ index: stores.index(index), blobs: stores.blobs(memoryBlobs(bytes)), projectName: 'tutorial' },
      collect: SCENARIOS[scenario]?.collects === true,
    })
    stores.arm()
    await SCENARIOS[scenario]?.act({ hub, index, script })
    return stores.changes
  }
  const known = counted.get(scenario) ?? count()
  counted.set(scenario, known)
  return known
}

/** The pair's turn at a scenario: each takes another of its changes and moments, evenly over all of them. */
function turnOf(pair: number, scenario: number, changes: number): Kill {
  const moments = changes * MOMENTS.length
  const place = (pair * 3 + scenario) % PAIRS.length
  const moment = Math.floor(((place + 0.5) / PAIRS.length) * moments)
  const when = MOMENTS[moment % MOMENTS.length] as Kill['when']
  return {
    at: Math.floor(moment / MOMENTS.length) + 1,
    when,
    ...(when === 'during' ? { pause: 1 + (moment % 7) } : {}),
  }
}

/** A server can't be copied like a folder: each kill has stores of its own. */
for (const [turn, [index, blobs]] of PAIRS.entries()) {
  const servers = serversOf(index, blobs)
  const body = () => {
    let pair: OpenPair | undefined
    const all = { points: 0, acknowledged: 0, visible: 0, whole: 0 }
    beforeAll(async () => {
      pair = await openPair(index, blobs)
    })
    afterAll(async () => {
      await pair?.close()
      console.log(
        `F6 ${nameOfPair(index, blobs)}: ${all.points} kills, ${all.acknowledged} acknowledged, ${all.visible} saves visible; ${all.whole} hubs whole and without leaks afterwards`,
      )
    })

    it.concurrent.each(Object.keys(SCENARIOS).map((name, n) => [name, n] as const))(
      'while it does: %s',
      { timeout: BOUND },
      async (scenario, n) => {
        const script = await largeScript()
        /** @returns whether the process died; it does not when the scenario makes fewer changes. */
        const dies = async (kill: Kill, emptied: boolean) => {
          const urls = await (pair as OpenPair).newHub()
          const hub = await TensorHub.connect({ ...urls, projectName: 'tutorial', collect: false })
          await prepare(hub, script)
          await hub.close()
          const { died, acknowledged } = await crash(urls, scenario, kill, script)
          if (died) all.points++
          if (acknowledged) all.acknowledged++
          if (await holds(urls, scenario, acknowledged)) all.visible++
          await goesOn(urls, script, emptied)
          if (died) all.whole++
          return died
        }
        if (FULL) {
          for (let at = 1; ; at++)
            for (const when of MOMENTS)
              if (!(await dies({ at, when, ...(when === 'during' ? { pause: 1 + (at % 7) } : {}) }, true))) return
        }
        const kill = turnOf(turn, n, await changesOf(scenario, script))
        // Changes beside each other, and those of a collection in the background, are not as many every time.
        if (!(await dies(kill, (turn + n) % 3 === 0))) expect(kill.at).toBeGreaterThan(1)
      },
    )
  }
  await serverSuite(servers, `F6 on ${nameOfPair(index, blobs)}: a process killed at changes of a store`, body)
}
