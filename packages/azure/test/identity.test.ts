import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { AnonymousCredential, ContainerClient, type StoragePipelineOptions } from '@azure/storage-blob'
import { azure } from '@tensorhub/azure'
import { openBlobs } from '@tensorhub/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { strictFake } from './strict-fake.ts'

const SECRET = 'eyJ-a-token-that-nobody-may-see'
const ETAG = '"0x8DC0FFEE"'

/** What a sign-in gives: a token for every scope. */
const signedIn = { getToken: async () => ({ token: SECRET, expiresOnTimestamp: Date.now() + 3_600_000 }) }

beforeEach(() => {
  // No machine's own sign-in is to be found.
  for (const name of ['ACCOUNT', 'KEY', 'SAS_TOKEN', 'CONNECTION_STRING']) vi.stubEnv(`AZURE_STORAGE_${name}`, '')
})
afterEach(() => {
  vi.unstubAllEnvs()
})

describe('DefaultAzureCredential', () => {
  it('not installed: UNSUPPORTED, PACKAGE_MISSING, with the command', async () => {
    const script = join(import.meta.dirname, 'processes', 'no-identity.ts')
    const printed = execFileSync(process.execPath, [script], { encoding: 'utf8' })
    expect(JSON.parse(printed)).toEqual({
      ...{ code: 'UNSUPPORTED', reason: 'PACKAGE_MISSING' },
      message: expect.stringContaining('npm i @azure/identity'),
    })
  })

  it('over http: INVALID before anything is sent, since a token must not be', () => {
    const endpoint = 'http://127.0.0.1:10000/myaccount'
    expect(() => azure({ container: 'models', endpoint })).toThrow(
      expect.objectContaining({ code: 'INVALID', path: 'endpoint' }),
    )
  })

  it('installed, and nobody signed in: DENIED, CREDENTIALS, with what to do', async () => {
    vi.stubEnv('PATH', '/nonexistent')
    vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'dev')
    const blobs = openBlobs(azure({ container: 'models', account: 'myaccount' }))
    await expect(blobs.stat('k')).rejects.toMatchObject({
      ...{ code: 'DENIED', reason: 'CREDENTIALS' },
      message: expect.stringContaining('az login'),
    })
  })
})

describe('signed in', () => {
  const key = `<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid><SignedStart>2026-01-01T00:00:00Z</SignedStart><SignedExpiry>2030-01-01T00:00:00Z</SignedExpiry><SignedService>b</SignedService><SignedVersion>2026-02-06</SignedVersion><Value>c2VjcmV0</Value></UserDelegationKey>`

  const fake = () =>
    strictFake(({ method, query, headers }) => {
      if (headers.authorization !== `Bearer ${SECRET}`) return { status: 401 }
      if (method === 'POST' && query.get('comp') === 'userdelegationkey') return { status: 200, body: key }
      const found = { etag: ETAG, 'last-modified': new Date().toUTCString(), 'content-length': '1' }
      if (method === 'HEAD') return { status: 200, headers: found }
      return { status: 202, headers: { etag: ETAG, 'last-modified': new Date().toUTCString() } }
    }, true)

  /** The client's own pipeline trusts the fake's certificate: the delegation key has to be asked for through it too. */
  const through = ({ endpoint, ca }: { endpoint: string; ca: string }) => {
    const options = { tlsOptions: { ca } } as StoragePipelineOptions
    return azure({ client: new ContainerClient(`${endpoint}/models`, signedIn as never, options), probe: false })
  }

  // https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
  it('signs URLs by a user delegation key, for seven days at most', async () => {
    await using server = await fake()
    const blobs = openBlobs(through(server))
    const outcome = await blobs.sign('k', { method: 'GET', expiresIn: 60 }).catch((error: unknown) => error)
    expect(outcome).toBeInstanceOf(URL)
    const { searchParams, pathname } = outcome as URL
    expect(pathname).toBe('/fakeaccount/models/k')
    expect([searchParams.get('skoid'), searchParams.get('sp'), searchParams.get('sr')]).toEqual(['oid', 'r', 'b'])
    expect((outcome as URL).href).not.toContain(SECRET)
    await expect(blobs.sign('k', { method: 'GET', expiresIn: 8 * 86_400 })).rejects.toMatchObject({
      ...{ code: 'INVALID', path: 'expiresIn' },
    })
  })

  // https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
  it('copies with the token as the proof for the source', async () => {
    await using server = await fake()
    const blobs = openBlobs(through(server))
    await blobs.copy('from', 'to')
    const copy = server.asked.find(({ headers }) => headers['x-ms-copy-source'] !== undefined)
    expect(copy?.headers['x-ms-copy-source-authorization']).toBe(`Bearer ${SECRET}`)
    expect(copy?.headers['x-ms-source-if-match']).toBe(ETAG)
  })

  it('a client without any credentials cannot sign, and says so', () => {
    const client = new ContainerClient('https://myaccount.blob.core.windows.net/models', new AnonymousCredential())
    expect(azure({ client }).can.sign).toBe(false)
    expect(azure({ client }).sign).toBeUndefined()
  })
})
