import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { Storage } from '@google-cloud/storage'
import { openBlobs, openBlobsUrl } from '@tensorhub/core'
import { blobsFromUrl, type GcsOptions, gcs, urlToHandOver } from '@tensorhub/gcs'
import { freePort, type GcsServer, startGcs } from '@tensorhub/servers'
import { answer, type FaultProxy, gcsError, startProxy } from '@tensorhub/servers/proxy'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { newBucket } from './bucket.ts'
import { errorOf } from './error-of.ts'
import { likeGoogle } from './like-google.ts'

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const credentials = { client_email: 'robot@project.iam.gserviceaccount.com', private_key: PEM }

afterEach(() => vi.unstubAllEnvs())

describe('options', () => {
  it.each<[string, object]>([
    ['bucket', {}],
    ['bucket', { bucket: 'A' }],
    ['bucket', { bucket: 'a/b' }],
    ['prefix', { bucket: 'bucket', prefix: '../up' }],
    ['prefix', { bucket: 'bucket', prefix: '/' }],
    ['timeout', { bucket: 'bucket', timeout: 0 }],
    ['timeout', { bucket: 'bucket', timeout: '5' }],
    ['partSize', { bucket: 'bucket', partSize: 1000 }],
    ['partSize', { bucket: 'bucket', partSize: 300_000 }],
    ['parallel', { bucket: 'bucket', parallel: 1.5 }],
    ['upload', { bucket: 'bucket', upload: 'resumable' }],
    ['probe', { bucket: 'bucket', probe: 'no' }],
    ['endpoint', { bucket: 'bucket', endpoint: 'storage.example' }],
    ['endpoint', { bucket: 'bucket', endpoint: 'https://storage.example/path' }],
    ['endpoint', { bucket: 'bucket', endpoint: 'https://user:secret@storage.example' }],
    ['endpoint', { bucket: 'bucket', endpoint: 'http://storage.example', credentials }],
    ['keyFile', { bucket: 'bucket', keyFile: 'a.json', credentials }],
    ['credentials.private_key', { bucket: 'bucket', credentials: { client_email: 'a' } }],
    ['endpoint', { bucket: 'bucket', client: new Storage({ projectId: 'p' }), endpoint: 'https://a.googleapis.com' }],
    ['chunkSize', { bucket: 'bucket', chunkSize: 1 }],
  ])('%s is refused: %o', async (path, options) => {
    const error = await errorOf((async () => gcs(options as GcsOptions))())
    expect([error.code, error.path]).toEqual(['INVALID', path])
    expect(error.message).not.toContain('secret')
  })

  it.each([
    ['gs://'],
    ['gs:///prefix'],
    ['gs://bucket/p#x'],
    ['gs://user:pw@bucket/p'],
    ['gs://bucket?region=eu'],
    ['gs://bucket?timeout=soon'],
    ['gs://bucket?probe=1'],
    ['gs://bucket?upload=fast'],
    ['gs://bucket?keyFile='],
    ['gs://bucket?timeout=1&timeout=2'],
    ['gs://bucket/%ff'],
  ])('the URL %s is refused', async (url) => {
    const error = await errorOf((async () => blobsFromUrl(url))())
    expect(error.code).toBe('INVALID')
    expect(error.message).not.toContain('pw')
  })

  it('an unknown parameter names the known ones', async () => {
    const error = await errorOf((async () => blobsFromUrl('gs://bucket/p?region=eu'))())
    expect(error.message).toContain('endpoint, keyFile, parallel, partSize, probe, projectId, timeout, upload')
    expect(error.path).toBe('region')
  })
})

