import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { azure, blobsFromUrl, urlToHandOver } from '@tensorhub/azure'
import { type BlobStore, type HubError, isHubError, openBlobs } from '@tensorhub/core'
import { type AzureServer, freePort, startAzure } from '@tensorhub/servers'
import { answer, azureError, captivePage, type FaultProxy, startProxy } from '@tensorhub/servers/proxy'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { allOf } from './all-of.ts'
import { byKey, bySas, containerClient, newContainer, sasOf } from './containers.ts'

let server: AzureServer
let container: string
let proxy: FaultProxy
beforeAll(async () => {
  server = await startAzure()
  container = await newContainer(server)
})
afterAll(() => server.stop())
beforeEach(async () => {
  proxy = await startProxy(server, { store: 'azure' })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await proxy.close()
})

const WRONG_KEY = Buffer.from('a key that is none, as long as keys are, or nearly so').toString('base64')

/** Every call of a store that cannot be used: the same failure, and nothing in it that is secret. */
async function allFail(blobs: BlobStore, expected: object, secrets: readonly string[] = []): Promise<Error> {
  const calls = [
    () => blobs.stat('k'),
    () => blobs.read('k'),
    () => blobs.readInto('k', new Uint8Array(1), { offset: 0 }),
    () => blobs.write('k', 'x'),
    () => blobs.write('k', 'x', { when: { ifAbsent: true } }),
    () => blobs.write('k', new Blob(['x']).stream()),
    () => blobs.delete(['k']),
    () => allOf(blobs.list('')),
    () => blobs.copy('k', 'j'),
  ]
  let last: Error | undefined
  for (const call of calls) {
    const error: unknown = await call().then(
      () => undefined,
      (failure: unknown) => failure,
    )
    // To HEAD, Azurite does not say that it is the signature: its code is that of a firewall, and there is no text.
    const isHead = isHubError(error) && ['stat', 'copy'].includes(error.at.op) && server.name.startsWith('Azurite')
    const { reason, ...rest } = expected as { reason: string }
    const reasons = reason === 'CREDENTIALS' && isHead ? ['CREDENTIALS', 'PERMISSION'] : [reason]
    expect(error).toMatchObject(rest)
    expect(reasons).toContain((error as HubError).reason)
    noSecret(error, secrets)
    if (!isHead) last = error as Error
  }
  return last as Error
}

function noSecret(shown: unknown, secrets: readonly string[]): void {
  for (const text of [inspect(shown, { depth: 12, showHidden: true }), JSON.stringify(shown), String(shown)])
    for (const secret of secrets) expect(text).not.toContain(secret)
}

