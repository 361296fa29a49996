import { createServer } from 'node:net'
import { inspect } from 'node:util'
import type { HubError } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { BLOBS, type BlobsName, type OpenLayer } from '@tensorhub/servers/layers'
import {
  answer,
  azureError,
  type FaultProxy,
  gcsError,
  type HttpAnswer,
  s3Error,
  startProxy,
} from '@tensorhub/servers/proxy'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'

type HttpBlobs = 's3' | 'gcs' | 'azure'
const SECRET = Buffer.from('hunter2-hunter2-hunter2').toString('base64')

interface StoreWords {
  /** The URL through a proxy, with what is to be wrong in it. */
  url(
    proxy: FaultProxy,
    place: { readonly bucket: string; readonly credentials: 'right' | 'wrong' | 'environment' },
  ): string
  readonly wrong: HttpAnswer
  readonly notAllowed: HttpAnswer
  readonly written: HttpAnswer
  /** Its writes of a whole blob. */
  readonly write: string
  readonly makes: RegExp
}

let bucket = ''
let right: Readonly<Record<string, string>> = {}
const query = (parameters: Readonly<Record<string, string>>) => new URLSearchParams({ timeout: '2000', ...parameters })

const WORDS: Readonly<Record<HttpBlobs, StoreWords>> = {
  s3: {
    url: (proxy, { bucket, credentials }) => {
      const own = { accessKeyId: right['accessKeyId'] as string, secretAccessKey: right['secretAccessKey'] as string }
      const keys = credentials === 'right' ? own : { ...own, secretAccessKey: SECRET }
      const scheme = proxy.ca === undefined ? 'http' : 'https'
      return `s3://${bucket}/p?${query({ endpoint: `${scheme}://127.0.0.1:${proxy.port}`, region: 'us-east-1', ...keys })}`
    },
    wrong: s3Error(403, 'SignatureDoesNotMatch'),
    notAllowed: s3Error(403, 'AccessDenied'),
    written: { status: 200, headers: { etag: '"0123"' } },
    write: 'PutObject',
    makes: /bucket/i,
  },
  gcs: {
    url: (proxy, { bucket }) =>
      `gs://${bucket}/p?${query({ endpoint: `${proxy.ca === undefined ? 'http' : 'https'}://127.0.0.1:${proxy.port}`, projectId: 'p' })}`,
    wrong: gcsError(401, 'authError', 'Invalid Credentials'),
    notAllowed: gcsError(403, 'forbidden', 'does not have storage.objects.create access'),
    written: {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        kind: 'storage#object',
        name: 'x',
        bucket: 'b',
        generation: '2',
        size: '0',
        updated: new Date(0).toISOString(),
      }),
    },
    write: 'objects.insert',
    makes: /bucket/i,
  },
  azure: {
    url: (proxy, { bucket, credentials }) => {
      const { account, key } = right as { account: string; key: string }
      const endpoint = `${proxy.ca === undefined ? 'http' : 'https'}://127.0.0.1:${proxy.port}/${account}`
      return `azblob://${bucket}/p?${query({ endpoint, account, key: credentials === 'right' ? key : SECRET })}`
    },
    wrong: azureError(403, 'AuthenticationFailed'),
    notAllowed: azureError(403, 'AuthorizationPermissionMismatch'),
    written: { status: 201, headers: { etag: '"0x1"', 'last-modified': new Date(0).toUTCString() } },
    write: 'Put Blob',
    makes: /container/i,
  },
}

