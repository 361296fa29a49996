import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type BlobStore, openBlobs } from '@tensorhub/core'
import { type GcsOptions, gcs } from '@tensorhub/gcs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { errorOf } from './error-of.ts'
import { likeGoogle } from './like-google.ts'

/** What the strict server got. */
interface Got {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}
interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | object
}

let http: Server | undefined
let blobs: BlobStore | undefined
afterEach(async () => {
  vi.restoreAllMocks()
  await blobs?.close()
  http?.closeAllConnections()
  await new Promise((resolve) => http?.close(resolve))
})

/** A server that gives the answers of Google's documents which fake-gcs-server does not, one after the other; a request too many is a failure. */
async function serving(
  answers: readonly ((got: Got) => Answer)[],
  options: Pick<GcsOptions, 'partSize' | 'upload'> & { readonly google?: true } = {},
): Promise<{ store: BlobStore; got: Got[] }> {
  const got: Got[] = []
  http = createServer(async (request, reply) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const url = new URL(request.url ?? '', 'http://host')
    const seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(pieces),
    }
    got.push(seen)
    const answer = answers[got.length - 1]?.(seen) ?? { status: 418, body: 'a request too many' }
    const { status = 200, headers = {}, body = '' } = answer
    const json = typeof body === 'object' && !(body instanceof Uint8Array)
    reply.writeHead(status, { ...(json ? { 'content-type': 'application/json; charset=UTF-8' } : {}), ...headers })
    reply.end(json ? JSON.stringify(body) : body)
  })
  await new Promise<void>((resolve) => http?.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as { port: number }
  const endpoint = `http://127.0.0.1:${port}`
  const { google, ...rest } = options
  const common = { bucket: 'bucket', probe: false, timeout: 5000, ...rest }
  blobs = openBlobs(gcs(google ? { ...common, client: likeGoogle(endpoint) } : { ...common, endpoint }))
  await blobs.open()
  return { store: blobs, got }
}

const NOW = '2026-01-02T03:04:05.678Z'
const resource = (o: Record<string, unknown> = {}) => ({
  ...{ name: 'k', size: '3', generation: '7', updated: NOW, contentType: 'text/plain' },
  ...o,
})
const failure = (status: number, reason: string, message = reason): Answer => ({
  status,
  body: { error: { code: status, message, errors: [{ reason, message, domain: 'global' }] } },
})
const nonceOf = ({ body }: Got): unknown => (/"tensorhub-write":"([^"]+)"/.exec(body.toString('latin1')) ?? [])[1]

