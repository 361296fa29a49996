import { mkdir, mkdtemp, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareStrings, HubError, openBlobs } from '@tensorhub/core'
import { blobsFromUrl, fs } from '@tensorhub/fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FsBlobs } from '../src/driver.ts'
import { pathOf } from '../src/layout.ts'

const newFolder = () => mkdtemp(join(tmpdir(), 'tensorhub-fs-own-'))
const staged = async (folder: string) => readdir(join(folder, '#staging'))

async function keysOf(blobs: ReturnType<typeof openBlobs>): Promise<string[]> {
  const keys: string[] = []
  for await (const info of blobs.list('')) keys.push(info.key)
  return keys
}

describe('names of files', () => {
  const segment = fc
    .string({ unit: fc.constantFrom(...'aAbBzZ09._-~=+@'), minLength: 1, maxLength: 200 })
    .filter((text) => !text.endsWith('.'))
  const key = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/').slice(0, 512))

  it('no two keys meet on a file system that ignores case, and every name fits', () => {
    fc.assert(
      fc.property(key, key, (one, other) => {
        const [a, b] = [pathOf('/x', one), pathOf('/x', other)]
        if (one !== other) expect(a.toLowerCase()).not.toBe(b.toLowerCase())
        for (const name of a.split('/')) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255)
      }),
      { numRuns: 2000 },
    )
  })

  it('keys whose files and folders could be taken for each other live side by side', async () => {
    const blobs = openBlobs(fs({ folder: await newFolder() }))
    const keys = [
      'a',
      'a.b',
      'a.b/c',
      'a.b.b/c',
      'a/b',
      'a.B/c',
      'A',
      'A/b',
      'A.b/c',
      `${'X'.repeat(200)}/${'yZ'.repeat(100)}`,
    ]
    for (const each of keys) await blobs.write(each, each)
    for (const each of keys) expect(Buffer.from(await blobs.bytes(each)).toString()).toBe(each)
    expect(await keysOf(blobs)).toEqual([...keys].sort(compareStrings))
    const late = fs({ folder: blobs.driver.native?.() as string })
    expect(await keysOf(openBlobs(late))).toEqual([...keys].sort(compareStrings))
  })

  it('files of others in the folder are passed over', async () => {
    const folder = await newFolder()
    const blobs = openBlobs(fs({ folder }))
    await blobs.write('mine/1', 'x')
    await writeFile(join(folder, '.DS_Store'), '')
    await writeFile(join(folder, 'no key.b'), '')
    await writeFile(join(folder, 'ab!00.b'), '')
    await writeFile(join(folder, 'con.b'), '')
    await mkdir(join(folder, 'a folder'))
    await writeFile(join(folder, 'a folder', 'x.b'), '')
    expect(await keysOf(blobs)).toEqual(['mine/1'])
  })
})

describe('a file system without hard links', () => {
  const noLink = (folder: string) =>
    new FsBlobs({ folder }, { link: () => Promise.reject(Object.assign(new Error('link'), { code: 'EPERM' })) })

  it('is noticed at opening: only-if-absent is refused before any I/O, everything else works', async () => {
    const folder = await newFolder()
    const blobs = openBlobs(noLink(folder))
    expect((await blobs.can()).ifAbsent).toBe(false)
    await expect(blobs.write('a', 'x', { when: { ifAbsent: true } })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      reason: 'CAPABILITY',
      message: expect.stringContaining('another store'),
    })
    await blobs.write('a', '1')
    await blobs.write('a', '2')
    expect(Buffer.from(await blobs.bytes('a')).toString()).toBe('2')
    expect(await staged(folder)).toEqual([])
  })

  it('is told by name where it shows only at the write', async () => {
    const folder = await newFolder()
    await expect(noLink(folder).writeBytes('a', new Uint8Array(1), { when: { ifAbsent: true } })).rejects.toMatchObject(
      { code: 'UNSUPPORTED', message: expect.stringContaining(folder) },
    )
    await expect(stat(pathOf(folder, 'a'))).rejects.toThrow('ENOENT')
    expect(await staged(folder)).toEqual([])
  })
})