for (const name of ['s3', 'gcs', 'azure'] as const satisfies readonly BlobsName[])
  await serverSuite(
    serversOf(name),
    `connect with what is wrong: ${name}`,
    () => {
      let layer: OpenLayer
      let proxy: FaultProxy
      let secure: FaultProxy
      beforeAll(async () => {
        layer = await BLOBS[name].open()
        const url = new URL((await layer.newUrl()).replace(/^[a-z0-9]+:/, 'http:'))
        bucket = url.hostname
        right = { ...(layer.server as unknown as Record<string, string>) }
        const target = layer.server as NonNullable<OpenLayer['server']>
        proxy = await startProxy(target, { store: name })
        secure = await startProxy(target, { store: name, tls: true })
      })
      afterAll(async () => {
        await secure?.close()
        await proxy?.close()
        await layer?.close()
      })
      afterEach(() => proxy.clearRules())
      const words = WORDS[name]
      const connect = (blobs: string) => TensorHub.connect({ index: 'memory:', blobs, projectName: 'p' })

      it('each is a typed error that names the host and the remedy, and shows no secret', async () => {
        const good = () => words.url(proxy, { bucket, credentials: 'right' })
        const nobody = await freePort()
        const figures: string[] = []
        const cases: readonly (readonly [
          what: string,
          url: string,
          rule: HttpAnswer | undefined,
          code: string,
          reason: string,
          remedy: RegExp,
        ])[] = [
          // fake-gcs-server looks at no credentials.
          [
            'wrong credentials',
            words.url(proxy, { bucket, credentials: 'wrong' }),
            name === 'gcs' ? words.wrong : undefined,
            'DENIED',
            'CREDENTIALS',
            /credential|key/i,
          ],
          [
            'no permission to write',
            good(),
            words.notAllowed,
            'DENIED',
            'PERMISSION',
            /allow|permission|grant|role|policy|right/i,
          ],
          [
            'no bucket',
            words.url(proxy, { bucket: 'never-made', credentials: 'right' }),
            undefined,
            'NOT_FOUND',
            'NO_BUCKET',
            words.makes,
          ],
          [
            'an unreachable host',
            good().replaceAll(String(proxy.port), String(nobody)),
            undefined,
            'UNAVAILABLE',
            'UNREACHABLE',
            /reach|refused|answer/i,
          ],
          [
            'a certificate that nobody signed',
            words.url(secure, { bucket, credentials: 'right' }),
            undefined,
            'UNAVAILABLE',
            'TLS',
            /NODE_EXTRA_CA_CERTS|certificate/,
          ],
        ]
        for (const [what, url, rule, code, reason, remedy] of cases) {
          proxy.clearRules()
          if (rule !== undefined) proxy.on({}, answer(rule))
          const error = await failureOf(connect(url), what)
          figures.push(`${what}: ${error.code}/${error.reason}`)
          expect([error.code, error.reason], `${what}: ${error.message}`).toEqual([code, reason])
          const port = /127\.0\.0\.1%3A(\d+)/.exec(url)?.[1]
          expect(error.message, what).toContain(`127.0.0.1:${port}`)
          expect(error.message, what).toMatch(remedy)
          noSecret(error, [SECRET, right['secretAccessKey'], right['key']])
        }
        console.info(`bad input, ${name}: ${figures.join('; ')}`)
      })

      it('a store that ignores conditions serves a whole hub: its writes have none', async () => {
        // The second of two writes that may each only create succeeds.
        proxy.on({ operation: words.write }, answer(words.written), { skip: 1, times: 1 })
        await using hub = await connect(words.url(proxy, { bucket, credentials: 'right' }))
        proxy.clearRules()
        proxy.forget()
        const data = Float32Array.from({ length: 50_000 }, () => Math.random())
        await hub.models.save('m', [data])
        await hub.models.save('m', [data])
        expect(await (await hub.models.open({ model_name: 'm' }))?.load()).toEqual([data])
        await hub.deleteModel({})
        await hub.gc({ grace: 0, allowShortGrace: true })
        const conditions = ['if-match', 'if-none-match', 'x-goog-if-generation-match']
        const writes = proxy.requests.filter(({ operation }) => operation === words.write)
        expect(writes.length).toBe(1)
        if (name !== 'gcs')
          expect(writes.filter(({ headers }) => conditions.some((header) => headers.has(header)))).toEqual([])
      })
    },
    { ours: true },
  )

