import { type Action, answer, azureError, gcsError, type ProxiedRequest, s3Error } from '@tensorhub/servers/proxy'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TensorHub } from '../../src/index.ts'
import { countingHandlers, createTasks, expectWhole, workOn } from './far-work.ts'
import { FAR_BLOBS, type FarBlobs, type ProxiedStores, proxiedStores } from './proxied-stores.ts'
import { BOUND, FULL } from './scale.ts'

const WORK = FULL ? { tasks: 200, saves: 100 } : { tasks: 16, saves: 12 }
const READS = ['find', 'getMore', 'aggregate']
const WRITES = ['insert', 'update', 'findAndModify', 'delete']

/** https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
const INDEX_STORM: readonly (readonly [operations: readonly string[], Action, rate: number])[] = [
  [WRITES, answer({ code: 112, codeName: 'WriteConflict' }), 0.2],
  [[...READS, ...WRITES], answer({ code: 16500, codeName: 'TooManyRequests' }), 0.15],
  [[...READS, ...WRITES], answer({ code: 262, codeName: 'ExceededTimeLimit' }), 0.1],
  [[...READS, ...WRITES], answer({ code: 10107, codeName: 'NotWritablePrimary', errmsg: 'not primary' }), 0.01],
]

const isWrite = ({ method }: ProxiedRequest) => method === 'PUT' || method === 'POST'
/** A condition, in any store's words. */
const isConditional = ({ headers, query }: ProxiedRequest) =>
  ['if-match', 'if-none-match', 'x-goog-if-generation-match'].some((name) => headers.has(name)) ||
  query.has('ifGenerationMatch')

const BLOB_STORM: Readonly<
  Record<
    Exclude<FarBlobs, 'gridfs'>,
    readonly (readonly [(request: ProxiedRequest) => boolean, Action, rate: number])[]
  >
> = {
  s3: [
    [isConditional, answer(s3Error(412, 'PreconditionFailed')), 0.3],
    [isWrite, answer(s3Error(409, 'OperationAborted')), 0.2],
    [() => true, answer(s3Error(503, 'SlowDown')), 0.3],
    [() => true, answer(s3Error(429, 'TooManyRequests')), 0.1],
  ],
  gcs: [
    [isConditional, answer(gcsError(412, 'conditionNotMet')), 0.3],
    [isWrite, answer(gcsError(409, 'conflict')), 0.2],
    [() => true, answer(gcsError(503, 'backendError')), 0.3],
    [() => true, answer(gcsError(429, 'rateLimitExceeded')), 0.1],
  ],
  azure: [
    [isConditional, answer(azureError(412, 'ConditionNotMet')), 0.3],
    [isWrite, answer(azureError(409, 'PendingCopyOperation')), 0.2],
    [() => true, answer(azureError(503, 'ServerBusy')), 0.3],
    [() => true, answer(azureError(429, 'TooManyRequests')), 0.1],
  ],
}

for (const name of FAR_BLOBS)
  await serverSuite(
    serversOf('mongodb', name),
    `storms: MongoDB and ${name}`,
    () => {
      let stores: ProxiedStores
      const hubs: TensorHub[] = []
      beforeAll(async () => {
        stores = await proxiedStores(name)
      })
      afterAll(async () => {
        for (const hub of hubs) await hub.close()
        await stores?.close()
      })

      it('F9: all tasks finish and all saves are right; few requests an operation; no conflict is told that was none', {
        timeout: BOUND,
      }, async () => {
        const urls = await stores.newUrls()
        const starts = new Map<number, number>()
        for (let n = 0; n < 2; n++)
          hubs.push(await stores.connect(urls, { scripts: { handlers: countingHandlers(starts) } }))
        const [hub] = hubs as [TensorHub]
        await createTasks(hub, WORK.tasks)
        for (const proxy of stores.proxies) proxy.forget()
        const rules = INDEX_STORM.map(([operation, action, rate]) => stores.index.on({ operation }, action, { rate }))
        if (name !== 'gridfs')
          for (const [matcher, action, rate] of BLOB_STORM[name]) rules.push(stores.blobs.on(matcher, action, { rate }))
        const done = await workOn(hubs, starts, WORK)

        // One request without a storm.
        const perLog: number[] = []
        for (let n = 0; n < 20; n++) {
          const before = stores.index.count({ operation: 'insert' })
          await hub.saveTrainingLog({ n }).catch(() => undefined)
          perLog.push(stores.index.count({ operation: 'insert' }) - before)
        }
        const perBlob = new Map<string, number>()
        const unnamed = { sent: 0, done: 0 }
        if (name !== 'gridfs')
          for (const request of stores.blobs.requests) {
            const blob = blobOf(request)
            if (blob === undefined) {
              unnamed.sent++
              if (request.status < 300) unnamed.done++
              continue
            }
            const kind = `${request.method} ${blob}`
            perBlob.set(kind, (perBlob.get(kind) ?? 0) + 1)
          }
        for (const proxy of stores.proxies) proxy.clearRules()
        const figures = [`an insert median ${median(perLog)}, most ${Math.max(...perLog)}`]
        const ofBlobs = [...perBlob.values()]
        if (ofBlobs.length > 0) figures.push(`a blob median ${median(ofBlobs)}, most ${Math.max(...ofBlobs)}`)
        const perUpload = unnamed.sent / unnamed.done
        if (unnamed.sent > 0) figures.push(`an upload mean ${perUpload.toFixed(1)}`)
        const hits = rules.reduce((sum, rule) => sum + rule.hits, 0)
        console.info(
          `F9 MongoDB and ${name}: ${hits} requests refused; requests: ${figures.join('; ')}; errors ${JSON.stringify(done.errors)}`,
        )
        expect(hits).toBeGreaterThan(WORK.tasks)
        expect(median(perLog)).toBeLessThanOrEqual(6)
        if (ofBlobs.length > 0) expect(median(ofBlobs)).toBeLessThanOrEqual(6)
        if (unnamed.sent > 0) expect(perUpload).toBeLessThanOrEqual(6)
        expect(Object.keys(done.errors).filter((error) => /CONFLICT|EXISTS|INTEGRITY|INVALID/.test(error))).toEqual([])
        await expectWhole(hub, WORK, done)
      })
    },
    { ours: true },
  )

/** GCS has the name of what it stores beside the path; an upload in one request has it in its body, where the proxy does not look. */
function blobOf({ operation, path, query }: ProxiedRequest): string | undefined {
  if (operation === 'objects.insert' && !query.has('name')) return undefined
  return query.get('name') ?? path
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number
}
