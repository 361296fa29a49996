import { ContainerClient } from '@azure/storage-blob'
import { azure } from '@tensorhub/azure'
import { openBlobs } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import { allOf } from './all-of.ts'
import { type Answered, type Asked, strictFake } from './strict-fake.ts'

const ETAG = '"0x8DC0FFEE"'
const made: Answered = { status: 201, headers: { etag: ETAG, 'last-modified': new Date().toUTCString() } }
const refused = (status: number, code: string): Answered => ({ status, headers: { 'x-ms-error-code': code } })
const connection = (endpoint: string) => ({
  ...{ container: 'models', account: 'fakeaccount', key: 'a2V5', endpoint, timeout: 20_000 },
})

describe('a server that ignores conditions', () => {
  it('both: ifAbsent and ifVersion are taken back, and refused by name; the probe is deleted', async () => {
    await using fake = await strictFake(({ method }) =>
      method === 'PUT' ? made : method === 'DELETE' ? { status: 202 } : undefined,
    )
    const blobs = openBlobs(azure(connection(fake.endpoint)))
    expect(await blobs.can()).toMatchObject({ ifAbsent: false, ifVersion: false, meta: true })
    await expect(blobs.write('k', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(fake.asked.map(({ method }) => method)).toEqual(['PUT', 'PUT', 'PUT', 'DELETE'])
    await blobs.close()
  })

  it('If-Match alone: found out as well', async () => {
    await using fake = await strictFake(({ method, headers }) => {
      if (method === 'DELETE') return { status: 202 }
      return headers['if-none-match'] && fake.asked.length > 1 ? refused(409, 'BlobAlreadyExists') : made
    })
    const blobs = openBlobs(azure(connection(fake.endpoint)))
    expect(await blobs.can()).toMatchObject({ ifAbsent: false, ifVersion: false })
    await blobs.close()
  })
})

describe('copies', () => {
  const SIZE = 600 * 1024 * 1024
  const head = (etag: string): Answered => ({
    status: 200,
    headers: {
      ...{ etag, 'last-modified': new Date().toUTCString(), 'content-length': String(SIZE) },
      ...{
        'content-type': 'x/y',
        'x-ms-meta-a__b': '1',
        'x-ms-meta-tensorhub_write': 'n',
        'x-ms-blob-type': 'BlockBlob',
      },
    },
  })

  // https://learn.microsoft.com/rest/api/storageservices/put-block-from-url; Azurite has none.
  it('above 256 MiB: blocks from the source’s signed URL, then one commit with the condition and the source’s metadata', async () => {
    await using fake = await strictFake(({ method, query }) => {
      if (method === 'HEAD') return head(ETAG)
      return method === 'PUT' && ['block', 'blocklist'].includes(query.get('comp') ?? '') ? made : undefined
    })
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
    const info = await blobs.copy('from', 'to', { when: { ifAbsent: true } })
    expect(info).toMatchObject({ key: 'to', size: SIZE, contentType: 'x/y', meta: { a_b: '1' } })
    const blocks = fake.asked.filter(({ query }) => query.get('comp') === 'block')
    const ranges = blocks.map(({ headers }) => String(headers['x-ms-source-range'])).sort()
    const mib = 1024 * 1024
    const wanted = [0, 256, 512].map((from) => `bytes=${from * mib}-${Math.min(SIZE, (from + 256) * mib) - 1}`).sort()
    expect(ranges).toEqual(wanted)
    for (const { headers } of blocks) expect(String(headers['x-ms-copy-source'])).toMatch(/models\/from\?.*sp=r&.*sig=/)
    const commits = fake.asked.filter(({ query }) => query.get('comp') === 'blocklist')
    expect(commits.length).toBe(1)
    const [{ headers, body }] = commits as [Asked]
    expect(headers['if-none-match']).toBe('*')
    expect([headers['x-ms-meta-a__b'], headers['x-ms-blob-content-type']]).toEqual(['1', 'x/y'])
    const ids = [...body.toString().matchAll(/<Latest>([^<]+)<\/Latest>/g)].map((match) => match[1])
    expect(ids).toEqual(
      blocks
        .toSorted((a, b) => String(a.query.get('blockid')).localeCompare(String(b.query.get('blockid'))))
        .map(({ query }) => query.get('blockid')),
    )
    await blobs.close()
  })

  it('one that fails asks for no more blocks, neither before nor after it has failed', async () => {
    let blocks = 0
    await using fake = await strictFake(({ method, query }) => {
      if (method === 'HEAD')
        return { ...head(ETAG), headers: { ...head(ETAG).headers, 'content-length': String(20 * 1024 ** 3) } }
      if (query.get('comp') !== 'block') return undefined
      return ++blocks === 1 ? refused(403, 'AuthorizationPermissionMismatch') : { status: 201 }
    })
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false, parallel: 2 }))
    await expect(blobs.copy('from', 'to')).rejects.toMatchObject({ code: 'DENIED' })
    const asked = fake.asked.length
    await new Promise((resolve) => setTimeout(resolve, 300))
    // Of 80.
    expect([blocks <= 4, fake.asked.length]).toEqual([true, asked])
    await blobs.close()
  })

  // https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url: CannotVerifyCopySource comes with the status of the source.
  it('a source that is deleted after it was looked at is NOT_FOUND, whatever the condition of the copy', async () => {
    for (const when of [undefined, { ifVersion: '0x8DOLD' }, { ifAbsent: true }] as const) {
      let heads = 0
      await using fake = await strictFake(({ method }) => {
        if (method !== 'HEAD') return refused(404, 'CannotVerifyCopySource')
        const small = { ...head(ETAG).headers, 'content-length': '5' }
        return heads++ === 0 ? { status: 200, headers: small } : refused(404, 'BlobNotFound')
      })
      const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
      await expect(blobs.copy('from', 'to', when ? { when } : {})).rejects.toMatchObject({
        ...{ code: 'NOT_FOUND', at: { target: 'from' } },
      })
      await blobs.close()
    }
  })

  it('a source that is replaced under the blocks is copied anew, and never committed as a mixture', async () => {
    let heads = 0
    await using fake = await strictFake(({ method, query }) => {
      // Another version at the second look, and that one from then on.
      if (method === 'HEAD') return head(heads++ === 0 ? ETAG : '"0x8DSECOND"')
      return method === 'PUT' && query.has('comp') ? made : undefined
    })
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
    await blobs.copy('from', 'to')
    expect(fake.asked.filter(({ query }) => query.get('comp') === 'blocklist').length).toBe(1)
    expect(fake.asked.filter(({ query }) => query.get('comp') === 'block').length).toBe(6)
    await blobs.close()
  })
})

