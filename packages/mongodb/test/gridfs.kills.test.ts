import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { all, KIB, noise, Side, soon } from './gridfs/bucket.ts'

const script = join(import.meta.dirname, 'gridfs', 'processes', 'dies.ts')

/** Whether it came to its end before the step. */
async function died(...args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (piece: Buffer) => {
    out += piece.toString()
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal === 'SIGKILL') return true
  expect([code, out]).toEqual([0, 'done\n'])
  return false
}

describe('gridfs, killed', () => {
  let server: MongoServer
  beforeAll(async () => {
    server = await startMongo()
  })
  afterAll(() => server?.stop())

  it.each(['bytes', 'stream', 'delete'])(
    'a process that dies by SIGKILL before or after any command of an operation (%s) leaves the old blob or the new one, whole, and what sweep finds',
    async (operation) => {
      const old = noise(200 * KIB, 1)
      const fresh = noise(300 * KIB, 2)
      let steps = 0
      for (const moment of ['before', 'after']) {
        for (let step = 0; ; step++) {
          await using side = new Side(server)
          const blobs = side.store()
          await blobs.write('k', old)
          if (!(await died(side.url, operation, String(step), moment))) break
          steps++
          const now = await blobs.bytes('k').catch((error: Error) => error)
          const keys = (await all(blobs.list(''))).map(({ key }) => key)
          if (now instanceof Error) {
            expect(operation).toBe('delete')
            expect(now).toMatchObject({ code: 'NOT_FOUND' })
            expect(keys).toEqual(['ready'])
          } else {
            const possible = operation === 'delete' ? [old] : [old, fresh]
            expect(possible.some((bytes) => Buffer.compare(bytes, now) === 0)).toBe(true)
            expect(keys).toEqual(['k', 'ready'])
          }
          const counted = await blobs.sweep({ before: soon(), dryRun: true })
          expect(await blobs.sweep({ before: soon() })).toEqual(counted)
          expect(await blobs.sweep({ before: soon(), dryRun: true })).toEqual({ count: 0, bytes: 0 })
          const [, files, chunks] = await side.counts()
          const size = now instanceof Error ? 0 : now.byteLength
          expect([files, chunks]).toEqual([keys.length, 1 + Math.ceil(size / (64 * KIB))])
          // Whoever comes next can write.
          await blobs.write('k', fresh)
          expect(Buffer.compare(await blobs.bytes('k'), fresh)).toBe(0)
        }
      }
      // Fewer would mean that the kills missed the operation.
      expect(steps).toBeGreaterThanOrEqual(operation === 'delete' ? 8 : 12)
    },
  )

  it.each([{}, { standalone: true }])(
    'a server that is killed and comes back, again and again under load (%o): every acknowledged blob is whole, a failure is typed, nothing else is left',
    async (options) => {
      const own = await startMongo({ kind: 'secantus', ...options })
      try {
        const side = new Side(own)
        const stores = [side.store(), side.store(), side.store()]
        for (const store of stores) await store.write('ready', 'x')
        let stop = false
        const written = new Map<string, number>()
        const unsure = new Set<string>()
        const failures: unknown[] = []
        const work = stores.map(async (store, w) => {
          for (let n = 0; !stop; n++) {
            const key = `w${w}/${n}`
            try {
              const bytes = noise(70 * KIB + n, n + 1)
              await store.write(key, n % 3 === 0 ? new Blob([bytes as Uint8Array<ArrayBuffer>]) : bytes, {
                ...(n % 2 === 0 ? { when: { ifAbsent: true } as const } : {}),
              })
              written.set(key, n)
              expect(Buffer.compare(await store.bytes(key), bytes)).toBe(0)
              if (n % 5 === 4) {
                written.delete(key)
                await store.delete([key])
              }
            } catch (error) {
              if (!written.has(key)) unsure.add(key)
              failures.push(error)
            }
          }
        })
        for (let round = 0; round < 4; round++) {
          const before = written.size
          for (let tries = 0; written.size < before + 5; tries++) {
            expect(tries).toBeLessThan(6000)
            await new Promise((resolve) => setTimeout(resolve, 10))
          }
          await own.kill()
          await own.start()
        }
        stop = true
        await Promise.all(work)
        for (const failure of failures)
          expect(failure).toMatchObject({
            code: expect.stringMatching(/^(UNAVAILABLE|UNKNOWN)$/),
            at: { scheme: 'gridfs' },
          })
        const [store] = stores as [(typeof stores)[0]]
        for (const [key, n] of written)
          expect(Buffer.compare(await store.bytes(key), noise(70 * KIB + n, n + 1))).toBe(0)
        const listed = (await all(store.list('w'))).map(({ key }) => key)
        // What was not acknowledged is there whole, or not at all.
        for (const key of listed) {
          if (written.has(key)) continue
          expect(unsure.has(key) || failures.length > 0).toBe(true)
          await store.bytes(key)
        }
        for (const key of written.keys()) expect(listed).toContain(key)
        await store.sweep({ before: soon() })
        const [, files] = await side.counts()
        expect(files).toBe(listed.length + 1)
        expect(failures.length).toBeLessThan(20)
        await side[Symbol.asyncDispose]()
      } finally {
        await own.stop()
      }
    },
  )
})
