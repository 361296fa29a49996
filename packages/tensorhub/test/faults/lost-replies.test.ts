import { loseReply } from '@tensorhub/servers/proxy'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TensorHub } from '../../src/index.ts'
import { countingHandlers, createTasks, expectWhole, workOn } from './far-work.ts'
import { FAR_BLOBS, type ProxiedStores, proxiedStores } from './proxied-stores.ts'
import { BOUND, FULL } from './scale.ts'

const WORK = FULL ? { tasks: 200, saves: 100 } : { tasks: 20, saves: 24 }
/** Whatever changes something. A claim and a commit are `findAndModify`. */
const INDEX_WRITES = ['insert', 'update', 'findAndModify', 'delete', 'commitTransaction']
const BLOB_WRITES = [
  'PutObject',
  'CompleteMultipartUpload',
  'objects.insert',
  'upload.put',
  'Put Blob',
  'Put Block List',
]

for (const [name, standalone] of [...FAR_BLOBS.map((blobs) => [blobs, false] as const), ['gridfs', true] as const]) {
  const server = standalone ? ', standalone (no sessions: no retryable writes)' : ''
  await serverSuite(
    serversOf('mongodb', name),
    `lost replies: MongoDB${server} and ${name}`,
    () => {
      let stores: ProxiedStores
      const hubs: TensorHub[] = []
      beforeAll(async () => {
        stores = await proxiedStores(name, { standalone, timeout: 20_000 })
      })
      afterAll(async () => {
        for (const hub of hubs) await hub.close()
        await stores?.close()
      })

      it('F8: every 5th reply to a write is lost: no claim, no commit and no save is lost or doubled', {
        timeout: BOUND,
      }, async () => {
        const urls = await stores.newUrls()
        const starts = new Map<number, number>()
        for (let n = 0; n < 2; n++) {
          // A client of its own each, as runners on two machines have.
          const index = `${urls.index}&appName=runner${n}`
          const own = { index, blobs: name === 'gridfs' ? index : urls.blobs }
          hubs.push(await stores.connect(own, { scripts: { handlers: countingHandlers(starts) } }))
        }
        const [hub] = hubs as [TensorHub]
        await createTasks(hub, WORK.tasks)
        const often = { every: 5, skip: 1 }
        const claims = stores.index.on({ operation: 'findAndModify' }, loseReply(), often)
        const others = stores.index.on({ operation: INDEX_WRITES }, loseReply(), often)
        const blobs = name === 'gridfs' ? undefined : stores.blobs.on({ operation: BLOB_WRITES }, loseReply(), often)
        const done = await workOn(hubs, starts, WORK)
        for (const proxy of stores.proxies) proxy.clearRules()
        const { errors } = done
        const lost = `${claims.hits} claims and commits, ${others.hits} other writes of the index, ${blobs?.hits ?? 0} of blobs`
        console.info(
          `F8 MongoDB${server} and ${name}: ${lost} lost; ${WORK.tasks} tasks, ${WORK.saves} saves; errors ${JSON.stringify(errors)}`,
        )
        expect(claims.hits).toBeGreaterThanOrEqual(WORK.tasks / 5)
        expect(others.hits).toBeGreaterThan(0)
        if (blobs !== undefined) expect(blobs.hits).toBeGreaterThan(0)
        // Nobody else is there: a lost race would be a false one.
        expect(
          Object.keys(errors).filter((error) => /EXISTS|CONFLICT|NOT_FOUND|INTEGRITY|INVALID/.test(error)),
        ).toEqual([])
        await expectWhole(hub, WORK, done)
      })
    },
    { ours: true },
  )
}