describe('copies', () => {
  // https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
  it('go on until the service is done, of the generation that was looked at, with the condition on every request', async () => {
    const { store, got } = await serving([
      () => ({ body: resource({ generation: '5', metadata: { a: '1', 'tensorhub-write': 'theirs' } }) }),
      () => ({ body: { done: false, rewriteToken: 't/1' } }),
      () => ({ body: { done: true, resource: resource() } }),
    ])
    const info = await store.copy('k', 'l', { when: { ifAbsent: true } })
    expect(info).toMatchObject({ key: 'l', version: '7', size: 3 })
    expect(got.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual(
      Array(2).fill('POST /storage/v1/b/bucket/o/k/rewriteTo/b/bucket/o/l'),
    )
    for (const { query } of got.slice(1))
      expect([query.get('ifGenerationMatch'), query.get('sourceGeneration')]).toEqual(['0', '5'])
    expect(got[2]?.query.get('rewriteToken')).toBe('t/1')
    const sent = JSON.parse(String(got[1]?.body)) as { contentType: string; metadata: Record<string, string> }
    expect(sent).toMatchObject({ contentType: 'text/plain', metadata: { a: '1' } })
    expect(sent.metadata['tensorhub-write']).not.toBe('theirs')
  })

  it('that are told neither that they are done nor how they go on end in an error, rather than never', async () => {
    const { store, got } = await serving([() => ({ body: resource() }), () => ({ body: { hello: 'world' } })])
    expect((await errorOf(store.copy('k', 'l'))).reason).toBe('NOT_THE_STORE')
    expect(got.length).toBe(2)
  })

  it('whose source is replaced under them are made of the new one; of one that is gone they are NOT_FOUND', async () => {
    const gone = () => failure(404, 'notFound', 'No such object: bucket/k')
    const { store, got } = await serving([
      () => ({ body: resource({ generation: '5' }) }),
      gone,
      () => ({ body: resource({ generation: '6' }) }),
      () => ({ body: { done: true, resource: resource({ generation: '9' }) } }),
    ])
    expect((await store.copy('k', 'l')).version).toBe('9')
    expect(got[3]?.query.get('sourceGeneration')).toBe('6')
    await store.close()
    http?.closeAllConnections()
    const second = await serving([() => ({ body: resource() }), gone, gone])
    expect((await errorOf(second.store.copy('k', 'l'))).code).toBe('NOT_FOUND')
  })

  it('whose condition does not hold are EXISTS and CONFLICT', async () => {
    for (const [when, code] of [
      [{ ifAbsent: true }, 'EXISTS'],
      [{ ifVersion: '9' }, 'CONFLICT'],
    ] as const) {
      const { store, got } = await serving([() => ({ body: resource() }), () => failure(412, 'conditionNotMet')])
      expect((await errorOf(store.copy('k', 'l', { when }))).code).toBe(code)
      expect(got[1]?.query.get('ifGenerationMatch')).toBe('ifAbsent' in when ? '0' : '9')
      await store.close()
      http?.closeAllConnections()
    }
  })

  it('whose reply failed after they were done are told by their mark', async () => {
    let nonce: unknown
    const { store } = await serving([
      () => ({ body: resource() }),
      (request) => {
        nonce = nonceOf(request)
        return failure(503, 'backendError')
      },
      () => ({ body: resource({ generation: '8', metadata: { 'tensorhub-write': nonce } }) }),
    ])
    expect((await store.copy('k', 'l', { when: { ifAbsent: true } })).version).toBe('8')
  })
})

describe('resumable uploads', () => {
  const UNIT = 256 * 1024
  const start = ({ headers }: Got): Answer => ({
    headers: { location: `http://${headers.host}/upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id=secret` },
  })
  const kept = (bytes: number): Answer => ({
    status: 308,
    headers: bytes === 0 ? {} : { range: `bytes=0-${bytes - 1}` },
  })
  const stream = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>]).stream()

  // https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload: the range in a 308 is what was kept, which may be less than was sent.
  it('send again what the service did not keep, of the last part too', async () => {
    const bytes = Uint8Array.from({ length: 3 * UNIT + 9 }, (_, i) => i * 7)
    const { store, got } = await serving(
      [
        start,
        () => kept(UNIT),
        () => kept(0),
        () => kept(2 * UNIT),
        () => kept(3 * UNIT),
        () => ({ body: resource({ size: String(bytes.length) }) }),
      ],
      { partSize: 2 * UNIT, upload: 'session' },
    )
    await store.write('k', stream(bytes), { size: bytes.length, when: { ifVersion: '4' } })
    expect(got[0]?.query.get('ifGenerationMatch')).toBe('4')
    expect(got.slice(1).map(({ headers }) => headers['content-range'])).toEqual([
      `bytes 0-${UNIT - 1}/*`,
      `bytes ${UNIT}-${bytes.length - 1}/${bytes.length}`,
      `bytes ${UNIT}-${bytes.length - 1}/${bytes.length}`,
      `bytes ${2 * UNIT}-${bytes.length - 1}/${bytes.length}`,
      `bytes ${3 * UNIT}-${bytes.length - 1}/${bytes.length}`,
    ])
    for (const { headers, body } of got.slice(1)) {
      const from = Number(/bytes (\d+)/.exec(String(headers['content-range']))?.[1])
      expect(body.equals(bytes.subarray(from, from + body.length))).toBe(true)
    }
  })

  it('whose session is gone are UNAVAILABLE, with nothing sent again', async () => {
    const { store, got } = await serving(
      [start, () => kept(UNIT), () => failure(410, 'gone'), () => failure(404, 'notFound')],
      {
        partSize: 2 * UNIT,
        upload: 'session',
      },
    )
    const error = await errorOf(store.write('k', stream(new Uint8Array(6 * UNIT)), { size: 6 * UNIT }))
    expect([error.code, error.retryable]).toEqual(['UNAVAILABLE', true])
    expect(error.message).not.toContain('secret')
    expect(got.length).toBeLessThanOrEqual(4)
  })

  it('whose condition fails at the end are EXISTS, and at the beginning too', async () => {
    for (const answers of [
      [start, () => kept(UNIT), () => failure(412, 'conditionNotMet')],
      [() => failure(412, 'conditionNotMet')],
    ]) {
      const { store } = await serving(answers, { partSize: UNIT, upload: 'session' })
      const bytes = new Uint8Array(2 * UNIT)
      expect(
        (await errorOf(store.write('k', stream(bytes), { size: bytes.length, when: { ifAbsent: true } }))).code,
      ).toBe('EXISTS')
      await store.close()
      http?.closeAllConnections()
    }
  })

  it('are cancelled when their source fails', async () => {
    const { store, got } = await serving([start, () => kept(UNIT), () => ({ status: 499 })], {
      partSize: UNIT,
      upload: 'session',
    })
    const source = async function* () {
      yield new Uint8Array(2 * UNIT)
      yield new Uint8Array(1)
      await expect.poll(() => got.length).toBe(2)
      throw new Error('no more')
    }
    await errorOf(store.write('k', source()))
    await expect.poll(() => got.at(-1)?.method).toBe('DELETE')
    expect(got.at(-1)?.query.get('upload_id')).toBe('secret')
  })
})

