import { createHash } from 'node:crypto'
import { isHubError, openBlobs } from '@tensorhub/core'
import { gcs } from '@tensorhub/gcs'
import { type GcsServer, startGcs } from '@tensorhub/servers'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newBucket } from './bucket.ts'

await serverSuite(
  'gcs',
  'gcs while its server is killed and started again',
  () => {
    let server: GcsServer
    beforeAll(async () => {
      server = await startGcs({ backend: 'filesystem' })
    })
    afterAll(() => server.stop())

    it('every acknowledged blob is there, whole; every failure is typed; calls recover by themselves', async () => {
      const bucket = await newBucket(server)
      await using blobs = openBlobs(
        gcs({ bucket, endpoint: server.endpoint, timeout: 10_000, partSize: 256 * 1024, parallel: 4 }),
      )
      await blobs.open()
      const acknowledged = new Map<string, string>()
      const codes = new Map<string, number>()
      let going = true
      const writer = async (w: number) => {
        for (let i = 0; going; i++) {
          const key = `w${w}-${i}`
          const bytes = Uint8Array.from({ length: i % 3 === 0 ? 700_000 : 5000 }, (_, n) => (n * (w + 3) + i) & 255)
          // A third goes in parts: with a condition by a session, which does not outlive the server, and without one as a composite.
          const body = i % 3 === 0 ? new Blob([bytes]).stream() : bytes
          try {
            const info = await blobs.write(key, body, i % 6 === 0 ? {} : { when: { ifAbsent: true } })
            expect(info.size).toBe(bytes.byteLength)
            acknowledged.set(key, createHash('sha256').update(bytes).digest('hex'))
          } catch (error) {
            if (!isHubError(error)) throw error
            codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
          }
        }
      }
      const writers = Array.from({ length: 6 }, (_, w) => writer(w))
      for (let round = 0; round < 5; round++) {
        const goal = acknowledged.size + 20
        await expect.poll(() => acknowledged.size, { timeout: 120_000 }).toBeGreaterThan(goal)
        await server.kill()
        await new Promise((resolve) => setTimeout(resolve, 200))
        await server.start()
      }
      const last = acknowledged.size
      await expect.poll(() => acknowledged.size, { timeout: 120_000 }).toBeGreaterThan(last)
      going = false
      await Promise.all(writers)
      // No key is written twice, so that somebody else's is never in the way.
      expect([...codes.keys()].filter((code) => code !== 'UNAVAILABLE')).toEqual([])
      for (const [key, hash] of acknowledged)
        expect(
          createHash('sha256')
            .update(await blobs.bytes(key))
            .digest('hex'),
          key,
        ).toBe(hash)
    })
  },
  { ours: true },
)