describe('credentials', () => {
  it('a wrong key: DENIED, CREDENTIALS, on open and on every call', async () => {
    for (const probe of [true, false]) {
      const blobs = openBlobs(azure({ ...byKey(server, container), key: WRONG_KEY, probe }))
      const error = await allFail(blobs, { code: 'DENIED', reason: 'CREDENTIALS', retryable: false }, [WRONG_KEY])
      expect(error.message).toContain(new URL(server.endpoint).host)
      expect(error.message).toContain(server.account)
    }
  })

  it('a SAS token that was tampered with, and one that has expired, which says so', async () => {
    const good = await sasOf(server, container)
    const tampered = good.replace(/sig=[^&]{6}/, 'sig=AAAAAA')
    const expired = await sasOf(server, container, 'rcwdl', -3600_000)
    for (const [sasToken, word] of [
      [tampered, 'credentials'],
      [expired, 'expired'],
    ] as const) {
      const signature = /sig=([^&]+)/.exec(sasToken)?.[1] as string
      const blobs = openBlobs(azure({ ...(await bySas(server, container)), sasToken, probe: false }))
      const secrets = [signature, decodeURIComponent(signature)]
      const error = await allFail(blobs, { code: 'DENIED', reason: 'CREDENTIALS' }, secrets)
      expect(error.message).toContain(word)
    }
  })

  it('a SAS that may only read: opens and reads; writes, deletes and copies are DENIED, PERMISSION', async () => {
    await openBlobs(azure(byKey(server, container))).write('there', 'x')
    const blobs = openBlobs(
      azure({ ...(await bySas(server, container)), sasToken: await sasOf(server, container, 'rl') }),
    )
    expect((await blobs.can()).ifAbsent).toBe(true)
    expect((await blobs.stat('there')).size).toBe(1)
    const denied = { code: 'DENIED', reason: 'PERMISSION' }
    await expect(blobs.write('k', 'x')).rejects.toMatchObject(denied)
    await expect(blobs.write('k', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject(denied)
    await expect(blobs.delete(['there'])).rejects.toMatchObject(denied)
    await expect(blobs.copy('there', 'k')).rejects.toMatchObject(denied)
    expect((await blobs.stat('there')).size).toBe(1)
  })

  it('a SAS that may write and not delete: opens; the probe it leaves is in no list', async () => {
    const own = await newContainer(server)
    const blobs = openBlobs(azure({ ...(await bySas(server, own)), sasToken: await sasOf(server, own, 'rcwl') }))
    await blobs.write('k', 'x', { when: { ifAbsent: true } })
    expect((await allOf(blobs.list(''))).map(({ key }) => key)).toEqual(['k'])
  })

  it('a clock that is wrong is told from a wrong key, by the server’s time', async () => {
    const { headers = {}, body } = azureError(403, 'AuthenticationFailed', 'Server failed to authenticate the request.')
    const date = new Date(Date.now() - 3 * 3600_000).toUTCString()
    const late = createServer((request, response) => {
      request.resume()
      response.writeHead(403, { ...headers, date }).end(request.method === 'HEAD' ? '' : body)
    })
    await new Promise<void>((resolve) => late.listen(0, '127.0.0.1', resolve))
    const endpoint = `http://127.0.0.1:${(late.address() as AddressInfo).port}/${server.account}`
    for (const probe of [true, false]) {
      const blobs = openBlobs(azure({ ...byKey(server, container), endpoint, probe }))
      await allFail(blobs, { code: 'DENIED', reason: 'CLOCK_SKEW' }, [server.key])
      await blobs.close()
    }
    late.close()
  })

  // https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
  it('what the service says of keys and rights, in our codes', async () => {
    const endpoint = proxy.through(server.endpoint)
    const blobs = openBlobs(azure({ ...byKey(server, container), endpoint, probe: false }))
    for (const [status, code, reason] of [
      [403, 'KeyBasedAuthenticationNotPermitted', 'CREDENTIALS'],
      [401, 'NoAuthenticationInformation', 'CREDENTIALS'],
      [409, 'PublicAccessNotPermitted', 'CREDENTIALS'],
      [403, 'AuthorizationFailure', 'PERMISSION'],
      [403, 'AuthorizationPermissionMismatch', 'PERMISSION'],
      [403, 'AccountIsDisabled', 'PERMISSION'],
      [403, 'SomethingNew', 'PERMISSION'],
      [412, 'LeaseIdMissing', 'PERMISSION'],
    ] as const) {
      proxy.clearRules()
      proxy.on({}, answer(azureError(status, code)))
      await allFail(blobs, { code: 'DENIED', reason, retryable: false }, [server.key])
    }
    // 409 is what passes, for most codes.
    for (const [name, expected] of [
      ['BlobImmutableDueToLegalHold', { code: 'DENIED', reason: 'PERMISSION', retryable: false }],
      ['InvalidBlobType', { code: 'INVALID', retryable: false }],
    ] as const) {
      proxy.clearRules()
      proxy.on({}, answer(azureError(409, name)))
      await allFail(blobs, expected, [server.key])
    }
    proxy.clearRules()
    await blobs.close()
  })
})

describe('places', () => {
  it('a missing container: NOT_FOUND, NO_BUCKET, with the command that makes it', async () => {
    const blobs = openBlobs(azure(byKey(server, 'never-made')))
    const error = await allFail(blobs, { code: 'NOT_FOUND', reason: 'NO_BUCKET' }, [server.key])
    expect(error.message).toContain('az storage container create --name never-made')
  })

  it('a host that refuses, one that never answers, and an account that does not exist: UNAVAILABLE within the timeout', async () => {
    const port = await freePort()
    const refused = `http://127.0.0.1:${port}/devstoreaccount1`
    proxy.blackHole()
    const silent = proxy.through(server.endpoint)
    const nowhere = 'https://nosuchaccount.blob.core.invalid'
    for (const [endpoint, word] of [
      [refused, 'ECONNREFUSED'],
      [silent, 'within 700 ms'],
      [nowhere, 'exist'],
    ] as const) {
      const began = performance.now()
      const blobs = openBlobs(azure({ ...byKey(server, container), endpoint, timeout: 700 }))
      const error = await blobs.stat('k').catch((failure: unknown) => failure)
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE', retryable: true })
      expect(String(error)).toContain(word)
      expect(String(error)).toContain(new URL(endpoint).host)
      noSecret(error, [server.key])
      expect(performance.now() - began).toBeLessThan(20_000)
    }
  })

  it('a certificate that is not trusted: UNAVAILABLE, TLS, at once', async () => {
    const tls = await startProxy(server, { store: 'azure', tls: true })
    const blobs = openBlobs(azure({ ...byKey(server, container), endpoint: tls.through(server.endpoint) }))
    const error = await allFail(blobs, { code: 'UNAVAILABLE', reason: 'TLS', retryable: false }, [server.key])
    expect(error.message).toContain('NODE_EXTRA_CA_CERTS')
    await tls.close()
  })

  it('https to a server without TLS is told as that, not as a certificate', async () => {
    const endpoint = server.endpoint.replace('http:', 'https:')
    const blobs = openBlobs(azure({ ...byKey(server, container), endpoint }))
    const error = await allFail(blobs, { code: 'UNAVAILABLE', reason: 'TLS', retryable: false }, [server.key])
    expect(error.message).toMatch(/does not speak TLS.*http:\/\/\.$/)
  })

  it('a sign-in page instead of the store: NOT_THE_STORE, never "nothing there" and never success', async () => {
    const endpoint = proxy.through(server.endpoint)
    for (const probe of [true, false]) {
      for (const page of [
        captivePage,
        { ...captivePage, status: 404 },
        { ...captivePage, status: 201 },
        { ...captivePage, status: 202 },
      ]) {
        proxy.clearRules()
        proxy.on({}, answer(page))
        const blobs = openBlobs(azure({ ...byKey(server, container), endpoint, probe }))
        await allFail(blobs, { code: 'UNAVAILABLE', reason: 'NOT_THE_STORE', retryable: false }, [server.key])
        await blobs.close()
      }
    }
  })

  it('a gateway that has no server behind it just now is waited for', async () => {
    proxy.on({}, answer({ status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' }), {
      times: 2,
    })
    const blobs = openBlobs(azure({ ...byKey(server, container), endpoint: proxy.through(server.endpoint) }))
    await blobs.write('k', 'x')
    await blobs.close()
  })
})

describe('options', () => {
  const good = { container: 'models', account: 'myaccount', key: WRONG_KEY }
  const bad: readonly (readonly [string, object])[] = [
    ['containr', { ...good, containr: 'x' }],
    ['container', { account: 'myaccount' }],
    ['container', { ...good, container: 'No_Such' }],
    ['container', { ...good, container: 'a--b' }],
    ['account', { ...good, account: 'https://x' }],
    ['key', { ...good, key: 'not base64!' }],
    ['sasToken', { ...good, sasToken: '?sig=x' }],
    ['sasToken', { container: 'models', account: 'myaccount', sasToken: 'sv=2020' }],
    ['connectionString', { container: 'models', connectionString: `AccountKey=${WRONG_KEY}` }],
    ['key', { ...good, account: undefined, connectionString: 'UseDevelopmentStorage=true' }],
    ['endpoint', { ...good, endpoint: 'ftp://x' }],
    ['endpoint', { ...good, endpoint: `https://x.y/?sig=${WRONG_KEY}` }],
    ['timeout', { ...good, timeout: 0 }],
    ['timeout', { ...good, timeout: Number.NaN }],
    ['partSize', { ...good, partSize: 2 ** 32 }],
    ['parallel', { ...good, parallel: 1.5 }],
    ['probe', { ...good, probe: 'no' }],
    ['key', { ...good, prefix: '../x' }],
    ['client', { client: {} }],
  ]
  for (const [path, options] of bad)
    it(`INVALID names ${path}: ${Object.keys(options).join(', ')}`, () => {
      let error: unknown
      try {
        azure(options as Parameters<typeof azure>[0])
      } catch (failure) {
        error = failure
      }
      expect(error).toMatchObject({ code: 'INVALID', path })
      noSecret(error, [WRONG_KEY])
    })

  it('a client together with what it knows itself is refused', () => {
    const client = containerClient(server, container)
    expect(() => azure({ client, key: WRONG_KEY } as never)).toThrow(expect.objectContaining({ code: 'INVALID' }))
  })

  it('the driver shows no secret; native gives the container’s client', async () => {
    const sas = await bySas(server, container)
    for (const options of [byKey(server, container), sas]) {
      const driver = azure(options)
      const blobs = openBlobs(driver)
      await blobs.open()
      const signature = decodeURIComponent(/sig=([^&]+)/.exec(sas.sasToken as string)?.[1] as string)
      noSecret(driver, [server.key, signature])
      noSecret(blobs, [server.key, signature])
      expect(driver.native?.()).toMatchObject({ containerName: container })
    }
    expect(azure(sas).can.sign).toBe(false)
    expect(azure(sas).sign).toBeUndefined()
  })
})

describe('URLs and the environment', () => {
  const url = (query: string) => `azblob://${container}/some/where?${query}`
  const params = () => `account=${server.account}&endpoint=${encodeURIComponent(server.endpoint)}`

  it('a URL with everything, secrets among it, and a prefix', async () => {
    const key = `key=${encodeURIComponent(server.key)}`
    const sas = `sasToken=${encodeURIComponent(await sasOf(server, container))}`
    for (const secret of [key, sas, `key=${server.key}`]) {
      const blobs = openBlobs(
        blobsFromUrl(url(`${params()}&${secret}&timeout=20000&partSize=65536&parallel=4&probe=false`)),
      )
      expect((await blobs.can()).partMin).toBe(65536)
      await blobs.write('k', 'by URL')
      const stored = await containerClient(server, container).getBlobClient('some/where/k').downloadToBuffer()
      expect(stored.toString()).toBe('by URL')
      await blobs.close()
    }
  })

  it('credentials of the environment, as az knows them; they go to no other account', async () => {
    vi.stubEnv('AZURE_STORAGE_ACCOUNT', server.account)
    vi.stubEnv('AZURE_STORAGE_KEY', server.key)
    const blobs = openBlobs(azure({ container, endpoint: server.endpoint }))
    await blobs.write('env', 'x')
    expect(azure({ container, account: 'otheraccount' }).can.sign).toBe(true)
    const native = async (options: Parameters<typeof azure>[0]) => {
      const driver = azure({ ...options, probe: false } as Parameters<typeof azure>[0])
      await driver.open?.({})
      return driver.native?.() as ReturnType<typeof containerClient>
    }
    // Not the key: that belongs to the first account.
    expect('getToken' in (await native({ container, account: 'otheraccount' })).credential).toBe(true)
    vi.stubEnv('AZURE_STORAGE_KEY', '')
    vi.stubEnv('AZURE_STORAGE_SAS_TOKEN', await sasOf(server, container))
    await openBlobs(azure({ container, endpoint: server.endpoint })).stat('env')
    vi.stubEnv('AZURE_STORAGE_SAS_TOKEN', '')
    vi.stubEnv('AZURE_STORAGE_ACCOUNT', '')
    vi.stubEnv('AZURE_STORAGE_CONNECTION_STRING', server.connectionString)
    await openBlobs(azure({ container })).stat('env')
    await openBlobs(azure({ container, account: server.account })).stat('env')
    expect('getToken' in (await native({ container, account: 'otheraccount' })).credential).toBe(true)
    vi.stubEnv('AZURE_STORAGE_CONNECTION_STRING', '')
    expect(() => azure({ container })).toThrow(expect.objectContaining({ code: 'INVALID', path: 'account' }))
    await openBlobs(azure({ container, connectionString: server.connectionString })).stat('env')
  })

  it('a URL that is handed over needs nothing of the environment', async () => {
    const bare = `azblob://${container}/handed`
    const sas = await sasOf(server, container)
    for (const [url, given] of [
      [bare, { AZURE_STORAGE_CONNECTION_STRING: server.connectionString }],
      [`${bare}?${params()}`, { AZURE_STORAGE_KEY: server.key }],
      [`${bare}?${params()}`, { AZURE_STORAGE_SAS_TOKEN: sas }],
      [`${bare}?${params()}&key=${encodeURIComponent(server.key)}`, {}],
    ] as const) {
      for (const [name, value] of Object.entries(given)) vi.stubEnv(name, value)
      const complete = await urlToHandOver(url)
      for (const name of Object.keys(given)) vi.stubEnv(name, '')
      const blobs = openBlobs(blobsFromUrl(complete))
      await blobs.write('k', 'handed over')
      await blobs.close()
    }
  })

  for (const [what, bad, path] of [
    ['an unknown parameter', 'azblob://c1c/p?region=x', 'region'],
    ['a number that is none', 'azblob://c1c/p?account=abc&key=YQ==&timeout=soon', 'timeout'],
    ['an empty number', 'azblob://c1c/p?account=abc&key=YQ==&parallel=', 'parallel'],
    ['probe', 'azblob://c1c/p?account=abc&key=YQ==&probe=yes', 'probe'],
    ['no container', 'azblob:///p?account=abc', 'url'],
    ['a login', 'azblob://me:YQ==@c1c/p?account=abc', 'url'],
    ['a bad escape', 'azblob://c1c/%zz?account=abc&key=YQ==', 'prefix'],
  ] as const)
    it(`INVALID: ${what}`, () => {
      let error: unknown
      try {
        blobsFromUrl(bad)
      } catch (failure) {
        error = failure
      }
      expect(error).toMatchObject({ code: 'INVALID', path })
      noSecret(error, ['YQ=='])
    })
})