describe('composite uploads', () => {
  const UNIT = 256 * 1024

  // https://cloud.google.com/storage/docs/json_api/v1/objects/compose
  it('of 33 parts: the condition is in the last compose alone, with the blob’s type and metadata; sources are of one generation, 32 at most', async () => {
    const size = 33 * UNIT
    const made = new Map<string, { generation: string; size: number }>()
    const answering = ({ method, path, query, body }: Got): Answer => {
      if (method === 'GET' && path.endsWith('/o/k')) return { body: resource({ generation: '5' }) }
      if (method === 'GET') return { body: {} }
      if (path.startsWith('/upload/')) {
        const name = /"name":"([^"]+)"/.exec(body.toString('latin1'))?.[1] as string
        made.set(name, { generation: String(100 + made.size), size: UNIT })
        return { body: resource({ name, size: String(UNIT), generation: made.get(name)?.generation }) }
      }
      const name = decodeURIComponent(path.replace(/^.*\/o\/|\/compose$/g, ''))
      const { sourceObjects } = JSON.parse(body.toString()) as { sourceObjects: { name: string; generation: string }[] }
      const sum = sourceObjects.reduce((bytes, source) => bytes + (made.get(source.name)?.size as number), 0)
      for (const source of sourceObjects) expect(source.generation).toBe(made.get(source.name)?.generation)
      made.set(name, { generation: '900', size: sum })
      expect(query.get('ifGenerationMatch')).toBe(name === 'k' ? '5' : '0')
      return { body: resource({ name, size: String(sum), generation: '900' }) }
    }
    const { store, got } = await serving(Array(40).fill(answering), { partSize: UNIT, upload: 'composite' })
    const info = await store.write('k', new Blob([new Uint8Array(size)]).stream(), {
      ...{ size, contentType: 'text/x', meta: { a: '1' }, when: { ifVersion: '5' } },
    })
    expect([info.version, info.size]).toEqual(['900', size])
    const uploads = got.filter(({ path }) => path.startsWith('/upload/'))
    expect(uploads.map(({ query }) => query.get('ifGenerationMatch'))).toEqual(Array(33).fill('0'))
    const composes = got.filter(({ path }) => path.endsWith('/compose'))
    const requests = composes.map(({ body }) => JSON.parse(body.toString()) as Record<string, unknown>)
    expect(requests.map(({ sourceObjects }) => (sourceObjects as unknown[]).length)).toEqual([2, 32])
    expect(requests.map(({ deleteSourceObjects }) => deleteSourceObjects)).toEqual([true, true])
    expect(requests[1]?.['destination']).toEqual({
      contentType: 'text/x',
      metadata: { a: '1', 'tensorhub-write': expect.any(String) },
    })
    // In the order of the body, the intermediate for the two that it is made of.
    const names = ((requests[1]?.['sourceObjects'] ?? []) as { name: string }[]).map(({ name }) =>
      name.replace(/^.*-/, ''),
    )
    expect(names).toEqual(['c1', ...Array.from({ length: 31 }, (_, i) => String(i + 3))])
    // Without a `/`: a bucket with a hierarchical namespace would keep a folder of each upload.
    for (const name of made.keys())
      expect(name === 'k' || /^!tensorhub-part-[0-9a-f-]{36}-c?\d+$/.test(name)).toBe(true)
  })

  it('of which another size was put together than was sent are removed again', async () => {
    const answering = ({ method, path, body }: Got): Answer => {
      if (method === 'DELETE') return { status: 204 }
      if (method === 'GET') return { body: {} }
      const name = /"name":"([^"]+)"/.exec(body.toString('latin1'))?.[1]
      return {
        body: resource(path.startsWith('/upload/') ? { name, size: String(UNIT) } : { size: '2', generation: '8' }),
      }
    }
    const { store, got } = await serving(Array(9).fill(answering), { partSize: UNIT, upload: 'composite' })
    const error = await errorOf(store.write('k', new Blob([new Uint8Array(2 * UNIT)]).stream(), { size: 2 * UNIT }))
    expect([error.code, error.retryable]).toEqual(['INTEGRITY', true])
    const removed = got.find(({ method }) => method === 'DELETE')
    expect([removed?.path, removed?.query.get('generation')]).toEqual(['/storage/v1/b/bucket/o/k', '8'])
  })
})

