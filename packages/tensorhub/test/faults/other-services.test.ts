import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { type HubError, isHubError } from '@tensorhub/core'
import { type Action, answer, azureError, captivePage, gcsError, s3Error } from '@tensorhub/servers/proxy'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TaskRecord, TensorHub } from '../../src/index.ts'
import { waitUntil } from '../tasks/wait-until.ts'
import { temporaryFolder } from '../temporary-hub.ts'
import { type FarBlobs, type ProxiedStores, proxiedStores } from './proxied-stores.ts'

const LEASE = 6000
const denied = {
  s3: s3Error(403, 'InvalidAccessKeyId'),
  gcs: gcsError(401, 'authError'),
  azure: azureError(403, 'AuthenticationFailed'),
} as const

/** What the index's heartbeats meet: the server's own words for it, where it has some. */
const OF_INDEX: readonly (readonly [what: string, Action])[] = [
  ['authentication fails', answer({ code: 18, codeName: 'AuthenticationFailed', errmsg: 'Authentication failed.' })],
  ['a right is gone', answer({ code: 13, codeName: 'Unauthorized', errmsg: 'not authorized on db' })],
  ['another service answers', answer({ code: 59, codeName: 'CommandNotFound', errmsg: 'no such command' })],
]

for (const name of ['s3', 'gcs', 'azure'] as const satisfies readonly FarBlobs[])
  await serverSuite(
    serversOf('mongodb', name),
    `other answers than the store's: MongoDB and ${name}`,
    () => {
      let stores: ProxiedStores
      let hub: TensorHub
      beforeAll(async () => {
        stores = await proxiedStores(name, { timeout: 2000 })
      })
      afterAll(async () => {
        await hub?.close()
        await stores?.close()
      })

      it('F18: no work is ended before its lease may have passed on, whatever the stores are taken for; errors are classified and show no secret', async () => {
        hub = await stores.connect(await stores.newUrls(), { scripts: 'any' })
        const folder = await temporaryFolder()
        const script = fileURLToPath(new URL('./waiting-script.ts', import.meta.url))
        let tasks = 0
        /** A task whose child waits; `end` lets it, and tells whether that one attempt ended by itself. */
        const begin = async () => {
          const file = join(folder, String(++tasks))
          const own = { hyperParameters: { file }, savedResultKeys: ['pid'] }
          const { _id } = await hub.createTask('t', script, { ...own, lease: LEASE })
          const running = hub.runTopTask('t')
          const found = () => hub.tasks.top({ _id }) as Promise<TaskRecord>
          await waitUntil(async () => {
            const { heartbeat_at, started_at } = await found()
            return Number(heartbeat_at) > Number(started_at)
          }, 'it runs')
          const end = async (what: string) => {
            await writeFile(file, '')
            expect(await running, what).toMatchObject({
              status: 'finished',
              attempt: 1,
              result: { pid: expect.any(Number) },
            })
          }
          return { found, end }
        }
        const figures: string[] = []
        for (const [what, action] of OF_INDEX) {
          const task = await begin()
          const rule = stores.index.on({ operation: ['findAndModify', 'insert'] }, action)
          const error = await hub.saveTrainingLog({ n: 1 }).catch((failure: unknown) => failure)
          figures.push(`${what}: ${nameOf(error)}`)
          noSecret(error)
          // Two heartbeats at least have failed, and the lease is still trusted.
          await waitUntil(() => rule.hits >= 3, 'heartbeats that fail')
          rule.off()
          await task.end(what)
        }
        for (const [what, action] of [
          ['a sign-in page', answer(captivePage)],
          ['a page that says 404', answer({ ...captivePage, status: 404 })],
          ['authentication fails', answer(denied[name])],
        ] as const) {
          const task = await begin()
          const rule = stores.blobs.on({}, action)
          const error = await hub.models.save('m', [noise()]).catch((failure: unknown) => failure)
          figures.push(`blobs, ${what}: ${nameOf(error)}`)
          noSecret(error)
          expect(error).toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|DENIED/) })
          const beat = async () => Number((await task.found())['heartbeat_at'])
          const before = await beat()
          await waitUntil(async () => (await beat()) > before, 'a heartbeat all the same')
          rule.off()
          await task.end(what)
        }
        console.info(`F18 MongoDB and ${name}: nothing stopped; ${figures.join('; ')}`)
      })
    },
    { ours: true },
  )

function nameOf(error: unknown): string {
  expect(isHubError(error), String(error)).toBe(true)
  const { code, reason } = error as HubError
  expect(code).not.toBe('INVALID')
  return reason === undefined ? code : `${code}/${reason}`
}

function noSecret(error: unknown): void {
  const shown = inspect(error, { depth: 12, showHidden: true })
  const secrets = [
    process.env['AWS_SECRET_ACCESS_KEY'],
    /AccountKey=([^;]+)/.exec(process.env['AZURE_STORAGE_CONNECTION_STRING'] ?? '')?.[1],
  ]
  for (const secret of secrets) if (secret) expect(shown).not.toContain(secret)
}

function noise(): Float32Array {
  return Float32Array.from({ length: 30_000 }, () => Math.random())
}