describe('the folder', () => {
  it('that is removed while the store is open is made again', async () => {
    const folder = await newFolder()
    const blobs = openBlobs(fs({ folder }))
    await blobs.write('a/b/1', 'x')
    await rm(folder, { recursive: true })
    await expect(blobs.read('a/b/1')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await keysOf(blobs)).toEqual([])
    expect(await blobs.sweep({ before: new Date() })).toEqual({ count: 0, bytes: 0 })
    await blobs.write('a/b/2', 'y')
    await rm(join(folder, 'a'), { recursive: true })
    await blobs.write('a/b/3', 'z', { when: { ifAbsent: true } })
    expect(await keysOf(blobs)).toEqual(['a/b/3'])
  })

  it('whose path leads through a file: INVALID, named', async () => {
    const file = join(await newFolder(), 'file')
    await writeFile(file, '')
    await expect(openBlobs(fs({ folder: join(file, 'blobs') })).open()).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(file),
    })
  })

  it('below or at a link that leads nowhere (a disk that is not mounted): UNAVAILABLE, named, rather than tried for ever', async () => {
    const link = join(await newFolder(), 'disk')
    await symlink(`${link}-not-mounted`, link)
    for (const folder of [link, join(link, 'blobs')])
      await expect(openBlobs(fs({ folder })).open()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining(`'${link}'`),
      })
  })

  it('is readable by its owner only', async () => {
    const folder = join(await newFolder(), 'made')
    const blobs = openBlobs(fs({ folder }))
    await blobs.write('a/b', 'x')
    for (const path of [folder, join(folder, 'a')]) expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect((await stat(pathOf(folder, 'a/b'))).mode & 0o777).toBe(0o600)
  })
})

describe('staging files', () => {
  it('of writers that died are swept by age; those of living writers stay', async () => {
    const folder = await newFolder()
    const blobs = openBlobs(fs({ folder }))
    await blobs.open()
    const [old, young] = ['0a', '0b'].map((name) => join(folder, '#staging', name)) as [string, string]
    for (const path of [old, young]) await writeFile(path, 'half')
    const hours = (n: number) => new Date(Date.now() - n * 3_600_000)
    await utimes(old, hours(30), hours(30))
    const before = hours(24)
    expect(await blobs.sweep({ before, dryRun: true })).toEqual({ count: 1, bytes: 4 })
    expect(await staged(folder)).toEqual(['0a', '0b'])
    expect(await blobs.sweep({ before })).toEqual({ count: 1, bytes: 4 })
    expect(await staged(folder)).toEqual(['0b'])
    expect(await keysOf(blobs)).toEqual([])
  })

  it('that is swept under its writer: a retryable error, and nothing visible', async () => {
    const folder = await newFolder()
    const blobs = openBlobs(fs({ folder }))
    async function* slow() {
      yield new Uint8Array(2 ** 21)
      for (const name of await staged(folder)) await rm(join(folder, '#staging', name))
      yield new Uint8Array(5)
    }
    await expect(blobs.write('a', slow())).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    expect(await keysOf(blobs)).toEqual([])
  })
})

describe('a version', () => {
  it('names one writing of the key, and a read that wants another fails', async () => {
    const blobs = openBlobs(fs({ folder: await newFolder() }))
    const first = await blobs.write('a', 'same')
    const second = await blobs.write('a', 'same')
    expect(second.version).not.toBe(first.version)
    expect((await blobs.stat('a')).version).toBe(second.version)
    await expect(blobs.bytes('a', { ifVersion: first.version })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await blobs.bytes('a', { ifVersion: second.version })).length).toBe(4)
    await expect(blobs.write('a', 'x', { when: { ifVersion: second.version } })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  })
})

describe('options', () => {
  it('are checked by name', () => {
    expect(() => fs({ folder: '' })).toThrow(expect.objectContaining({ code: 'INVALID', path: 'folder' }))
    expect(() => fs({ folder: 'x', root: 'y' } as { folder: string })).toThrow(
      expect.objectContaining({ code: 'INVALID', path: 'root' }),
    )
    expect(() => blobsFromUrl('file://host/x')).toThrow(HubError)
    expect(() => blobsFromUrl('file:///x?mode=1')).toThrow(expect.objectContaining({ code: 'INVALID' }))
    expect(blobsFromUrl('file:///a%20b').native?.()).toBe('/a b')
  })
})

it('a reader keeps the content it began with, whatever is written or deleted meanwhile', async () => {
  const blobs = openBlobs(fs({ folder: await newFolder() }))
  const bytes = new Uint8Array(3 * 2 ** 20).fill(1)
  await blobs.write('a', bytes)
  const { info, body } = await blobs.read('a')
  const reader = body.getReader()
  let seen = (await reader.read()).value as Uint8Array
  await blobs.write('a', new Uint8Array(10).fill(2))
  await blobs.delete(['a'])
  let total = 0
  for (;;) {
    expect(seen.every((byte) => byte === 1)).toBe(true)
    total += seen.length
    const next = await reader.read()
    if (next.done) break
    seen = next.value
  }
  expect(total).toBe(info.size)
})