await serverSuite(
  'mongodb',
  'connect with what is wrong: MongoDB, GridFS',
  () => {
    let server: MongoServer
    let plain: FaultProxy
    let secure: FaultProxy
    beforeAll(async () => {
      server = await startMongo({ auth: { username: 'ann', password: 'right' } })
      plain = await startProxy(server, { protocol: 'mongodb' })
      secure = await startProxy(server, { protocol: 'tcp', tls: true })
    })
    afterAll(async () => {
      await plain?.close()
      await secure?.close()
      await server?.stop()
    })

    it('each is a typed error that names the host and the remedy, and shows no secret', async () => {
      const url = (port: number, login: string, more = '') =>
        `mongodb://${login}127.0.0.1:${port}/db?directConnection=true&timeout=1500${more}`
      const nobody = await freePort()
      const figures: string[] = []
      const cases = [
        [
          'a wrong password',
          url(server.port, 'ann:hunter2pw@', '&authSource=admin'),
          'DENIED',
          'CREDENTIALS',
          /password|authSource/,
        ],
        ['no password', url(server.port, ''), 'DENIED', 'CREDENTIALS', /password|authSource/],
        ['an unreachable host', url(nobody, 'ann:hunter2pw@'), 'UNAVAILABLE', 'UNREACHABLE', /run|connect/],
        [
          'a certificate that nobody signed',
          url(secure.port, 'ann:hunter2pw@', '&tls=true'),
          'UNAVAILABLE',
          'TLS',
          /tlsCAFile/,
        ],
      ] as const
      for (const [what, text, code, reason, remedy] of cases) {
        for (const form of ['both', 'index', 'blobs'] as const) {
          const attempt =
            form === 'both'
              ? TensorHub.connect(text, { projectName: 'p' })
              : TensorHub.connect({ index: 'memory:', blobs: 'memory:', [form]: text, projectName: 'p' })
          const error = await failureOf(attempt, `${what}, ${form}`)
          if (form === 'both') figures.push(`${what}: ${error.code}/${error.reason}`)
          expect([error.code, error.reason], `${what}, ${form}: ${error.message}`).toEqual([code, reason])
          expect(error.message, what).toContain(/127\.0\.0\.1:\d+/.exec(text)?.[0])
          expect(error.message, what).toMatch(remedy)
          noSecret(error, ['hunter2pw'])
        }
      }
      plain.on(
        { operation: ['insert', 'createIndexes'] },
        answer({ code: 13, codeName: 'Unauthorized', errmsg: 'not authorized on db' }),
      )
      const error = await failureOf(
        TensorHub.connect(url(plain.port, 'ann:right@', '&authSource=admin'), { projectName: 'p' }),
        'no permission',
      )
      figures.push(`no permission to write: ${error.code}/${error.reason}`)
      expect(error).toMatchObject({
        code: 'DENIED',
        reason: 'PERMISSION',
        message: expect.stringContaining('readWrite'),
      })
      noSecret(error, ['right@'])
      console.info(`bad input, MongoDB: ${figures.join('; ')}`)
    })
  },
  { ours: true },
)

/** Of connecting, or of the first save: who may only read is let in. */
async function failureOf(work: Promise<TensorHub>, what: string): Promise<HubError> {
  try {
    await using hub = await work
    await hub.models.save('m', [Float32Array.from({ length: 20_000 }, () => Math.random())])
  } catch (error) {
    expect(error, what).toMatchObject({ name: 'HubError' })
    return error as HubError
  }
  throw new Error(`${what}: saved all the same`)
}

/** In its message, stack, causes and whatever else a log would show of it. */
function noSecret(error: HubError, secrets: readonly (string | undefined)[]): void {
  const shown = [inspect(error, { depth: 12, showHidden: true }), JSON.stringify(error), String(error), error.stack]
  for (const secret of secrets)
    if (secret !== undefined)
      for (const text of shown) {
        expect(text).not.toContain(secret)
        expect(text).not.toContain(encodeURIComponent(secret))
      }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
