import type { BlobStore, Precondition } from '@tensorhub/core'
import { type AzureServer, startAzure } from '@tensorhub/servers'
import { answer, azureError } from '@tensorhub/servers/proxy'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { allOf } from './all-of.ts'
import { containerClient } from './containers.ts'
import { type Behind, behindProxy, bytesOf, KIB, same } from './through-proxy.ts'

let server: AzureServer
let behind: Behind
beforeAll(async () => {
  server = await startAzure()
})
afterAll(() => server.stop())
beforeEach(async () => {
  behind = await behindProxy(server, { partSize: 64 * KIB })
})
afterEach(() => behind.end())

const SIZE = 640 * KIB

/** https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
const gone = answer(azureError(400, 'InvalidBlockList', 'The specified block list is invalid.'))

/** An upload of 10 blocks that has sent 9 of them, and waits until it is told to end. */
async function begun(blobs: BlobStore, key: string, bytes: Uint8Array, when?: Precondition) {
  const { proxy } = behind
  const before = proxy.count({ operation: 'Put Block' })
  let go = () => {}
  const told = new Promise<void>((resolve) => {
    go = resolve
  })
  const source = async function* () {
    yield bytes.slice(0, SIZE - 10)
    await told
    yield bytes.slice(SIZE - 10)
  }
  const done = blobs.write(key, source(), when ? { when } : {})
  done.catch(() => undefined)
  await expect
    .poll(() => proxy.requests.filter(({ operation, status }) => operation === 'Put Block' && status === 201).length, {
      timeout: 60_000,
    })
    .toBeGreaterThanOrEqual(before + 9)
  return { go, done }
}

describe('two uploads of one key in blocks', () => {
  it('at once, 20 times: both end well, and the blob is whole of the one whose version it has', async () => {
    const { blobs, direct } = behind
    for (let round = 0; round < 20; round++) {
      const bodies = [bytesOf(SIZE, 2 * round), bytesOf(SIZE + 5, 2 * round + 1)]
      const infos = await Promise.all(bodies.map((bytes) => blobs.write('k', bytes)))
      expect(infos.map(({ size }) => size)).toEqual([SIZE, SIZE + 5])
      const { version } = await direct.stat('k')
      const winner = infos.findIndex((info) => info.version === version)
      expect(winner).toBeGreaterThanOrEqual(0)
      expect(same(await direct.bytes('k'), bodies[winner] as Uint8Array)).toBe(true)
      expect(infos[0]?.version).not.toBe(infos[1]?.version)
    }
  })

  it('one that is overtaken, by blocks or by one request, ends as if it had been first', async () => {
    const { blobs, direct, proxy } = behind
    for (const other of [bytesOf(SIZE, 7), bytesOf(10, 7)]) {
      const { go, done } = await begun(blobs, 'k', bytesOf(SIZE, 1))
      const theirs = await direct.write('k', other)
      // Azurite keeps the blocks over a Put Blob; the service does not.
      if (other.byteLength < SIZE) proxy.on({ operation: 'Put Block List' }, gone, { times: 1 })
      go()
      const mine = await done
      expect(mine.size).toBe(SIZE)
      expect((await direct.stat('k')).version).toBe(theirs.version)
      expect(same(await direct.bytes('k'), other)).toBe(true)
      // Its version was replaced, and says so.
      await expect(blobs.write('k', 'x', { when: { ifVersion: mine.version } })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
    }
  })

  it('overtaken with a condition: EXISTS, CONFLICT', async () => {
    const { blobs, direct } = behind
    const absent = await begun(blobs, 'new', bytesOf(SIZE, 1), { ifAbsent: true })
    await direct.write('new', bytesOf(SIZE, 2))
    absent.go()
    await expect(absent.done).rejects.toMatchObject({ code: 'EXISTS' })
    const { version } = await direct.stat('new')
    const over = await begun(blobs, 'new', bytesOf(SIZE, 1), { ifVersion: version })
    await direct.write('new', bytesOf(SIZE, 3))
    over.go()
    await expect(over.done).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(same(await direct.bytes('new'), bytesOf(SIZE, 3))).toBe(true)
  })

  it('blocks that are gone without anybody having written: an error that says to write again, never a success', async () => {
    const { blobs, direct, proxy } = behind
    const old = await direct.write('old', 'old')
    // Times of modification are in whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    for (const [key, when] of [
      ['old', undefined],
      ['old', { ifVersion: old.version }],
      ['new', undefined],
      ['new', { ifAbsent: true }],
    ] as const) {
      const rule = proxy.on({ operation: 'Put Block List' }, gone, { times: 1 })
      await expect(blobs.write(key, bytesOf(SIZE, 1), when ? { when } : {})).rejects.toMatchObject({
        ...{ code: 'UNAVAILABLE', reason: 'BLOCKS_GONE', retryable: true },
      })
      expect(rule.hits).toBe(1)
    }
    expect(Buffer.from(await direct.bytes('old')).toString()).toBe('old')
    expect(await direct.exists('new')).toBe(false)
    // The same call may be made again.
    await blobs.write('new', bytesOf(SIZE, 1), { when: { ifAbsent: true } })
    expect(same(await direct.bytes('new'), bytesOf(SIZE, 1))).toBe(true)
  })

  it('unfinished blocks of the SDK’s own upload, and of a writer that died, are in nobody’s way and in no list', async () => {
    const { blobs, direct, container } = behind
    const sdk = containerClient(server, container).getBlockBlobClient('k')
    const id = Buffer.from('0'.repeat(48)).toString('base64')
    await sdk.stageBlock(id, 'left', 4)
    expect(await direct.exists('k')).toBe(false)
    for await (const { key } of direct.list('')) expect(key).toBe('none')
    await blobs.write('k', bytesOf(SIZE, 1), { when: { ifAbsent: true } })
    expect(same(await direct.bytes('k'), bytesOf(SIZE, 1))).toBe(true)
    // Ids of another length: the service refuses the two together.
    const { version } = await direct.write('j', 'old')
    await containerClient(server, container).getBlockBlobClient('j').stageBlock('YQ==', 'left', 4)
    // No lost race, which the caller would run again for ever.
    for (const when of [undefined, { ifVersion: version }])
      await expect(blobs.write('j', bytesOf(SIZE, 1), when ? { when } : {})).rejects.toMatchObject({
        ...{ code: 'UNAVAILABLE', retryable: false },
        message: expect.stringContaining('Another program'),
      })
    expect((await direct.stat('j')).version).toBe(version)
  })
})

