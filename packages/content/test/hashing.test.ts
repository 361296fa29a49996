import { expect, it } from 'vitest'
import { HashPool, hashHere } from '../src/hashing.ts'

const pieces = Array.from({ length: 40 }, (_, i) => new Uint8Array(1 + ((i * 7919) % 100_000)).fill(i))

it('many jobs at once, of many sizes, each get their own hash', async () => {
  const pool = new HashPool(2)
  expect(await Promise.all(pieces.map((bytes) => pool.hash(bytes)))).toEqual(pieces.map(hashHere))
  await pool.terminate()
})

it('threads that die fail the jobs they have, not those that come after, and leave nobody waiting', async () => {
  const pool = new HashPool(2)
  await pool.hash(new Uint8Array(5))
  const jobs = Promise.allSettled(pieces.map((bytes) => pool.hash(bytes)))
  await pool.terminate()
  for (const [i, job] of (await jobs).entries()) {
    if (job.status === 'fulfilled') expect(job.value).toBe(hashHere(pieces[i] as Uint8Array))
    else expect(String(job.reason)).toContain('thread')
  }
  expect(await Promise.all(pieces.map((bytes) => pool.hash(bytes)))).toEqual(pieces.map(hashHere))
  await pool.terminate()
})

it('more pieces at once than threads, small and large in turn: each gets the hash of its own bytes', async () => {
  const pool = new HashPool(1)
  // More than two steps of the event loop, less than one, and nothing at all.
  const sizes = [2_500_001, 1000, 0, 3_000_000, 70_000, 2_000_000, 1, 4_194_304]
  const large = sizes.map((size, i) => new Uint8Array(size).fill(i + 1))
  const expected = large.map(hashHere)
  for (let round = 0; round < 3; round++)
    expect(await Promise.all(large.map((bytes) => pool.hash(bytes)))).toEqual(expected)
  await pool.terminate()
})