describe('single uploads', () => {
  it('of which another size was stored than was sent are removed again, also by a service that is busy', async () => {
    const wrong = () => ({ body: resource({ size: '2' }) })
    const { store, got } = await serving([
      wrong,
      () => failure(503, 'backendError'),
      () => ({ status: 204 }),
      wrong,
      () => failure(403, 'forbidden'),
    ])
    const error = await errorOf(store.write('k', 'abc'))
    expect([error.code, error.retryable]).toEqual(['INTEGRITY', true])
    expect(got.slice(1).map(({ method, query }) => [method, query.get('generation')])).toEqual(
      Array(2).fill(['DELETE', '7']),
    )
    // Where it stays, that is told with the failure, not instead of it.
    const stays = await errorOf(store.write('k', 'abc'))
    expect([stays.code, (stays as { suppressed?: { status: number } }).suppressed?.status]).toEqual(['INTEGRITY', 403])
  })

  it('refused after a failed try, while another one’s object stands there: EXISTS, without sending the bytes again', async () => {
    const { store, got } = await serving([
      () => failure(500, 'internalError'),
      () => ({ body: resource({ metadata: { 'tensorhub-write': 'theirs' } }) }),
    ])
    expect((await errorOf(store.write('k', 'abc', { when: { ifAbsent: true } }))).code).toBe('EXISTS')
    expect(got.map(({ method }) => method)).toEqual(['POST', 'GET'])
  })

  // https://cloud.google.com/storage/docs/json_api/v1/status-codes#412-precondition-failed
  it('that a policy of the organization forbids, by a 412 too: DENIED, never EXISTS or CONFLICT', async () => {
    const policy = () => failure(412, 'orgPolicyConstraintFailed', 'violates constraint gcp.restrictNonCmekServices')
    const UNIT = 256 * 1024
    for (const o of [{}, { when: { ifAbsent: true } }, { when: { ifVersion: '7' } }] as const)
      for (const body of ['abc', new Blob([new Uint8Array(2 * UNIT)])]) {
        const { store } = await serving([policy], { partSize: UNIT, upload: 'session' })
        const error = await errorOf(store.write('k', body, o))
        expect([error.code, error.reason, error.retryable]).toEqual(['DENIED', 'PERMISSION', false])
        expect(error.message).toContain('restrictNonCmekServices')
        await store.close()
        http?.closeAllConnections()
      }
  })

  it('over a version that failed such that they may have been done: UNKNOWN once another one’s object stands there, or none', async () => {
    for (const after of [
      () => ({ body: resource({ generation: '9', metadata: { 'tensorhub-write': 'theirs' } }) }),
      () => failure(404, 'notFound', 'No such object: bucket/k'),
      () => failure(403, 'forbidden'),
    ]) {
      const { store } = await serving([() => failure(500, 'internalError'), after, after])
      const error = await errorOf(store.write('k', 'abc', { when: { ifVersion: '7' } }))
      expect([error.code, error.reason, error.retryable]).toEqual(['UNKNOWN', 'OUTCOME_UNKNOWN', false])
      await store.close()
      http?.closeAllConnections()
    }
  })

  it('create-only that may not be read back: UNKNOWN, never EXISTS', async () => {
    const { store } = await serving([
      () => failure(500, 'internalError'),
      () => failure(403, 'forbidden'),
      () => failure(403, 'forbidden'),
    ])
    expect((await errorOf(store.write('k', 'abc', { when: { ifAbsent: true } }))).code).toBe('UNKNOWN')
  })

  it('without a condition, or of a part, that may not be read back: what failed is told, not that asking did', async () => {
    const { store, got } = await serving([
      () => failure(500, 'internalError'),
      () => failure(403, 'forbidden'),
      () => failure(403, 'forbidden'),
    ])
    expect(await errorOf(store.write('k', 'abc'))).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    expect(got.map(({ method }) => method)).toEqual(['POST', 'GET', 'GET'])
    await store.close()
    http?.closeAllConnections()
    const UNIT = 256 * 1024
    const answering = ({ method, path }: Got): Answer => {
      if (method === 'POST') return failure(500, 'internalError')
      return path.endsWith('/o') ? { body: {} } : failure(403, 'forbidden')
    }
    const parts = await serving(Array(20).fill(answering), { partSize: UNIT, upload: 'composite' })
    const error = await errorOf(parts.store.write('k', new Blob([new Uint8Array(2 * UNIT)]).stream()))
    expect([error.code, error.retryable]).toEqual(['UNAVAILABLE', true])
  })

  it('aborted after their reply was lost: what was done is told, what was not is ABORTED', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.99)
    for (const isDone of [true, false]) {
      const stop = new AbortController()
      let nonce: unknown
      const { store, got } = await serving([
        (request) => {
          nonce = nonceOf(request)
          // While it waits before it asks.
          setTimeout(() => stop.abort(), 50)
          return failure(503, 'backendError')
        },
        () => (isDone ? { body: resource({ metadata: { 'tensorhub-write': nonce } }) } : failure(404, 'notFound')),
      ])
      const writing = store.write('k', 'abc', { when: { ifAbsent: true }, signal: stop.signal })
      if (isDone) expect((await writing).version).toBe('7')
      else expect((await errorOf(writing)).code).toBe('ABORTED')
      expect(got.map(({ method }) => method)).toEqual(['POST', 'GET'])
      await store.close()
      http?.closeAllConnections()
    }
  })

  it('done after all while they were tried again: their own 412 is no conflict', async () => {
    let nonce: unknown
    const { store } = await serving([
      (request) => {
        nonce = nonceOf(request)
        return failure(503, 'backendError')
      },
      () => failure(404, 'notFound', 'No such object: bucket/k'),
      () => failure(412, 'conditionNotMet'),
      () => ({ body: resource({ metadata: { 'tensorhub-write': nonce } }) }),
    ])
    expect((await store.write('k', 'abc', { when: { ifAbsent: true } })).version).toBe('7')
  })
})