describe('requests per operation', () => {
  const counted = async (work: () => Promise<unknown>) => {
    behind.proxy.forget()
    await work()
    return behind.proxy.counts()
  }

  it('each costs what it must, and no more', async () => {
    const { blobs } = behind
    const small = bytesOf(128 * KIB)
    const one = { 'Put Blob': 1 }
    await blobs.open()
    expect(await counted(() => blobs.write('a', small, { when: { ifAbsent: true } }))).toEqual(one)
    expect(await counted(() => blobs.write('b', new Blob([small as Uint8Array<ArrayBuffer>])))).toEqual(one)
    expect(await counted(() => blobs.write('c', bytesOf(SIZE)))).toEqual({ 'Put Block': 10, 'Put Block List': 1 })
    expect(await counted(() => blobs.write('a', small, { when: { ifAbsent: true } }).catch(() => 0))).toEqual(one)
    expect(await counted(() => blobs.stat('a'))).toEqual({ 'Get Blob Properties': 1 })
    expect(await counted(() => blobs.bytes('c'))).toEqual({ 'Get Blob': 1 })
    expect(await counted(() => blobs.bytes('c', { range: { offset: 5, length: 9 } }))).toEqual({ 'Get Blob': 1 })
    expect(await counted(() => blobs.readInto('c', new Uint8Array(SIZE), { offset: 0 }))).toEqual({ 'Get Blob': 10 })
    expect(await counted(() => blobs.stat('none').catch(() => 0))).toEqual({ 'Get Blob Properties': 1 })
    expect(await counted(() => blobs.bytes('none').catch(() => 0))).toEqual({ 'Get Blob': 1 })
    expect(await counted(() => blobs.copy('a', 'd'))).toEqual({ 'Get Blob Properties': 1, 'Copy Blob': 1 })
    expect(await counted(() => allOf(blobs.list('')))).toEqual({ 'List Blobs': 1 })
    expect(await counted(() => allOf(blobs.list('', { limit: 1 })))).toEqual({ 'List Blobs': 1 })
    expect(await counted(() => blobs.sign('a', { method: 'GET', expiresIn: 60 }))).toEqual({})
    expect(await counted(() => blobs.delete(['a', 'b', 'c']))).toEqual({ 'Delete Blob': 3 })
  })

  it('open: three round trips of the probe, which leaves nothing; none with probe: false', async () => {
    const probing = await behindProxy(server, { probe: true })
    await probing.blobs.open()
    expect(probing.proxy.counts()).toEqual({ 'Put Blob': 3, 'Delete Blob': 1 })
    const names = await allOf(containerClient(server, probing.container).listBlobsFlat())
    expect(names).toEqual([])
    await probing.end()
    behind.proxy.forget()
    await behind.blobs.open()
    expect(behind.proxy.requests).toEqual([])
  })
})

