import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'

/** Milliseconds that an abort waits for the reply to a request that was sent whole. */
const SETTLE = 2000

/**
 * Calls `stop` when the signal aborts: at once while the request only reads, or while its body is still on its way, since what a server has not got whole it does
 * not carry out. A change that was sent whole is carried out, whoever hangs up: its reply is waited for, at most two seconds, so that whatever comes next (the
 * upload is freed, garbage is collected, the key is written again) comes behind it.
 *
 * @param request The request under way; undefined before there is one.
 * @returns What ends the listening, and the waiting.
 */
export function stopOnAbort(
  signal: AbortSignal | undefined,
  request: () => Pick<ClientRequest, 'method' | 'writableFinished'> | undefined,
  stop: () => void,
): () => void {
  let timer: NodeJS.Timeout | undefined
  const onAbort = () => {
    const sent = request()
    const reads = sent?.method === 'GET' || sent?.method === 'HEAD'
    if (sent === undefined || reads || !sent.writableFinished) stop()
    else timer = setTimeout(stop, SETTLE)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/**
 * The same around an SDK that makes the request itself, and that cuts it as soon as its signal aborts: `send` is given a signal that aborts when the request may be
 * cut. What comes of the request is given also where its reply came behind the abort: then it is known to be done. An SDK that uses something else than
 * `node:http` is stopped at once.
 */
export async function settledRequest<T>(
  signal: AbortSignal | undefined,
  send: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (signal === undefined) return send(undefined)
  observe()
  const call: Sending = {}
  const cut = new AbortController()
  const stop = () => cut.abort(signal.reason)
  if (signal.aborted) stop()
  const leave = stopOnAbort(signal, () => call.request, stop)
  try {
    return await calls.run(call, () => send(cut.signal))
  } finally {
    const { request } = call
    // The body of a reply may still be read; who aborts then means that.
    if (request === undefined || request.closed) leave()
    else request.once('close', leave)
    // A connection that is kept keeps the context it was made in.
    delete call.request
  }
}

interface Sending {
  request?: ClientRequest
}

/** The call that a request is made in. */
const calls = new AsyncLocalStorage<Sending>()

let observing = false

/** Node tells of every request at its making, in the context of its maker. https://nodejs.org/api/diagnostics_channel.html#http */
function observe(): void {
  if (observing) return
  observing = true
  subscribe('http.client.request.created', (message) => {
    const call = calls.getStore()
    if (call !== undefined) call.request = (message as { request: ClientRequest }).request
  })
}