describe('credentials', () => {
  it('none at all: says what to set', async () => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '')
    vi.stubEnv('STORAGE_EMULATOR_HOST', undefined)
    vi.stubEnv('METADATA_SERVER_DETECTION', 'none')
    vi.stubEnv('HOME', await mkdtemp(join(tmpdir(), 'tensorhub-home-')))
    const error = await errorOf(openBlobs(gcs({ bucket: 'bucket' })).stat('k'))
    expect([error.code, error.reason, error.retryable]).toEqual(['DENIED', 'CREDENTIALS', false])
    for (const remedy of [
      'GOOGLE_APPLICATION_CREDENTIALS',
      'gcloud auth application-default login',
      'keyFile',
      'STORAGE_EMULATOR_HOST',
    ])
      expect(error.message).toContain(remedy)
  })

  it('a key file that is not there, or no JSON, or without a usable key', async () => {
    vi.stubEnv('STORAGE_EMULATOR_HOST', undefined)
    const folder = await mkdtemp(join(tmpdir(), 'tensorhub-keys-'))
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    }
    for (const keyFile of [
      join(folder, 'none.json'),
      await file('broken.json', 'TOP-SECRET{'),
      await file(
        'bad.json',
        JSON.stringify({ type: 'service_account', client_email: 'a@b', private_key: 'TOP-SECRET' }),
      ),
    ]) {
      const error = await errorOf(openBlobs(gcs({ bucket: 'bucket', keyFile, timeout: 5000 })).stat('k'))
      expect([error.code, error.reason], keyFile).toEqual(['DENIED', 'CREDENTIALS'])
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('TOP-SECRET')
    }
  })
})

describe('the token service', () => {
  it.each([
    ['Token has been expired or revoked.', 'CREDENTIALS', 'gcloud auth application-default login'],
    ['The associated account was not found.', 'CREDENTIALS', 'keyFile'],
    [
      'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.',
      'CLOCK_SKEW',
      'clock',
    ],
  ])('says %s: %s', async (description, reason, remedy) => {
    const data = { error: 'invalid_grant', error_description: description }
    const getRequestHeaders = () => Promise.reject(Object.assign(new Error('x'), { response: { status: 400, data } }))
    const client = likeGoogle('http://127.0.0.1:1')
    Object.assign(client.authClient, { getRequestHeaders })
    const error = await errorOf(gcs({ bucket: 'bucket', client }).stat('k', {}))
    expect([error.code, error.reason]).toEqual(['DENIED', reason])
    expect(error.message).toContain(remedy)
  })
})

it.each([
  "Permission 'iam.serviceAccounts.signBlob' denied on resource (or it may not exist).",
  'IAM Service Account Credentials API has not been used in project 1 before or it is disabled.',
])('an account that may not sign URLs is told what it lacks, not that it is none: %s', async (said) => {
  const client = likeGoogle('http://127.0.0.1:1')
  const getCredentials = async () => ({ client_email: 'a@b' })
  Object.assign(client.authClient, { getCredentials, sign: () => Promise.reject(new Error(said)) })
  const signing = gcs({ bucket: 'bucket', client }).sign?.('k', { method: 'GET', expiresIn: 60 })
  const error = await errorOf(signing as Promise<unknown>)
  expect([error.code, error.reason]).toEqual(['DENIED', 'PERMISSION'])
  expect(error.message).toContain('roles/iam.serviceAccountTokenCreator')
})

describe('hosts', () => {
  it('one that refuses, and one that is unknown, end in UNAVAILABLE within the timeout', async () => {
    for (const endpoint of [`http://127.0.0.1:${await freePort()}`, 'http://no-such-host.invalid']) {
      const begun = performance.now()
      const error = await errorOf(openBlobs(gcs({ bucket: 'bucket', endpoint, timeout: 1000 })).stat('k'))
      expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'UNREACHABLE', true])
      expect(error.message).toContain(new URL(endpoint).host)
      expect(performance.now() - begun).toBeLessThan(30_000)
    }
  })
})