describe('connections', () => {
  it('are kept and used again; a cancelled body closes its own; close leaves none, ', async () => {
    const { blobs, proxy } = behind
    await blobs.write('k', bytesOf(4096 * KIB))
    proxy.forget()
    for (let n = 0; n < 20; n++) await blobs.stat('k')
    expect(proxy.connections.made).toBeLessThanOrEqual(1)
    const open = proxy.connections.open
    const held = await Promise.all(Array.from({ length: 10 }, () => blobs.read('k')))
    expect(proxy.connections.open).toBeGreaterThanOrEqual(10)
    for (const { body } of held) await body.cancel()
    await expect.poll(() => proxy.connections.open, { timeout: 60_000 }).toBeLessThanOrEqual(open)
    // Larger than what is on its way between here and there.
    await blobs.write('large', bytesOf(12 * 1024 * KIB))
    const { body } = await blobs.read('large')
    const reader = body.getReader()
    await reader.read()
    await blobs.close()
    const readOn = async () => {
      while (!(await reader.read()).done);
    }
    await expect(readOn()).rejects.toMatchObject({ code: 'CLOSED' })
    await expect.poll(() => proxy.connections.open, { timeout: 60_000 }).toBe(0)
  })
})

describe('many calls at once', () => {
  it('share 64 connections', async () => {
    const { blobs, proxy } = behind
    await blobs.write('k', 'x')
    let most = 0
    const look = setInterval(() => {
      most = Math.max(most, proxy.connections.open)
    }, 1)
    await Promise.all(Array.from({ length: 500 }, () => blobs.stat('k')))
    clearInterval(look)
    expect(most).toBeGreaterThan(1)
    // Some may be closing still.
    expect(most).toBeLessThan(100)
  })
})

describe('metadata', () => {
  it('every name comes back as it was, beside one another; the nonce is never shown', async () => {
    const { blobs, direct, container } = behind
    const meta = Object.fromEntries(
      ['a_b', 'a-b', 'a__b', 'a--b', 'a_-b', 'a-_b', 'a_d', 'a_db', 'ab', 'tensorhub_write', 'x_', 'x-'].map((name) => [
        name,
        `of ${name}`,
      ]),
    )
    for (const bytes of [bytesOf(10), bytesOf(SIZE)]) {
      const info = await blobs.write('k', bytes, { meta, contentType: 'text/plain; charset=utf-8' })
      await blobs.copy('k', 'copy')
      const listed = (await allOf(blobs.list('k')))[0]
      for (const found of [
        info,
        await direct.stat('k'),
        listed,
        (await direct.read('k', { range: { offset: 0, length: 1 } })).info,
        await blobs.stat('copy'),
      ])
        expect([found?.meta, found?.contentType]).toEqual([meta, 'text/plain; charset=utf-8'])
    }
    const stored = await containerClient(server, container).getBlobClient('k').getProperties()
    expect(stored.metadata?.['tensorhub_write']).toMatch(/^[0-9a-f-]{36}$/)
    expect(stored.metadata?.['a__b']).toBe('of a_b')
    await direct.write('bare', 'x')
    expect((await direct.stat('bare')).meta).toBeUndefined()
  })

  it('what other programs stored is read as it is', async () => {
    const { direct, container } = behind
    // Their names may look like escaped ones.
    const metadata = { foo: '1', foo_bar: '2', my_data: '3', a__b: '4' }
    await containerClient(server, container).getBlockBlobClient('k').upload('x', 1, { metadata })
    await direct.copy('k', 'copy')
    await direct.copy('copy', 'again')
    for (const key of ['k', 'copy', 'again']) expect((await direct.stat(key)).meta).toEqual(metadata)
  })
})

describe('sign', () => {
  it('GET and PUT work without credentials, for that blob only, until they expire', async () => {
    const { direct } = behind
    await direct.write('k', 'signed')
    const get = await direct.sign('k', { method: 'GET', expiresIn: 60 })
    expect(await (await fetch(get)).text()).toBe('signed')
    expect((await fetch(get, { method: 'DELETE' })).status).toBe(403)
    const elsewhere = new URL(get)
    elsewhere.pathname = elsewhere.pathname.replace(/k$/, 'j')
    expect((await fetch(elsewhere)).status).toBe(403)
    const put = await direct.sign('new', { method: 'PUT', expiresIn: 60 })
    const { headers = {} } = put
    expect(headers).toEqual({ 'x-ms-blob-type': 'BlockBlob' })
    await expect(direct.sign('new', { method: 'PUT', expiresIn: 60, sha256: 'ab'.repeat(32) })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      path: 'sha256',
    })
    expect((await fetch(put, { method: 'PUT', headers, body: 'put' })).status).toBe(201)
    expect(Buffer.from(await direct.bytes('new')).toString()).toBe('put')
    expect((await fetch(put)).status).toBe(403)
    const short = await direct.sign('k', { method: 'GET', expiresIn: 1 })
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect((await fetch(short)).status).toBe(403)
  })
})
