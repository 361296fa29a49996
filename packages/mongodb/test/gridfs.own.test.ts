import { buffer } from 'node:stream/consumers'
import { openBlobs } from '@tensorhub/core'
import { type MongoOptions, type MongoServer, startMongo } from '@tensorhub/servers'
import { GridFSBucket, MongoClient, ObjectId } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gridfs } from '../src/gridfs/driver.ts'
import { blobsFromUrl } from '../src/gridfs/from-url.ts'
import { all, KIB, MIB, noise, Side, soon, streamOf } from './gridfs/bucket.ts'

const SERVERS: readonly (readonly [name: string, options: MongoOptions])[] = [
  ['SecantusDB', {}],
  ['mongo-java-server', { kind: 'java' }],
]

for (const [name, options] of SERVERS) {
  describe(`gridfs on ${name}`, () => {
    let server: MongoServer
    beforeAll(async () => {
      server = await startMongo(options)
    })
    afterAll(() => server?.stop())

    it('every size around the chunk comes back the same, whole and by ranges, and the driver’s own GridFSBucket reads it', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      const bucket = new GridFSBucket(side.client.db(), { bucketName: 'tensorhub' })
      const chunk = 64 * KIB
      for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk + 7]) {
        const bytes = noise(size, size + 1)
        for (const [way, body] of [
          ['bytes', bytes],
          ['stream', streamOf(bytes)],
        ] as const) {
          const key = `a/${way}-${size}`
          await blobs.write(key, body, { contentType: 'image/png', meta: { kind: 'weights' } })
          expect(Buffer.from(await blobs.bytes(key)).equals(bytes)).toBe(true)
          const theirs = await buffer(bucket.openDownloadStreamByName(key))
          expect(theirs.equals(bytes)).toBe(true)
          const file = await side.collection('files').findOne({ filename: key })
          expect(Object.keys(file).sort()).toEqual(
            ['_id', 'chunkSize', 'filename', 'length', 'metadata', 'uploadDate'].sort(),
          )
          expect([file.length, file.chunkSize, file.metadata.contentType, file.metadata.kind]).toEqual([
            size,
            chunk,
            'image/png',
            'weights',
          ])
          const chunks = await side.collection('chunks').find({ files_id: file._id }).sort({ n: 1 }).toArray()
          expect(chunks.map(({ n, data }) => [n, data.length])).toEqual(
            Array.from({ length: Math.ceil(size / chunk) }, (_, n) => [n, Math.min(chunk, size - n * chunk)]),
          )
          for (const each of chunks) expect(Object.keys(each).sort()).toEqual(['_id', 'data', 'files_id', 'n'])
          for (const [from, length] of [
            [1, size - 2],
            [chunk - 1, 2],
            [chunk, chunk],
            [2 * chunk + 5, 3 * chunk],
          ] as const) {
            if (length <= 0 || from + length > size) continue
            const into = new Uint8Array(length)
            await blobs.readInto(key, into, { offset: from })
            expect(Buffer.from(into).equals(bytes.subarray(from, from + length))).toBe(true)
            const range = await blobs.bytes(key, { range: { offset: from, length } })
            expect(Buffer.from(range).equals(bytes.subarray(from, from + length))).toBe(true)
          }
        }
      }
    })

    it('64 MiB are exact to the byte, in chunks of 1 MiB and of 4 MiB, ours and as others read them', async () => {
      await using side = new Side(server)
      const bytes = noise(64 * MIB + 1, 3)
      const bucket = new GridFSBucket(side.client.db(), { bucketName: 'tensorhub' })
      for (const chunkSizeBytes of [MIB, 4 * MIB]) {
        const blobs = side.store({ chunkSizeBytes })
        await blobs.write('large', bytes)
        const into = new Uint8Array(bytes.byteLength)
        await blobs.readInto('large', into, { offset: 0 })
        expect(Buffer.compare(into, bytes)).toBe(0)
        let at = 0
        for await (const piece of (await blobs.read('large')).body) {
          expect(Buffer.compare(piece, bytes.subarray(at, at + piece.byteLength))).toBe(0)
          at += piece.byteLength
        }
        expect(at).toBe(bytes.byteLength)
      }
      const theirs = side.client.db().collection('tensorhub.files').findOne({ filename: 'large' })
      const download = bucket.openDownloadStream((await theirs)?._id as ObjectId)
      expect(Buffer.compare(await buffer(download), bytes)).toBe(0)
    })

    it('files that other clients of GridFS keep in the bucket are neither listed, nor read, nor swept, nor damaged by a write of their name', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      const bucket = new GridFSBucket(side.client.db(), { bucketName: 'tensorhub' })
      const upload = bucket.openUploadStream('theirs', { metadata: { mine: true } })
      const bytes = noise(700 * KIB)
      await new Promise<void>((done, fail) => upload.once('finish', done).once('error', fail).end(bytes))
      // Half of an upload of theirs: chunks without a file.
      await side
        .collection('chunks')
        .insertOne({ files_id: new ObjectId('0'.repeat(24)), n: 0, data: Buffer.from('half') })
      await expect(blobs.stat('theirs')).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await all(blobs.list(''))).toEqual([])
      await blobs.write('theirs', 'ours')
      expect(new TextDecoder().decode(await blobs.bytes('theirs'))).toBe('ours')
      expect(await blobs.sweep({ before: soon() })).toEqual({ count: 0, bytes: 0 })
      await blobs.delete(['theirs'])
      expect(await side.counts()).toEqual([0, 1, 4])
      expect(Buffer.compare(await buffer(bucket.openDownloadStream(upload.id)), bytes)).toBe(0)
    })

    it('prefix: stores in one bucket do not see each other, and other clients see the whole name', async () => {
      await using side = new Side(server)
      const [a, b, whole] = [side.store({ prefix: 'a' }), side.store({ prefix: '/b/c/' }), side.store()]
      await a.write('k', 'in a')
      await b.write('k', 'in b')
      await b.write('l', 'in b too')
      const keys = async (store: typeof a, prefix = '', after?: string) =>
        (await all(store.list(prefix, after === undefined ? {} : { after }))).map(({ key }) => key)
      expect(await keys(a)).toEqual(['k'])
      expect(await keys(b)).toEqual(['k', 'l'])
      expect(await keys(b, '', 'k')).toEqual(['l'])
      expect(await keys(whole)).toEqual(['a/k', 'b/c/k', 'b/c/l'])
      expect((await b.stat('k')).key).toBe('k')
      await b.delete(['k'])
      expect(await keys(whole)).toEqual(['a/k', 'b/c/l'])
      expect(new TextDecoder().decode(await a.bytes('k'))).toBe('in a')
      expect(await side.collection('files').distinct('filename')).toEqual(['a/k', 'b/c/l'])
    })

    it('a row without sizes is INTEGRITY, not a short body', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      for (const fields of [{ chunkSize: 0 }, { chunkSize: null }, { length: -1 }, { length: 'many' }]) {
        await blobs.write('a', noise(150 * KIB))
        await side.collection('keys').updateOne({ _id: 'a' }, { $set: fields })
        await expect(blobs.bytes('a')).rejects.toMatchObject({ code: 'INTEGRITY' })
        await expect(blobs.read('a')).rejects.toMatchObject({ code: 'INTEGRITY' })
      }
    })

    it('a damaged file is INTEGRITY, naming the chunk: missing, too short, too long', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      const chunks = side.collection('chunks')
      for (const [what, damage] of [
        ['missing', () => chunks.deleteOne({ n: 2 })],
        ['bytes instead of', () => chunks.updateOne({ n: 2 }, { $set: { data: Buffer.alloc(100) } })],
        ['bytes instead of', () => chunks.updateOne({ n: 2 }, { $set: { data: Buffer.alloc(65 * KIB) } })],
      ] as const) {
        await blobs.write('k', noise(300 * KIB))
        await damage()
        for (const read of [
          () => blobs.bytes('k'),
          () => blobs.readInto('k', new Uint8Array(300 * KIB), { offset: 0 }),
          () => blobs.bytes('k', { range: { offset: 2 * 64 * KIB, length: 1 } }),
        ])
          await expect(read()).rejects.toMatchObject({ code: 'INTEGRITY', message: expect.stringMatching(what) })
        // What does not need the chunk is read all the same.
        expect((await blobs.bytes('k', { range: { offset: 0, length: 128 * KIB } })).byteLength).toBe(128 * KIB)
        await blobs.delete(['k'])
      }
    })

    it('a blob that is replaced or deleted while it is read: CONFLICT, or the version that was pinned, never a mixture', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      const old = noise(4 * MIB, 1)
      for (const change of [() => blobs.write('k', noise(4 * MIB, 2)), () => blobs.delete(['k'])]) {
        await blobs.write('k', old)
        const { body } = await blobs.read('k')
        const reader = body.getReader()
        let at = 0
        const failure = await (async () => {
          for (;;) {
            const { done, value } = await reader.read()
            if (done) return undefined
            expect(Buffer.compare(value, old.subarray(at, at + value.byteLength))).toBe(0)
            if (at === 0) await change()
            at += value.byteLength
          }
        })().catch((error: unknown) => error)
        expect(failure).toMatchObject({ code: 'CONFLICT', retryable: true })
      }
      // readInto takes the new version where no one was asked for.
      const versions = [noise(MIB, 5), noise(MIB, 6)] as const
      await blobs.write('k', versions[0])
      let stop = false
      const writer = (async () => {
        for (let n = 0; !stop; n++) await blobs.write('k', versions[n % 2] as Uint8Array)
      })()
      const into = new Uint8Array(MIB)
      for (let n = 0; n < 40; n++) {
        const done = await blobs.readInto('k', into, { offset: 0 }).catch((error: unknown) => error)
        if (done instanceof Error) expect(done).toMatchObject({ code: 'CONFLICT', retryable: true })
        else expect(versions.some((bytes) => Buffer.compare(bytes, into) === 0)).toBe(true)
      }
      stop = true
      await writer
    })

    it('of two writers of one key at once one is left, whole, and nothing of the other', async () => {
      await using side = new Side(server)
      const stores = [side.store(), side.store()]
      for (let round = 0; round < 10; round++) {
        const bodies = [noise(200 * KIB, 1), noise(130 * KIB, 2)] as const
        await Promise.all(stores.map((store, i) => store.write('k', bodies[i] as Uint8Array)))
        const left = await (stores[0] as (typeof stores)[0]).bytes('k')
        expect(bodies.some((bytes) => Buffer.compare(bytes, left) === 0)).toBe(true)
        const [keys, files, chunks] = await side.counts()
        expect([keys, files, chunks]).toEqual([1, 1, Math.ceil(left.byteLength / (64 * KIB))])
      }
    })

    it('a counter by ifVersion: 8 writers, no increment lost', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      await blobs.write('n', '0')
      const increment = async () => {
        for (;;) {
          const { info, body } = await blobs.read('n')
          const text = await new Response(body).text().catch(() => undefined)
          if (text === undefined) continue
          try {
            await blobs.write('n', String(Number(text) + 1), { when: { ifVersion: info.version } })
            return
          } catch (error) {
            expect(error).toMatchObject({ code: 'CONFLICT' })
          }
        }
      }
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          for (let n = 0; n < 8; n++) await increment()
        }),
      )
      expect(new TextDecoder().decode(await blobs.bytes('n'))).toBe('64')
      expect(await side.counts()).toEqual([1, 1, 1])
    })

    it('a version of another store is a CONFLICT, not a failure', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      await blobs.write('k', 'a')
      for (const ifVersion of ['"etag"', '1234', 'f'.repeat(24)]) {
        await expect(blobs.write('k', 'b', { when: { ifVersion } })).rejects.toMatchObject({ code: 'CONFLICT' })
        await expect(blobs.read('k', { ifVersion })).rejects.toMatchObject({ code: 'CONFLICT' })
      }
      expect(await side.counts()).toEqual([1, 1, 1])
    })

    it('commands an operation: as few as there can be', async () => {
      await using side = new Side(server)
      const client = new MongoClient(side.url, { monitorCommands: true })
      const commands: string[] = []
      client.on('commandStarted', ({ commandName, command }) => {
        if (commandName !== 'endSessions')
          commands.push(`${commandName} ${String(command[commandName]).split('.').at(-1)}`)
      })
      const blobs = openBlobs(gridfs({ client, chunkSizeBytes: 64 * KIB }))
      const took = async (work: () => Promise<unknown>) => {
        commands.length = 0
        await work()
        return [...commands]
      }
      // Two questions when it is opened: what the server is, by the one name that it knows, and whether it takes retryable writes.
      const opening = await took(() => blobs.open())
      expect(opening.length).toBeLessThanOrEqual(options.kind === 'java' ? 3 : 2)
      const first = await took(() => blobs.write('first', 'x'))
      expect(first.filter((command) => command.startsWith('createIndexes')).length).toBe(3)
      expect(first.length).toBe(7)
      expect(await took(() => blobs.write('k', 'small'))).toEqual(['insert chunks', 'insert files', 'insert keys'])
      expect(await took(() => blobs.write('s', new Blob(['small']).stream()))).toEqual([
        'insert chunks',
        'insert files',
        'insert keys',
      ])
      expect(await took(() => blobs.write('a', 'x', { when: { ifAbsent: true } }))).toEqual([
        'insert chunks',
        'insert files',
        'insert keys',
      ])
      const { version } = await blobs.stat('a')
      expect(await took(() => blobs.write('a', 'y', { when: { ifVersion: version } }))).toEqual([
        'insert chunks',
        'insert files',
        'update keys',
        'delete files',
        'delete chunks',
      ])
      expect(await took(() => blobs.stat('k'))).toEqual(['find keys'])
      expect(await took(() => blobs.bytes('k'))).toEqual(['find keys', 'find chunks'])
      expect(await took(() => blobs.readInto('k', new Uint8Array(5), { offset: 0 }))).toEqual([
        'find keys',
        'find chunks',
      ])
      expect(await took(async () => (await blobs.read('k')).body.cancel())).toEqual(['find keys'])
      expect(await took(() => all(blobs.list('')))).toEqual(['find keys'])
      // 16 MiB in requests of one chunk, 2 MiB, each way.
      const large = noise(16 * MIB)
      const other = openBlobs(gridfs({ client }))
      await other.write('first', 'x')
      expect((await took(() => other.write('large', large))).length).toBe(8 + 2)
      expect((await took(() => other.readInto('large', new Uint8Array(16 * MIB), { offset: 0 }))).length).toBe(1 + 8)
      expect(await took(() => blobs.delete(['k']))).toEqual([
        'find keys',
        'delete keys',
        'delete files',
        'delete chunks',
      ])
      expect(await took(() => blobs.delete(['none']))).toEqual(['find keys'])
      await other.close()
      await blobs.close()
      await client.close()
    })

    it('indexes are there after the first write, those of the GridFS specification and the unique one of fences; a reader makes none', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      await expect(blobs.stat('k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await all(blobs.list(''))).toEqual([])
      expect(await side.client.db().listCollections().toArray()).toEqual([])
      await blobs.write('k', 'x')
      const indexes = async (name: 'keys' | 'files' | 'chunks') =>
        (await side.collection(name).listIndexes().toArray()).map(({ key, unique }) => [key, unique === true])
      expect(await indexes('chunks')).toContainEqual([{ files_id: 1, n: 1 }, true])
      expect(await indexes('files')).toContainEqual([{ filename: 1, uploadDate: 1 }, false])
      expect(await indexes('keys')).toContainEqual([{ file: 1 }, true])
    })

    it('the connection is a URL’s, with bucket and timeout; what is not known is INVALID by name', async () => {
      await using side = new Side(server)
      const blobs = openBlobs(blobsFromUrl(`${side.url}?bucket=other&timeout=20000`))
      await blobs.write('k', 'x')
      expect(await side.counts('other')).toEqual([1, 1, 1])
      await blobs.close()
      for (const [o, path] of [
        [{ chunkSizeBytes: 10 }, 'chunkSizeBytes'],
        [{ chunkSizeBytes: 16 * MIB }, 'chunkSizeBytes'],
        [{ parallel: 0 }, 'parallel'],
        [{ bucket: 'a$b' }, 'bucket'],
        [{ bucket: '' }, 'bucket'],
        [{ prefix: 'a b' }, 'prefix'],
        [{ chunkSize: 5 }, 'chunkSize'],
      ] as const)
        expect(() => side.store(o as object)).toThrow(expect.objectContaining({ code: 'INVALID', path }))
    })
  })
}
