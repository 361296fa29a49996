import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { settledRequest } from '../../src/index.ts'

/** More than sockets on both sides hold, so that it stays on its way while nobody reads. */
const LARGE = Buffer.alloc(64 * 1024 * 1024)
const SMALL = Buffer.from('all of it')

const cleanup: (() => void)[] = []
afterEach(() => {
  for (const end of cleanup.splice(0)) end()
})

/** A request at the server, read only when the test says so. */
interface Arrival {
  readonly incoming: IncomingMessage
  readonly response: ServerResponse
}

/** A server, the requests that came, and a wait for so many of them, at least. */
async function serve() {
  const arrivals: Arrival[] = []
  const server = createServer((incoming, response) => {
    incoming.on('error', () => undefined)
    arrivals.push({ incoming, response })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const arrived = async (count: number): Promise<Arrival> => {
    await expect.poll(() => arrivals.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(count)
    return arrivals[count - 1] as Arrival
  }
  return { arrivals, arrived, host: () => host }
}

/** As SDKs send: cut as soon as the signal aborts, which they look at once they have made the request. */
function send(host: string, method: string, body: Buffer, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': body.byteLength }
    const sending = request(`http://${host}/`, { method, headers }, (reply) => {
      text(reply).then(resolve, reject)
    })
    signal?.addEventListener('abort', () => sending.destroy(new Error('cut')))
    sending.on('error', reject)
    sending.end(body)
  })
}

const ABORTED = { code: 'ABORTED', cause: 'enough' }

describe('a change that is aborted', () => {
  it.each(['PUT', 'POST', 'DELETE'])('%s, sent whole: its reply is waited for, and given', async (method) => {
    const { host, arrived } = await serve()
    const stop = new AbortController()
    const sending = settledRequest(stop.signal, host, (signal) => send(host(), method, SMALL, signal))
    const { incoming, response } = await arrived(1)
    await text(incoming)
    stop.abort('enough')
    response.end('done')
    expect(await sending).toBe('done')
  })

  it('sent whole, and never answered: it is cut after a while', async () => {
    const { host, arrived } = await serve()
    const stop = new AbortController()
    const sending = settledRequest(stop.signal, host, (signal) => send(host(), 'PUT', SMALL, signal))
    const { incoming } = await arrived(1)
    const cut = once(incoming.socket, 'close')
    await text(incoming)
    stop.abort('enough')
    await expect(sending).rejects.toMatchObject(ABORTED)
    await cut
  })

  it('with its body still on its way: it is cut at once, and the server never has it whole', async () => {
    const { host, arrived } = await serve()
    const stop = new AbortController()
    const sending = settledRequest(stop.signal, host, (signal) => send(host(), 'PUT', LARGE, signal))
    const { incoming } = await arrived(1)
    stop.abort('enough')
    await expect(sending).rejects.toMatchObject(ABORTED)
    await expect(text(incoming)).rejects.toThrow()
  })

  it('beside another request of its SDK, sent whole, to the store or elsewhere: its own body is cut all the same', async () => {
    const { host, arrived } = await serve()
    const elsewhere = await serve()
    for (const [n, other] of [host, elsewhere.host].entries()) {
      const stop = new AbortController()
      const sending = settledRequest(stop.signal, host, (signal) => {
        const own = send(host(), 'PUT', LARGE, signal)
        send(other(), 'POST', SMALL, undefined).catch(() => undefined)
        return own
      })
      const at = n === 0 ? [await arrived(1), await arrived(2)] : [await arrived(3)]
      stop.abort('enough')
      await expect(sending).rejects.toMatchObject(ABORTED)
      const { incoming } = at.find((one) => one.incoming.method === 'PUT') as Arrival
      await expect(text(incoming)).rejects.toThrow()
    }
  })

  it('while its SDK signs in: its caller is free at once, and the change is never sent', async () => {
    const store = await serve()
    const login = await serve()
    const stop = new AbortController()
    let after: Promise<unknown> | undefined
    const sending = settledRequest(stop.signal, store.host, async (signal) => {
      await send(login.host(), 'POST', SMALL, undefined)
      after = send(store.host(), 'PUT', SMALL, signal)
      return after
    })
    const { incoming, response } = await login.arrived(1)
    await text(incoming)
    stop.abort('enough')
    await expect(sending).rejects.toMatchObject(ABORTED)
    response.end('a token')
    await expect.poll(() => after !== undefined).toBe(true)
    await expect(after).rejects.toMatchObject(ABORTED)
    expect(store.arrivals).toEqual([])
  })

  it('while its SDK waits to try again: it is not tried again', async () => {
    const { host, arrived, arrivals } = await serve()
    const stop = new AbortController()
    const ended = Promise.withResolvers<void>()
    const sending = settledRequest(stop.signal, host, async (signal) => {
      for (let tries = 0; tries < 3; tries++) {
        const reply = await send(host(), 'PUT', SMALL, signal).catch((error: Error) => error.message)
        if (reply === 'done') return reply
        await delay(20)
      }
      ended.resolve()
      return 'given up'
    })
    const { incoming, response } = await arrived(1)
    await text(incoming)
    stop.abort('enough')
    response.end('busy')
    expect(await sending).toBe('given up')
    await ended.promise
    expect(arrivals).toHaveLength(1)
  })

  it('before it has begun, or over something that is no node:http: at once', async () => {
    const stop = new AbortController()
    const never = () => new Promise<never>(() => undefined)
    const sending = settledRequest(stop.signal, () => 'host', never)
    stop.abort('enough')
    await expect(sending).rejects.toMatchObject(ABORTED)
    let begun = false
    const begin = async () => {
      begun = true
    }
    await expect(settledRequest(stop.signal, () => 'host', begin)).rejects.toMatchObject(ABORTED)
    expect(begun).toBe(false)
  })
})

it('what is sent later by others, over a connection or in a context that an aborted call made, is left alone', async () => {
  const { host, arrived } = await serve()
  const stop = new AbortController()
  let later: () => Promise<string> = () => Promise.reject(new Error('too early'))
  const sending = settledRequest(stop.signal, host, (signal) => {
    const resume = Promise.withResolvers<void>()
    const sent = resume.promise.then(() => send(host(), 'PUT', SMALL, undefined))
    later = () => {
      resume.resolve()
      return sent
    }
    return send(host(), 'PUT', SMALL, signal)
  })
  const first = await arrived(1)
  await text(first.incoming)
  stop.abort('enough')
  first.response.end('done')
  await sending
  const second = later()
  ;(await arrived(2)).response.end('also done')
  expect(await second).toBe('also done')
})

it('a sender that throws before it gives a promise leaves nothing that an abort could reject', async () => {
  const stop = new AbortController()
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  try {
    const thrown = new TypeError('no such argument')
    const sending = settledRequest(
      stop.signal,
      () => 'host',
      () => {
        throw thrown
      },
    )
    await expect(sending).rejects.toBe(thrown)
    stop.abort('enough')
    await delay(20)
    expect(unhandled).toEqual([])
  } finally {
    process.off('unhandledRejection', note)
  }
})

it('without a signal none is given', async () => {
  expect(
    await settledRequest(
      undefined,
      () => 'host',
      async (signal) => signal,
    ),
  ).toBeUndefined()
})

it('requests beside each other are told apart', async () => {
  const { host, arrived } = await serve()
  const stop = new AbortController()
  const whole = settledRequest(stop.signal, host, (signal) => send(host(), 'PUT', SMALL, signal))
  const first = await arrived(1)
  await text(first.incoming)
  const part = settledRequest(stop.signal, host, (signal) => send(host(), 'PUT', LARGE, signal))
  part.catch(() => undefined)
  await arrived(2)
  stop.abort('enough')
  await expect(part).rejects.toMatchObject(ABORTED)
  first.response.end('done')
  expect(await whole).toBe('done')
})
