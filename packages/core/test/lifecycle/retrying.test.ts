import { expect, it } from 'vitest'
import { retrying } from '../../src/index.ts'

it('tries again while the failure may pass, and gives the result', async () => {
  const tries: number[] = []
  const result = await retrying(
    async (attempt) => {
      tries.push(attempt)
      if (attempt < 4) throw new Error('busy')
      return 'done'
    },
    { isTransient: () => true, baseMs: 1 },
  )
  expect(result).toBe('done')
  expect(tries).toEqual([1, 2, 3, 4])
})

it('throws the last failure after so many tries, and a lasting one at once', async () => {
  let tries = 0
  const failing = async (attempt: number) => {
    tries++
    throw new Error(`failure ${attempt}`)
  }
  await expect(retrying(failing, { isTransient: () => true, attempts: 3, baseMs: 1 })).rejects.toThrow('failure 3')
  await expect(retrying(failing, { isTransient: () => false })).rejects.toThrow('failure 1')
  expect(tries).toBe(4)
})

it('begins no try after its bound of time', async () => {
  let tries = 0
  await expect(
    retrying(
      async () => {
        tries++
        throw new Error('busy')
      },
      { isTransient: () => true, attempts: 1000, baseMs: 40, withinMs: 0 },
    ),
  ).rejects.toThrow('busy')
  expect(tries).toBe(1)
})

it('an abort ends the wait between two tries', async () => {
  const stop = new AbortController()
  const waiting = retrying(
    async () => {
      setImmediate(() => stop.abort('enough'))
      throw new Error('busy')
    },
    { isTransient: () => true, baseMs: 3_600_000, maxMs: 3_600_000, signal: stop.signal },
  )
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
})