await serverSuite(
  'gcs',
  'gcs on fake-gcs-server',
  () => {
    let server: GcsServer
    let proxy: FaultProxy
    beforeAll(async () => {
      server = await startGcs({ backend: 'memory' })
      proxy = await startProxy(server, { store: 'gcs' })
    })
    afterEach(() => proxy.clearRules())
    afterAll(async () => {
      await proxy.close()
      await server.stop()
    })
    const through = () => proxy.through(server.endpoint)
    const sdk = () => new Storage({ apiEndpoint: server.endpoint, projectId: 'p' })

    it('a URL has bucket, prefix and options', async () => {
      const bucket = await newBucket(server)
      const url = `gs://${bucket}/a/b/?endpoint=${encodeURIComponent(server.endpoint)}&projectId=p&timeout=9000&partSize=262144&parallel=2&upload=session&probe=false`
      await using blobs = openBlobs(await openBlobsUrl(url, { load: () => import('@tensorhub/gcs') }))
      await blobs.write('k', 'x')
      expect(await sdk().bucket(bucket).file('a/b/k').exists()).toEqual([true])
    })

    it('a URL that is handed over needs nothing of the environment', async () => {
      vi.stubEnv('STORAGE_EMULATOR_HOST', server.endpoint.replace('http://', ''))
      vi.stubEnv('GOOGLE_CLOUD_PROJECT', 'a-project')
      vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', 'key.json')
      const handed = new URL(await urlToHandOver('gs://a-bucket/p'))
      expect(Object.fromEntries(handed.searchParams)).toEqual({
        endpoint: server.endpoint,
        projectId: 'a-project',
        probe: 'false',
      })
      vi.stubEnv('STORAGE_EMULATOR_HOST', undefined)
      expect(new URL(await urlToHandOver('gs://a-bucket/p')).searchParams.get('keyFile')).toBe(resolve('key.json'))
      // A private endpoint of Google's is signed in to as Google is.
      const own = await urlToHandOver('gs://a-bucket/p?endpoint=https%3A%2F%2Fstorage-ours.p.googleapis.com')
      expect(new URL(own).searchParams.get('keyFile')).toBe(resolve('key.json'))
    })

    it('https to a server without TLS is told as that, not as a certificate', async () => {
      const endpoint = server.endpoint.replace('http:', 'https:')
      const error = await errorOf(openBlobs(gcs({ bucket: 'bucket', endpoint })).stat('k'))
      expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'TLS', false])
      expect(error.message).toMatch(/does not speak TLS.*http:\/\/\.$/)
    })

    it('STORAGE_EMULATOR_HOST is followed, without credentials', async () => {
      vi.stubEnv('STORAGE_EMULATOR_HOST', server.endpoint)
      vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '/none')
      await using blobs = openBlobs(gcs({ bucket: await newBucket(server) }))
      await blobs.write('k', 'x')
      expect((await blobs.can()).sign).toBe(false)
    })

    it('what it writes any client reads, and the reverse; the mark of a write is never shown', async () => {
      const bucket = await newBucket(server)
      await using blobs = openBlobs(gcs({ bucket, endpoint: server.endpoint, prefix: 'p' }))
      await blobs.write('mine', 'mine', { contentType: 'text/plain', meta: { a: '1' }, when: { ifAbsent: true } })
      const file = sdk().bucket(bucket).file('p/mine')
      expect(String((await file.download())[0])).toBe('mine')
      const [metadata] = await file.getMetadata()
      expect(metadata.contentType).toBe('text/plain')
      expect(metadata.metadata).toMatchObject({ a: '1', 'tensorhub-write': expect.stringMatching(/^[0-9a-f-]{36}$/) })
      for (const info of [
        await blobs.stat('mine'),
        (await blobs.read('mine')).info,
        (await blobs.list('').next()).value,
      ])
        expect([info?.meta, info?.contentType, info?.version]).toEqual([
          { a: '1' },
          'text/plain',
          String(metadata.generation),
        ])
      await sdk().bucket(bucket).file('p/theirs').save('theirs', { resumable: false })
      await sdk().bucket(bucket).file('p/folder/').save('', { resumable: false })
      await sdk().bucket(bucket).file('other').save('', { resumable: false })
      expect(new TextDecoder().decode(await blobs.bytes('theirs'))).toBe('theirs')
      const keys: string[] = []
      for await (const { key } of blobs.list('')) keys.push(key)
      expect(keys).toEqual(['mine', 'theirs'])
    })

    it('objects that are stored gzipped come as they are stored, ranges too', async () => {
      const bucket = await newBucket(server)
      await using blobs = openBlobs(gcs({ bucket, endpoint: server.endpoint }))
      await sdk().bucket(bucket).file('z').save('hello hello hello hello', { gzip: true, resumable: false })
      const bytes = await blobs.bytes('z')
      expect([...bytes.subarray(0, 2)]).toEqual([0x1f, 0x8b])
      expect(bytes.length).toBe((await blobs.stat('z')).size)
      expect(await blobs.bytes('z', { range: { offset: 3, length: 5 } })).toEqual(bytes.subarray(3, 8))
    })

    it('a blob that is a page for people is read as any other, ranges too', async () => {
      await using blobs = openBlobs(gcs({ bucket: await newBucket(server), endpoint: server.endpoint }))
      await blobs.write('page', '<p>hello</p>', { contentType: 'text/html' })
      expect((await blobs.read('page')).info.contentType).toBe('text/html')
      expect(new TextDecoder().decode(await blobs.bytes('page', { range: { offset: 3, length: 5 } }))).toBe('hello')
    })

    it('bytes beyond eight parts go in parts', async () => {
      const bucket = await newBucket(server)
      await using blobs = openBlobs(gcs({ bucket, endpoint: through(), partSize: 256 * 1024, upload: 'session' }))
      await blobs.open()
      proxy.forget()
      const bytes = new Uint8Array(2 * 1024 * 1024 + 1).map((_, i) => i)
      await blobs.write('k', bytes, { when: { ifAbsent: true } })
      expect(proxy.counts()).toEqual({ 'upload.start': 1, 'upload.put': 8 })
      expect(await blobs.bytes('k')).toEqual(bytes)
    })

    it('a version that is none is CONFLICT, zero too, which means "none" to the service', async () => {
      await using blobs = openBlobs(gcs({ bucket: await newBucket(server), endpoint: server.endpoint }))
      for (const ifVersion of ['0', '-1', 'abc', '1e3', '01']) {
        expect((await errorOf(blobs.write('k', 'x', { when: { ifVersion } }))).code).toBe('CONFLICT')
        expect((await errorOf(blobs.read('k', { ifVersion }))).code).toBe('CONFLICT')
      }
      expect(await blobs.exists('k')).toBe(false)
    })

    it('a server that ignores preconditions is found when it is opened; its probe is removed', async () => {
      const bucket = await newBucket(server)
      const probed = gcs({ bucket, endpoint: through() })
      // Another name for the second, so that it succeeds as if nothing had been asked.
      const object = { name: 'x', size: '0', generation: '9', updated: new Date().toISOString() }
      proxy.on({ operation: 'objects.insert' }, answer({ status: 200, body: JSON.stringify(object) }), {
        skip: 1,
        times: 1,
      })
      await using blobs = openBlobs(probed)
      expect(await blobs.can()).toMatchObject({ ifAbsent: false, ifVersion: false })
      expect((await errorOf(blobs.write('k', 'x', { when: { ifAbsent: true } }))).code).toBe('UNSUPPORTED')
      expect((await sdk().bucket(bucket).getFiles())[0]).toEqual([])
    })

    it('a server that ignores the condition of a copy is found before one is made; its probe is removed', async () => {
      const bucket = await newBucket(server)
      await using blobs = openBlobs(gcs({ bucket, endpoint: through() }))
      await blobs.write('a', 'a')
      const { version } = await blobs.write('b', 'b')
      for (const when of [{ ifAbsent: true }, { ifVersion: version }] as const)
        expect(await errorOf(blobs.copy('a', 'b', { when }))).toMatchObject({
          ...{ code: 'UNSUPPORTED', reason: 'PRECONDITIONS_IGNORED', path: 'when' },
        })
      expect(new TextDecoder().decode(await blobs.bytes('b'))).toBe('b')
      expect((await sdk().bucket(bucket).getFiles())[0].map(({ name }) => name)).toEqual(['a', 'b'])
      // Without a condition there is nothing to be found out; nor is there where the server holds it.
      expect((await blobs.copy('a', 'c')).key).toBe('c')
      const rule = proxy.on({ operation: 'objects.rewrite' }, answer(gcsError(412, 'conditionNotMet')), { times: 1 })
      await using holding = openBlobs(gcs({ bucket, endpoint: through() }))
      expect((await holding.copy('a', 'd', { when: { ifAbsent: true } })).key).toBe('d')
      expect((await holding.copy('a', 'e', { when: { ifAbsent: true } })).key).toBe('e')
      expect(rule.hits).toBe(1)
      expect((await sdk().bucket(bucket).getFiles())[0].length).toBe(5)
    })

    it('who may only read is let in, and told so when writing', async () => {
      const bucket = await newBucket(server)
      await sdk().bucket(bucket).file('k').save('x', { resumable: false })
      const message = 'robot does not have storage.objects.create access to the Google Cloud Storage object.'
      proxy.on({ method: ['POST', 'PUT', 'DELETE'] }, answer(gcsError(403, 'forbidden', message)))
      await using blobs = openBlobs(gcs({ bucket, endpoint: through() }))
      expect(new TextDecoder().decode(await blobs.bytes('k'))).toBe('x')
      for (const call of [() => blobs.write('l', 'x'), () => blobs.delete(['k'])]) {
        const error = await errorOf(call())
        expect([error.code, error.reason, error.retryable]).toEqual(['DENIED', 'PERMISSION', false])
        for (const part of [message, bucket, 'roles/storage.objectUser', `127.0.0.1:${proxy.port}`])
          expect(error.message).toContain(part)
      }
    })

    it('a probe that could not be removed is swept', async () => {
      const bucket = await newBucket(server)
      proxy.on({ operation: 'objects.delete' }, answer(gcsError(403, 'forbidden')), { times: 1 })
      await using blobs = openBlobs(gcs({ bucket, endpoint: through(), prefix: 'p' }))
      await blobs.write('k', 'x')
      const before = new Date(Date.now() + 60_000)
      expect(await blobs.sweep({ before: new Date(0) })).toEqual({ count: 0, bytes: 0 })
      expect(await blobs.sweep({ before, dryRun: true })).toEqual({ count: 1, bytes: 0 })
      expect(await blobs.sweep({ before })).toEqual({ count: 1, bytes: 0 })
      expect(await blobs.sweep({ before })).toEqual({ count: 0, bytes: 0 })
      expect(await blobs.exists('k')).toBe(true)
    })

    it('a missing bucket is NO_BUCKET of every call, a wrong login CREDENTIALS, a wrong clock CLOCK_SKEW', async () => {
      const bucket = await newBucket(server)
      await using blobs = openBlobs(gcs({ bucket, endpoint: through() }))
      await blobs.write('k', 'x')
      const list = async () => {
        for await (const _info of blobs.list(''));
      }
      const calls = [
        () => blobs.stat('k'),
        () => blobs.exists('none'),
        () => blobs.write('k', 'x'),
        () => blobs.delete(['k']),
        list,
      ]
      const skew = '<?xml version="1.0"?><Error><Code>RequestTimeTooSkewed</Code><Message>too far</Message></Error>'
      for (const [reply, code, reason, remedy] of [
        [
          gcsError(404, 'notFound', 'The specified bucket does not exist.'),
          'NOT_FOUND',
          'NO_BUCKET',
          'gcloud storage buckets create',
        ],
        [gcsError(401, 'authError', 'Invalid Credentials'), 'DENIED', 'CREDENTIALS', 'keyFile'],
        [{ status: 403, headers: { 'content-type': 'application/xml' }, body: skew }, 'DENIED', 'CLOCK_SKEW', 'clock'],
      ] as const) {
        const rule = proxy.on({}, answer(reply))
        for (const call of calls) {
          if (call === calls[1] && code === 'NOT_FOUND') continue
          const error = await errorOf(call() as Promise<unknown>)
          expect([error.code, error.reason]).toEqual([code, reason])
          expect(error.message).toContain(remedy)
          expect(error.message).toContain(`127.0.0.1:${proxy.port}`)
        }
        rule.off()
      }
    })

    it('a bucket that is not there: listing it is NO_BUCKET on the server itself', async () => {
      await using blobs = openBlobs(gcs({ bucket: 'no-such-bucket', endpoint: server.endpoint, probe: false }))
      const error = await errorOf(blobs.list('').next())
      expect([error.code, error.reason]).toEqual(['NOT_FOUND', 'NO_BUCKET'])
    })

    it('requests are signed in where credentials are given; no secret is in what can be printed', async () => {
      const bucket = await newBucket(server)
      const token = 'ya29.TOP-SECRET'
      const client = likeGoogle(through(), token)
      client.customEndpoint = true
      client.useAuthWithCustomEndpoint = true
      const driver = gcs({ bucket, client })
      await using blobs = openBlobs(driver)
      await blobs.write('k', 'x')
      for (const { headers } of proxy.requests.slice(-4)) expect(headers.get('authorization')).toBe(`Bearer ${token}`)
      proxy.on({}, answer(gcsError(401, 'authError', 'Invalid Credentials')))
      const error = await errorOf(blobs.stat('k'))
      for (const text of [inspect(error, { depth: 20, showHidden: true }), JSON.stringify(error), String(error.stack)])
        expect(text).not.toContain('TOP-SECRET')
      const own = gcs({ bucket, endpoint: server.endpoint, credentials })
      for (const text of [inspect(own, { depth: 20, showHidden: true }), JSON.stringify(own), inspect(openBlobs(own))])
        expect(text).not.toContain(PEM.slice(40, 80))
    })

    it('signs URLs with a given key, for seven days at most', async () => {
      const bucket = await newBucket(server)
      const client = sdk()
      client.authClient.jsonContent = credentials
      await using blobs = openBlobs(gcs({ bucket, client, prefix: 'p' }))
      await blobs.write('k', 'signed')
      expect((await blobs.can()).sign).toBe(true)
      const url = await blobs.sign('k', { method: 'GET', expiresIn: 60 })
      expect(url.pathname).toBe(`/${bucket}/p/k`)
      expect(url.searchParams.get('X-Goog-Algorithm')).toBe('GOOG4-RSA-SHA256')
      expect(url.searchParams.get('X-Goog-Expires')).toBe('60')
      expect(await (await fetch(url)).text()).toBe('signed')
      expect((await errorOf(blobs.sign('k', { method: 'GET', expiresIn: 604_801 }))).code).toBe('INVALID')
      const bound = { method: 'PUT', expiresIn: 60, sha256: 'ab'.repeat(32) } as const
      expect(await errorOf(blobs.sign('k', bound))).toMatchObject({ code: 'UNSUPPORTED', path: 'sha256' })
    })

    it('a client that is given stays usable, and is what native gives', async () => {
      const client = sdk()
      const bucket = await newBucket(server)
      const blobs = openBlobs(gcs({ bucket, client }))
      await blobs.write('k', 'x')
      await blobs.close()
      expect(blobs.driver.native?.()).toBe(client)
      expect(await client.bucket(bucket).file('k').exists()).toEqual([true])
    })
  },
  { ours: true },
)