describe('listings', () => {
  it('follow every page, whatever its length, and skip the key that `after` names', async () => {
    const { store, got } = await serving([
      () => ({ body: { items: [resource({ name: 'a' }), resource({ name: 'b' })], nextPageToken: 'x=&y' } }),
      () => ({ body: { nextPageToken: 'z' } }),
      () => ({ body: { items: [resource({ name: 'c' })] } }),
    ])
    const keys: string[] = []
    for await (const { key } of store.list('', { after: 'a' })) keys.push(key)
    expect(keys).toEqual(['b', 'c'])
    expect(got.map(({ query }) => query.get('pageToken'))).toEqual([null, 'x=&y', 'z'])
    expect(got[0]?.query.get('startOffset')).toBe('a')
  })
})

describe('connections', () => {
  const open = () =>
    new Promise<number>((resolve, reject) => http?.getConnections((error, n) => (error ? reject(error) : resolve(n))))

  it('of replies that are none of the store’s are closed, and those of a removal used again', async () => {
    const page = () => ({ headers: { 'content-type': 'text/plain' }, body: new Uint8Array(2 ** 20) })
    const { store } = await serving([page, page, page, page, page])
    for (let i = 0; i < 5; i++) expect((await errorOf(store.read('k'))).reason).toBe('NOT_THE_STORE')
    await expect.poll(open).toBe(0)
    await store.close()
    http?.closeAllConnections()
    const second = await serving([
      () => ({ body: resource({ size: '2' }) }),
      () => ({ status: 200, body: 'removed' }),
      () => ({ body: resource() }),
    ])
    await errorOf(second.store.write('k', 'abc'))
    await second.store.stat('k')
    expect(await open()).toBe(1)
  })
})

