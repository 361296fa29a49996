import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { type HubError, isHubError } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import {
  type Action,
  answer,
  azureError,
  captivePage,
  type FaultProxy,
  gcsError,
  s3Error,
  startProxy,
} from '@tensorhub/servers/proxy'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TaskRecord, TensorHub } from '../../src/index.ts'
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
        const begin = await waitingTasks(hub)
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

await serverSuite('mongodb', 'a line to MongoDB that cannot be spoken on', () => {
  let server: MongoServer
  beforeAll(async () => {
    server = await startMongo()
  })
  afterAll(() => server?.stop())

  it.each([
    ['a certificate that nobody trusts', true, (proxy: FaultProxy) => proxy.certify({})],
    ['a certificate that has run out', true, (proxy: FaultProxy) => proxy.certify({ expired: true })],
    ['a sign-in page', false, (proxy: FaultProxy) => proxy.babble(Buffer.from(PAGE))],
    ['noise', false, (proxy: FaultProxy) => proxy.babble(randomBytes(4096))],
  ] as const)('F18: %s during heartbeats: the work goes on, and errors are classified', async (what, tls, spoil) => {
    const proxy = await startProxy(server, { protocol: 'mongodb', tls })
    const ca = join(await temporaryFolder(), 'ca.pem')
    await writeFile(ca, proxy.ca ?? '')
    const parameters = new URLSearchParams({
      directConnection: 'true',
      timeout: '2000',
      ...(tls ? { tls: 'true', tlsCAFile: ca } : {}),
    })
    const url = `${proxy.through(server.urlOf(`spoilt${process.pid}x${++databases}`))}?${parameters}`
    await using hub = await TensorHub.connect(url, { projectName: 'tutorial', scripts: 'any' })
    try {
      const task = await (await waitingTasks(hub))()
      spoil(proxy)
      proxy.cutAll()
      const made = proxy.connections.made
      const error = await hub.saveTrainingLog({ n: 1 }).catch((failure: unknown) => failure)
      const name = nameOf(error)
      noSecret(error)
      expect(error).toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|DENIED|UNKNOWN/) })
      await waitUntil(() => proxy.connections.made >= made + 3, 'heartbeats that fail')
      proxy.restore()
      if (tls) proxy.certify(undefined)
      await task.end(what)
      console.info(`F18 MongoDB, ${what}: nothing stopped; ${name}`)
    } finally {
      await proxy.close()
    }
  })
})

let databases = 0
const PAGE = 'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 22\r\n\r\n<html>Sign in</html>\r\n'

/** Makes tasks whose child waits; `end` lets it, and tells whether that one attempt ended by itself. */
async function waitingTasks(hub: TensorHub) {
  const folder = await temporaryFolder()
  const script = fileURLToPath(new URL('./waiting-script.ts', import.meta.url))
  let tasks = 0
  return async () => {
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
      expect(await running, what).toMatchObject({ status: 'finished', attempt: 1, result: { pid: expect.any(Number) } })
    }
    return { found, end }
  }
}

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
