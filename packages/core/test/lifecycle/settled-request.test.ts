import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { settledRequest } from '../../src/index.ts'

/** More than sockets on both sides hold, so that it stays on its way while nobody reads. */
const LARGE = 64 * 1024 * 1024

const cleanup: (() => void)[] = []
afterEach(() => {
  for (const end of cleanup.splice(0)) end()
})

/** A server, and the requests that came. */
async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** As SDKs send: cut as soon as the signal aborts. Gives the reply once its headers are there. */
function send(url: string, method: string, body: Buffer | undefined, signal: AbortSignal | undefined) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const sending = request(url, { method, headers: { 'content-length': body?.byteLength ?? 0 } }, resolve)
    const stop = () => sending.destroy(new Error('cut'))
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
    sending.on('error', reject)
    sending.end(body)
  })
}

describe('a request that is aborted', () => {
  it.each(['PUT', 'POST', 'DELETE'])('%s, sent whole: its reply is waited for, and given', async (method) => {
    let answer = () => {}
    const arrived = new Promise<void>((resolve) => {
      void serve(async (incoming, response) => {
        await text(incoming)
        answer = () => response.end('done')
        resolve()
      }).then((url) => begin(url))
    })
    const stop = new AbortController()
    let sending: Promise<IncomingMessage> | undefined
    const begin = (url: string) => {
      const body = method === 'DELETE' ? undefined : Buffer.from('all of it')
      sending = settledRequest(stop.signal, (signal) => send(url, method, body, signal))
    }
    await arrived
    stop.abort()
    answer()
    expect(await text((await sending) as IncomingMessage)).toBe('done')
  })

  it('sent whole, and never answered: it is cut after a while', async () => {
    let arrive = () => {}
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const url = await serve(async (incoming) => {
      await text(incoming)
      arrive()
    })
    const stop = new AbortController()
    const sending = settledRequest(stop.signal, (signal) => send(url, 'PUT', Buffer.from('all of it'), signal))
    await arrived
    stop.abort()
    await expect(sending).rejects.toThrow('cut')
  })

  it('with its body still on its way: it is cut, and the server never has it whole', async () => {
    let arrive = () => {}
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    let whole = false
    const ended = new Promise<void>((resolve) => {
      void serve(async (incoming) => {
        arrive()
        await began
        incoming.on('end', () => {
          whole = true
        })
        incoming.on('close', resolve).on('error', () => undefined)
        incoming.resume()
      }).then((url) => begin(url))
    })
    const stop = new AbortController()
    let goOn = () => {}
    const began = new Promise<void>((resolve) => {
      goOn = resolve
    })
    let sending: Promise<IncomingMessage> | undefined
    const begin = (url: string) => {
      sending = settledRequest(stop.signal, (signal) => send(url, 'PUT', Buffer.alloc(LARGE), signal))
      sending.catch(() => undefined)
    }
    await arrived
    stop.abort()
    await expect(sending).rejects.toThrow('cut')
    goOn()
    await ended
    expect(whole).toBe(false)
  })

  it('GET: it is cut, though it was sent whole', async () => {
    let arrive = () => {}
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    let cut = () => {}
    const isCut = new Promise<void>((resolve) => {
      cut = resolve
    })
    const url = await serve((incoming) => {
      incoming.socket.on('close', cut)
      arrive()
    })
    const stop = new AbortController()
    let at: 'abort' | undefined
    const sending = settledRequest(stop.signal, (signal) => {
      signal?.addEventListener('abort', () => {
        at = 'abort'
      })
      return send(url, 'GET', undefined, signal)
    })
    await arrived
    stop.abort()
    // In the same turn: nothing was waited for.
    expect(at).toBe('abort')
    await expect(sending).rejects.toThrow('cut')
    await isCut
  })

  it('GET, while its body is read: that ends', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200).write('the beginning')
    })
    const stop = new AbortController()
    const reply = await settledRequest(stop.signal, (signal) => send(url, 'GET', undefined, signal))
    const reading = text(reply)
    stop.abort()
    await expect(reading).rejects.toThrow()
  })

  it('before there is one, and one that uses no node:http: it is told at once', async () => {
    const stop = new AbortController()
    const sending = settledRequest(
      stop.signal,
      (signal) => new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    )
    stop.abort('enough')
    await expect(sending).rejects.toBe('enough')
    await settledRequest(stop.signal, async (signal) => expect(signal?.aborted).toBe(true))
  })
})

it('without a signal none is given', async () => {
  expect(await settledRequest(undefined, async (signal) => signal)).toBeUndefined()
})

it('requests beside each other are told apart', async () => {
  const held: ServerResponse[] = []
  let arrive = () => {}
  const both = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const url = await serve(async (incoming, response) => {
    held.push(response)
    if (held.length === 2) arrive()
    if (incoming.method === 'PUT') await text(incoming)
  })
  const stop = new AbortController()
  const get = settledRequest(stop.signal, (signal) => send(url, 'GET', undefined, signal))
  const put = settledRequest(stop.signal, (signal) => send(url, 'PUT', Buffer.from('all of it'), signal))
  get.catch(() => undefined)
  await both
  stop.abort()
  await expect(get).rejects.toThrow('cut')
  for (const response of held) response.end('done')
  expect(await text(await put)).toBe('done')
})
