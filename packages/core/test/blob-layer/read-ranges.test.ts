import { expect, it } from 'vitest'
import { type BlobInfo, HubError, type ReadRangesOptions, readRanges } from '../../src/index.ts'

/** Blobs of one key, by version; `current` is what an unpinned read gets. */
function store(versions: Readonly<Record<string, Uint8Array>>, current: () => string) {
  const asked: { offset: number; ifVersion: string | undefined }[] = []
  let inFlight = 0
  let most = 0
  const read: ReadRangesOptions['read'] = async ({ offset, length }, { ifVersion }) => {
    asked.push({ offset, ifVersion })
    most = Math.max(most, ++inFlight)
    await new Promise((resolve) => setImmediate(resolve))
    inFlight--
    const version = current()
    if (ifVersion !== undefined && ifVersion !== version) throw new HubError('CONFLICT', 'Another version.')
    const bytes = versions[version] as Uint8Array
    const info: BlobInfo = { key: 'k', size: bytes.length, modified: new Date(0), version }
    return { info, body: new Blob([bytes.slice(offset, offset + length)]).stream() }
  }
  return { read, asked, most: () => most }
}
const old = new Uint8Array(1000).fill(1)
const young = new Uint8Array(1000).fill(2)

it('fills memory by parallel ranges, within the blob and at its end', async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251)
  const { read, asked, most } = store({ a: bytes }, () => 'a')
  const into = new Uint8Array(900)
  const info = await readRanges(into, { offset: 100, partSize: 250, parallel: 3, read })
  expect(into).toEqual(bytes.subarray(100))
  expect(info).toMatchObject({ size: 1000, version: 'a' })
  expect(asked.map(({ offset }) => offset)).toEqual([100, 350, 600, 850])
  expect(most()).toBe(3)
})

it('a blob that is replaced between two ranges is read again, all of it the newer one', async () => {
  let answered = 0
  const { read, asked } = store({ old, young }, () => (answered++ < 2 ? 'old' : 'young'))
  const into = new Uint8Array(1000)
  const info = await readRanges(into, { offset: 0, partSize: 300, parallel: 2, read })
  expect(info.version).toBe('young')
  expect(into).toEqual(young)
  expect(asked.slice(4).every(({ ifVersion }) => ifVersion === 'young')).toBe(true)
})

it('one that is replaced all the time ends in CONFLICT, and a version asked for is never replaced by another', async () => {
  let answered = 0
  const versions = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [String(i), old]))
  const { read } = store(versions, () => String(answered++))
  await expect(readRanges(new Uint8Array(1000), { offset: 0, partSize: 300, parallel: 2, read })).rejects.toMatchObject(
    {
      code: 'CONFLICT',
    },
  )
  const one = store({ old }, () => 'old')
  await expect(
    readRanges(new Uint8Array(1000), { offset: 0, partSize: 300, parallel: 2, read: one.read, ifVersion: 'older' }),
  ).rejects.toMatchObject({ code: 'CONFLICT' })
})

it('a blob shorter than the memory is RANGE; the first failure stops the others and is the one thrown', async () => {
  const { read } = store({ old }, () => 'old')
  await expect(readRanges(new Uint8Array(1001), { offset: 0, partSize: 300, parallel: 2, read })).rejects.toMatchObject(
    {
      code: 'RANGE',
    },
  )
  const stopped: unknown[] = []
  const failing: ReadRangesOptions['read'] = ({ offset }, { signal }) =>
    offset === 300
      ? Promise.reject(new HubError('THROTTLED', 'Slow down.'))
      : new Promise((_, reject) =>
          signal.addEventListener('abort', () => {
            stopped.push(offset)
            reject(new HubError('ABORTED', 'stopped'))
          }),
        )
  await expect(
    readRanges(new Uint8Array(1000), { offset: 0, partSize: 300, parallel: 4, read: failing }),
  ).rejects.toMatchObject({ code: 'THROTTLED' })
  expect(stopped).toEqual([0, 600, 900])
})