describe('lists', () => {
  const page = (names: readonly string[], next = ''): Answered => ({
    status: 200,
    body: `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" ContainerName="models"><Blobs>${names
      .map(
        (name) =>
          `<Blob><Name>${name}</Name><Properties><Last-Modified>Wed, 09 Sep 2026 09:20:02 GMT</Last-Modified><Etag>0x8DC0FFEE</Etag><Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>`,
      )
      .join('')}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`,
  })

  // https://learn.microsoft.com/rest/api/storageservices/list-blobs: pages may be empty and have a next one.
  it('begin at startFrom, which the service includes; empty pages in between; ETags without quotes', async () => {
    await using fake = await strictFake(({ query }) =>
      query.get('marker') === 'two'
        ? page([], 'three')
        : query.get('marker') === 'three'
          ? page(['p/c'])
          : page(['p/a', 'p/b'], 'two'),
    )
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false, prefix: 'p' }))
    const infos = await allOf(blobs.list('', { after: 'a' }))
    expect(infos.map(({ key, version, size }) => [key, version, size])).toEqual([
      ['b', '0x8DC0FFEE', 3],
      ['c', '0x8DC0FFEE', 3],
    ])
    expect(fake.asked[0]?.query.get('startFrom')).toBe('p/a')
    expect(fake.asked.length).toBe(3)
    await blobs.close()
  })

  it('leave out what others keep under names that are no keys', async () => {
    await using fake = await strictFake(() => page(['a', 'b c', 'd//e', 'f']))
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
    expect((await allOf(blobs.list(''))).map(({ key }) => key)).toEqual(['a', 'f'])
    await blobs.close()
  })

  it('in another order than that of names (a hierarchical namespace) are refused, rather than given out', async () => {
    await using fake = await strictFake(() => page(['a/b', 'a-c']))
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
    await expect(allOf(blobs.list(''))).rejects.toMatchObject({ code: 'UNSUPPORTED', reason: 'CAPABILITY' })
    await blobs.close()
  })
})

describe('a conditional write that failed such that it may have been done', () => {
  const theirs: Answered = {
    status: 200,
    headers: { etag: '"0x8D0THER"', 'last-modified': new Date().toUTCString(), 'content-length': '1' },
  }
  it('UNKNOWN once another one’s blob stands over the version, or where it may not be read back; EXISTS where that stands in its way', async () => {
    for (const [when, refusal, found, expected] of [
      [{ ifVersion: '0x1' }, refused(412, 'ConditionNotMet'), theirs, 'UNKNOWN'],
      [{ ifVersion: '0x1' }, refused(412, 'ConditionNotMet'), refused(403, 'AuthorizationFailure'), 'UNKNOWN'],
      [{ ifAbsent: true }, refused(409, 'BlobAlreadyExists'), refused(403, 'AuthorizationFailure'), 'UNKNOWN'],
      [{ ifAbsent: true }, refused(409, 'BlobAlreadyExists'), theirs, 'EXISTS'],
    ] as const) {
      let puts = 0
      await using fake = await strictFake(({ method }) => {
        if (method === 'HEAD') return found
        return puts++ === 0 ? refused(500, 'OperationTimedOut') : refusal
      })
      const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
      await expect(blobs.write('k', 'x', { when })).rejects.toMatchObject({ code: expected, retryable: false })
      await blobs.close()
    }
  })
})

describe('bounds', () => {
  it('a body without what every answer has closes its connection', async () => {
    await using fake = await strictFake(() => ({ status: 200, body: 'x'.repeat(4 * 1024 * 1024) }))
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
    for (let i = 0; i < 5; i++)
      await expect(blobs.read('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_THE_STORE' })
    await expect.poll(() => fake.connections()).toBe(0)
    await blobs.close()
  })

  it('a sign-in that never ends is given up after the timeout', async () => {
    const credential = { getToken: () => new Promise<never>(() => undefined) }
    const client = new ContainerClient('https://127.0.0.1:9/account/models', credential)
    const blobs = openBlobs(azure({ client, timeout: 500, probe: false }))
    await expect(blobs.stat('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'UNREACHABLE' })
    await blobs.close()
  }, 30_000)
})

describe('conditions in the words of other operations', () => {
  it('412 to a create-only write is EXISTS; 404 to a compare-and-set is CONFLICT', async () => {
    await using fake = await strictFake(({ headers }) =>
      headers['if-none-match'] ? refused(412, 'TargetConditionNotMet') : refused(404, 'BlobNotFound'),
    )
    const blobs = openBlobs(azure({ ...connection(fake.endpoint), probe: false }))
    await expect(blobs.write('k', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({ code: 'EXISTS' })
    await expect(blobs.write('k', 'x', { when: { ifVersion: '0x1' } })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(fake.asked[1]?.headers['if-match']).toBe('"0x1"')
    await blobs.close()
  })
})
