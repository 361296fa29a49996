import { expect, it } from 'vitest'
import { continuedBody, HubError } from '../../src/index.ts'

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251)
const broken = () => Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })

/** `bytes` from `offset` in pieces of 70, ending by `end` after `pieces` of them. */
function source(offset: number, pieces: number, end: 'error' | 'close' = 'error'): ReadableStream<Uint8Array> {
  let at = offset
  let left = pieces
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      if (left-- === 0) return end === 'error' ? controller.error(broken()) : controller.close()
      controller.enqueue(bytes.slice(at, at + 70))
      at += 70
    },
  })
}
const isTransient = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ECONNRESET'
const all = async (body: ReadableStream<Uint8Array>) => Buffer.from(await new Response(body).arrayBuffer())

it.each(['error', 'close'] as const)('continues from where the body broke, by %s, again and again', async (end) => {
  const offsets: number[] = []
  const body = continuedBody(source(0, 3, end), {
    length: 1000,
    isTransient,
    baseMs: 1,
    async again(offset) {
      offsets.push(offset)
      return source(offset, 4, end)
    },
  })
  expect(await all(body)).toEqual(Buffer.from(bytes))
  expect(offsets).toEqual([210, 490, 770])
})

it('ends after so many failures without a byte between them, with the last of them', async () => {
  let tries = 0
  const body = continuedBody(source(0, 1), {
    length: 1000,
    isTransient,
    attempts: 4,
    baseMs: 1,
    async again() {
      tries++
      throw broken()
    },
  })
  await expect(all(body)).rejects.toThrow('socket hang up')
  expect(tries).toBe(3)
})

it('does not ask again after a failure that stays', async () => {
  let tries = 0
  const body = continuedBody(source(0, 1), {
    length: 1000,
    isTransient,
    async again() {
      tries++
      throw new HubError('CONFLICT', 'The blob was replaced.')
    },
  })
  await expect(all(body)).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(tries).toBe(1)
})

it('a body longer than it says is INTEGRITY', async () => {
  const body = continuedBody(source(0, 99), { length: 999, isTransient, again: async () => source(0, 0) })
  await expect(all(body)).rejects.toMatchObject({ code: 'INTEGRITY' })
})

it('a consumer that goes away while it waits to continue ends the waiting and the next connection', async () => {
  const opened: string[] = []
  let asked: () => void = () => undefined
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  let answer: (body: ReadableStream<Uint8Array>) => void = () => undefined
  const body = continuedBody(source(0, 1), {
    length: 1000,
    isTransient,
    again: () => {
      asked()
      return new Promise((resolve) => {
        answer = resolve
      })
    },
  })
  const reader = body.getReader()
  await reader.read()
  const second = reader.read()
  await isAsked
  await reader.cancel('enough')
  answer(new ReadableStream({ cancel: (reason) => void opened.push(`cancelled: ${reason}`) }))
  await second
  await new Promise((resolve) => setImmediate(resolve))
  expect(opened).toEqual(['cancelled: enough'])
})

it('an empty body, and one that needs no second connection', async () => {
  const never = async () => {
    throw new Error('not to be asked')
  }
  expect(await all(continuedBody(source(1000, 0, 'close'), { length: 0, isTransient, again: never }))).toHaveLength(0)
  expect(await all(continuedBody(source(0, 99), { length: 1000, isTransient, again: never }))).toHaveLength(1000)
})