describe('reads', () => {
  const bytes = (range: string, generation: string): Answer => ({
    status: 206,
    headers: { 'content-range': range, 'x-goog-generation': generation, 'last-modified': new Date(NOW).toUTCString() },
    body: 'ab',
  })

  it('by the XML API at Google itself: one request has the bytes and all that is known of the object', async () => {
    const { store, got } = await serving(
      [
        () => ({
          headers: {
            ...{ 'content-type': 'text/plain', 'x-goog-generation': '7', 'x-goog-stored-content-length': '3' },
            ...{
              'last-modified': new Date(NOW).toUTCString(),
              'x-goog-meta-a': '1',
              'x-goog-meta-tensorhub-write': 'n',
            },
          },
          body: 'abc',
        }),
      ],
      { google: true },
    )
    const { info, body } = await store.read('dir/k=+@~', { ifVersion: '7' })
    expect(await new Response(body).text()).toBe('abc')
    expect(info).toEqual({
      ...{ key: 'dir/k=+@~', size: 3, version: '7', modified: new Date('2026-01-02T03:04:05Z') },
      ...{ contentType: 'text/plain', meta: { a: '1' } },
    })
    expect(got[0]?.headers).toMatchObject({ 'x-goog-if-generation-match': '7', authorization: 'Bearer token' })
    expect(decodeURIComponent(got[0]?.path ?? '')).toBe('/bucket/dir/k=+@~')
  })

  it('of a version that is gone: 412 is CONFLICT, and so is another version than was asked for', async () => {
    const { store } = await serving([() => failure(412, 'conditionNotMet'), () => bytes('bytes 0-1/9', '8')])
    for (let i = 0; i < 2; i++)
      expect((await errorOf(store.bytes('k', { ifVersion: '7', range: { offset: 0, length: 2 } }))).code).toBe(
        'CONFLICT',
      )
  })

  it('of a server that ignores ranges are refused, not taken for the range', async () => {
    const whole = {
      'x-goog-generation': '7',
      'x-goog-stored-content-length': '6',
      'last-modified': new Date(NOW).toUTCString(),
    }
    const { store } = await serving([() => ({ headers: whole, body: 'abcdef' })])
    expect((await errorOf(store.bytes('k', { range: { offset: 2, length: 2 } }))).code).toBe('UNSUPPORTED')
  })

  it('of a blob that was empty, and is another one when it is looked at: CONFLICT, never the new one without its bytes', async () => {
    const { store } = await serving([() => ({ status: 416 }), () => ({ body: resource({ size: '3' }) })])
    const error = await errorOf(store.read('k', { range: { offset: 0, length: 2 } }))
    expect([error.code, error.retryable]).toEqual(['CONFLICT', true])
  })

  it('NoSuchBucket in XML is NO_BUCKET, NoSuchKey a missing blob', async () => {
    const xml = (code: string): Answer => ({
      status: 404,
      headers: { 'content-type': 'application/xml; charset=UTF-8' },
      body: `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>It does not exist.</Message></Error>`,
    })
    const { store } = await serving([() => xml('NoSuchBucket'), () => xml('NoSuchKey')])
    expect((await errorOf(store.read('k'))).reason).toBe('NO_BUCKET')
    const missing = await errorOf(store.read('k'))
    expect([missing.code, missing.reason]).toEqual(['NOT_FOUND', undefined])
  })
})
