import { setTimeout } from 'node:timers/promises'
import { type MongoOptions, type MongoServer, startMongo } from '@tensorhub/servers'
import type { ObjectId } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { all, KIB, noise, Side, soon, streamOf } from './gridfs/bucket.ts'

const SERVERS: readonly (readonly [name: string, options: MongoOptions])[] = [
  ['SecantusDB', {}],
  ['mongo-java-server', { kind: 'java' }],
]
const HOUR = 3_600_000

/** A body that stops after some bytes until it is told to go on. */
function halting(bytes: Uint8Array, after: number) {
  let go: () => void = () => undefined
  let reached: () => void = () => undefined
  const halted = new Promise<void>((resolve) => {
    reached = resolve
  })
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const body = async function* () {
    yield bytes.subarray(0, after)
    reached()
    await gate
    yield bytes.subarray(after)
  }
  return { body: body(), halted, go: () => go() }
}

for (const [name, options] of SERVERS) {
  describe(`leftovers of gridfs on ${name}`, () => {
    let server: MongoServer
    beforeAll(async () => {
      server = await startMongo(options)
    })
    afterAll(() => server?.stop())

    it('every kind of leftover is counted, with its bytes, and freed; blobs, and what is younger, stay', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      const sizes = { kept: 200 * KIB, 'no row': 150 * KIB, 'no file': 130 * KIB, 'no file, part': 192 * KIB, empty: 0 }
      for (const [key, size] of Object.entries(sizes)) await blobs.write(key.replaceAll(/[ ,]+/g, '-'), noise(size))
      const [keys, files, chunks] = [side.collection('keys'), side.collection('files'), side.collection('chunks')]
      const fileOf = async (key: string) => (await keys.findOne({ _id: key })).file as ObjectId
      await keys.deleteOne({ _id: 'no-row' })
      await keys.deleteOne({ _id: 'empty' })
      await files.deleteOne({ _id: await fileOf('no-file') })
      await keys.deleteOne({ _id: 'no-file' })
      // Of three chunks the first never came.
      const part = await fileOf('no-file-part')
      await chunks.deleteOne({ files_id: part, n: 0 })
      await files.deleteOne({ _id: part })
      await keys.deleteOne({ _id: 'no-file-part' })
      const expected = { count: 4, bytes: (150 + 130 + 128) * KIB }
      expect(await blobs.sweep({ before: new Date(Date.now() - HOUR) })).toEqual({ count: 0, bytes: 0 })
      expect(await blobs.sweep({ before: soon(), dryRun: true })).toEqual(expected)
      expect(await side.counts()).toEqual([1, 3, 4 + 3 + 3 + 2])
      expect(await blobs.sweep({ before: soon() })).toEqual(expected)
      expect(await side.collection('files').countDocuments({})).toBe(1)
      expect(await side.collection('chunks').countDocuments({})).toBe(4)
      expect(await blobs.sweep({ before: soon() })).toEqual({ count: 0, bytes: 0 })
      expect(Buffer.compare(await blobs.bytes('kept'), noise(sizes.kept))).toBe(0)
      // Fences are no blobs, and go in their time.
      expect((await all(blobs.list(''))).map(({ key }) => key)).toEqual(['kept'])
      await blobs.sweep({ before: new Date(Date.now() + 31 * 24 * HOUR) })
      expect(await side.counts()).toEqual([1, 1, 4])
    })

    it('an upload that lasts is left alone while it says that it lives, and fails whole where it was taken for dead', async () => {
      await using side = new Side(server)
      const bytes = noise(400 * KIB)
      const lively = side.lively(20)
      const slow = halting(bytes, 300 * KIB)
      const writing = lively.write('slow', slow.body)
      await slow.halted
      // The upload began long before: its file's id is of that time. What `before` means is the store's time.
      await setTimeout(2100)
      for (let tries = 0; (await side.collection('uploads').countDocuments({})) === 0; tries++) {
        expect(tries).toBeLessThan(500)
        await setTimeout(20)
      }
      expect(await side.store().sweep({ before: new Date(Date.now() - 1000) })).toEqual({ count: 0, bytes: 0 })
      slow.go()
      await writing
      expect(Buffer.compare(await lively.bytes('slow'), bytes)).toBe(0)

      // One that is silent for longer than the collection's grace is freed; its commit must not name chunks that are gone.
      for (const when of [undefined, { ifAbsent: true }, { ifVersion: (await lively.stat('slow')).version }] as const) {
        const quiet = side.store()
        const halted = halting(bytes, 300 * KIB)
        const key = when !== undefined && 'ifVersion' in when ? 'slow' : 'quiet'
        const lost = quiet.write(key, halted.body, when ? { when } : {}).catch((error: unknown) => error)
        await halted.halted
        for (let tries = 0; (await quiet.sweep({ before: soon(), dryRun: true })).count === 0; tries++) {
          expect(tries).toBeLessThan(500)
          await setTimeout(20)
        }
        expect((await quiet.sweep({ before: soon() })).count).toBe(1)
        halted.go()
        expect(await lost).toMatchObject({ code: 'CONFLICT', reason: 'UPLOAD_SWEPT', retryable: true })
        await expect(quiet.stat('quiet')).rejects.toMatchObject({ code: 'NOT_FOUND' })
        expect(Buffer.compare(await quiet.bytes('slow'), bytes)).toBe(0)
        expect(await quiet.sweep({ before: soon(), dryRun: true })).toEqual({ count: 0, bytes: 0 })
      }
      const [, files, chunks] = await side.counts()
      expect([files, chunks]).toEqual([1, 7])
    })

    it('a client whose clock is years behind neither makes young blobs look old nor has its uploads freed', async () => {
      await using side = new Side(server)
      const blobs = side.store()
      const real = Date.now
      const halted = halting(noise(400 * KIB), 300 * KIB)
      try {
        Date.now = () => real() - 3 * 365 * 24 * HOUR
        await blobs.write('k', 'x')
        const writing = blobs.write('slow', halted.body)
        await halted.halted
        expect(Math.abs((await blobs.stat('k')).modified.getTime() - real())).toBeLessThan(60_000)
        expect(await side.store().sweep({ before: new Date(real() - HOUR) })).toEqual({ count: 0, bytes: 0 })
        halted.go()
        await writing
      } finally {
        Date.now = real
      }
      expect((await blobs.stat('slow')).size).toBe(400 * KIB)
    })

    it('sweeps beside writers, replacers and deleters lose nothing that was acknowledged', async () => {
      await using side = new Side(server)
      const [writer, sweeper] = [side.store(), side.store()]
      let stop = false
      let swept = 0
      const sweeping = (async () => {
        while (!stop) swept += (await sweeper.sweep({ before: soon() })).count
      })()
      const there = new Map<string, number>()
      let lost = 0
      for (let n = 0; n < 150; n++) {
        const key = `k${n % 11}`
        const size = ((n * 37) % 5) * 50 * KIB + n
        try {
          if (n % 7 === 6) {
            await writer.delete([key])
            there.delete(key)
          } else {
            await writer.write(key, n % 2 === 0 ? noise(size, n) : streamOf(noise(size, n)))
            there.set(key, n)
          }
        } catch (error) {
          // It was taken for dead: nothing changed.
          expect(error).toMatchObject({ code: 'CONFLICT', reason: 'UPLOAD_SWEPT' })
          lost++
        }
      }
      stop = true
      await sweeping
      for (const [key, n] of there) {
        const size = ((n * 37) % 5) * 50 * KIB + n
        expect(Buffer.compare(await writer.bytes(key), noise(size, n))).toBe(0)
      }
      expect((await all(writer.list(''))).map(({ key }) => key)).toEqual([...there.keys()].sort())
      expect((await writer.sweep({ before: soon() })).count).toBe(0)
      expect(swept).toBeGreaterThan(0)
      expect(lost).toBeLessThan(150)
      const [, files, chunks] = await side.counts()
      expect(files).toBe(there.size)
      expect(chunks).toBe(
        [...there.values()].reduce((sum, n) => sum + Math.ceil((((n * 37) % 5) * 50 * KIB + n) / (64 * KIB)), 0),
      )
    })
  })
}
