import { type Doc, isHubError, openBlobs, openIndex, parseFilter } from '@tensorhub/core'
import { blobsFromUrl, indexFromUrl, memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'

const everything = parseFilter({})

describe('memory URLs', () => {
  it('a name is one store in this process, for documents and blobs', async () => {
    await openIndex(indexFromUrl('memory:shared-1')).insert('c', [{ _id: 'a' }])
    expect(await openIndex(indexFromUrl('memory:shared-1')).count('c', everything)).toBe(1)
    expect(await openIndex(indexFromUrl('memory:shared-2')).count('c', everything)).toBe(0)
    await openBlobs(blobsFromUrl('memory:shared-1')).write('k', 'x')
    expect(await openBlobs(blobsFromUrl('memory:shared-1')).exists('k')).toBe(true)
    expect(await openBlobs(blobsFromUrl('memory:shared-2')).exists('k')).toBe(false)
  })

  it('no name is a new store each time', async () => {
    await openIndex(indexFromUrl('memory:')).insert('c', [{ _id: 'a' }])
    expect(await openIndex(indexFromUrl('memory:')).count('c', everything)).toBe(0)
  })

  it('another form is INVALID', () => {
    for (const url of ['memory', 'memory://x', 'memory:a b', 'memory:x?y=1', 'sqlite:x']) {
      expect(() => indexFromUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID' }))
      expect(() => blobsFromUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID' }))
    }
  })
})

describe('memoryIndex', () => {
  it('gives frozen documents, to the depth', async () => {
    const index = openIndex(memoryIndex())
    await index.insert('c', [{ _id: 'a', o: { list: [1] } }])
    const doc = (await index.top('c', everything)) as Doc & { o: { list: number[] } }
    expect(() => doc.o.list.push(2)).toThrow(TypeError)
    expect(Object.isFrozen(doc)).toBe(true)
  })

  it('a Date that was read can be changed without changing the store', async () => {
    const index = openIndex(memoryIndex())
    await index.insert('c', [{ _id: 'a', time: new Date(5) }])
    const doc = (await index.top('c', everything)) as Doc & { time: Date }
    doc.time.setTime(99)
    expect(await index.count('c', parseFilter({ time: new Date(5) }))).toBe(1)
  })
})

describe('memoryBlobs', () => {
  it('a reader holds the content it began with', async () => {
    const blobs = openBlobs(memoryBlobs())
    await blobs.write('k', 'old')
    const { body } = await blobs.read('k')
    await blobs.write('k', 'new')
    expect(await new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).text()).toBe('old')
  })

  it('an INVALID key names itself', async () => {
    const blobs = openBlobs(memoryBlobs())
    await expect(async () => blobs.write('../x', 'x')).rejects.toSatisfy(
      (error) => isHubError(error, 'INVALID') && error.message.includes('../x'),
    )
  })
})
