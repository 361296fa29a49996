import { describe, expect, it } from 'vitest'
import {
  type BlobDriver,
  type IndexDriver,
  openBlobsUrl,
  openIndexUrl,
  redactUrl,
  registerScheme,
  urlToHandOver,
} from '../../src/index.ts'

const loads: string[] = []
const load = (answer: unknown) => ({
  async load(name: string, why: string) {
    loads.push(`${name}: ${why}`)
    return answer
  },
})
const index = { scheme: 'x' } as IndexDriver
const blobs = { scheme: 'x' } as BlobDriver

describe('URLs', () => {
  it.each([
    ['memory:', '@tensorhub/memory'],
    ['sqlite:///x.db', '@tensorhub/sqlite'],
    ['file:///x', '@tensorhub/fs'],
    ['mongodb://h/db', '@tensorhub/mongodb'],
    ['mongodb+srv://h/db', '@tensorhub/mongodb'],
    ['s3://b/p', '@tensorhub/s3'],
    ['gs://b', '@tensorhub/gcs'],
    ['azblob://c', '@tensorhub/azure'],
    ['S3://b/p', '@tensorhub/s3'],
  ])('%s is opened by %s', async (url, name) => {
    loads.length = 0
    const module = { indexFromUrl: (text: string) => ({ ...index, scheme: text }), blobsFromUrl: () => blobs }
    expect((await openIndexUrl(url, load(module))).scheme).toBe(url)
    expect(await openBlobsUrl(url, load(module))).toBe(blobs)
    expect(loads).toEqual([`${name}: The URL ${url}`, `${name}: The URL ${url}`])
  })

  it.each(['redis://h', 'ftp://u:secret@h/x', 'no scheme at all', '', '/path/only'])(
    '%j is INVALID, and the known ones are listed',
    async (url) => {
      const known = expect.stringMatching(/known are memory: sqlite: file: mongodb: mongodb\+srv: s3: gs: azblob:/)
      for (const open of [openIndexUrl, openBlobsUrl]) {
        await expect(open(url, load({}))).rejects.toMatchObject({
          code: 'INVALID',
          reason: 'UNKNOWN_SCHEME',
          message: known,
        })
        await expect(open(url, load({}))).rejects.not.toMatchObject({ message: expect.stringContaining('secret') })
      }
    },
  )

  it('an adapter completes a URL that another process is to open; without that it stays as it is', async () => {
    const complete = { urlToHandOver: async (url: string) => `${url}?accessKeyId=k` }
    expect(await urlToHandOver('s3://b', load(complete))).toBe('s3://b?accessKeyId=k')
    expect(await urlToHandOver('file:///b', load({}))).toBe('file:///b')
  })

  it('an adapter without the layer is UNSUPPORTED, by name, without the secret', async () => {
    await expect(openIndexUrl('s3://key:secret@bucket', load({ blobsFromUrl: () => blobs }))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      reason: 'NO_LAYER',
      message: expect.stringMatching(/^@tensorhub\/s3 has no driver for an index, so 's3:\/\/\*\*\*@bucket'/),
    })
    await expect(openBlobsUrl('sqlite:///x', load({ indexFromUrl: () => index }))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('blobs'),
    })
  })

  it('third parties register theirs: a package, or a function', async () => {
    registerScheme('acme', '@acme/hub')
    expect(await openIndexUrl('acme://x', load({ indexFromUrl: () => index }))).toBe(index)
    expect(loads.at(-1)).toMatch(/^@acme\/hub/)
    registerScheme('acme', async () => ({ blobsFromUrl: () => blobs }))
    expect(await openBlobsUrl('acme://x', load({}))).toBe(blobs)
    await expect(openIndexUrl('acme://x', load({}))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('the adapter of acme:'),
    })
    await expect(openIndexUrl('other://x', load({}))).rejects.toMatchObject({
      message: expect.stringContaining('acme:'),
    })
    for (const scheme of ['', 'A', '1a', 'a b', 'a:', 'http://'])
      expect(() => registerScheme(scheme, 'x')).toThrow(expect.objectContaining({ code: 'INVALID' }))
  })

  it('a package that is not installed is the loader’s error, as it is', async () => {
    const missing = new Error('npm i @tensorhub/s3')
    await expect(openBlobsUrl('s3://b', { load: () => Promise.reject(missing) })).rejects.toBe(missing)
  })
})

describe('URLs that are shown', () => {
  it.each([
    ['mongodb://user:pass@host:27017/db', 'mongodb://***@host:27017/db'],
    ['mongodb://user@host/db', 'mongodb://***@host/db'],
    [
      'mongodb+srv://u:p%40ss@h/db?authSource=admin&retryWrites=true',
      'mongodb+srv://***@h/db?authSource=***&retryWrites=true',
    ],
    ['s3://bucket/prefix?region=eu-1&secretAccessKey=abc', 's3://bucket/prefix?region=eu-1&secretAccessKey=***'],
    ['azblob://c?account=a&sas_token=x&sig=y', 'azblob://c?account=a&sas_token=***&sig=***'],
    ['file:///home/me', 'file:///home/me'],
    ['memory:', 'memory:'],
    ['user:secret', 'user:secret'],
    ['not a url, perhaps a password', '***'],
    ['s3://b/p#secret', 's3://b/p'],
    ['mongodb://u:p@ss@host/db', 'mongodb://***@host/db'],
    ['mongodb://u:p/s?s#w@host/db', 'mongodb://***@host/db'],
    ['s3://bucket/a@b:c@d', 's3://bucket/a@b:c@d'],
    ['http://host:9000/path?region=eu', 'http://host:9000/path?region=eu'],
  ])('%s as %s', (url, shown) => {
    expect(redactUrl(url)).toBe(shown)
  })
})
