import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'
import { abortError, throwIfAborted } from '../errors/hub-error.ts'

/** Milliseconds that an abort waits for the reply to a request that was sent whole. */
const SETTLE = 2000

type Sent = Pick<ClientRequest, 'method' | 'writableFinished'>

/**
 * Calls `stop` when the signal aborts: at once where nothing is under way, where it only reads, or where a body is still on its way, since what a server has not got
 * whole it does not carry out. A change that was sent whole is carried out, whoever hangs up: its reply is waited for, at most two seconds, so that whatever comes
 * next (the upload is freed, garbage is collected, the key is written again) comes behind it.
 *
 * @param underWay The requests that have been sent, or are being sent, and are not over.
 * @returns What ends the listening, and the waiting.
 */
export function stopOnAbort(
  signal: AbortSignal | undefined,
  underWay: () => readonly Sent[],
  stop: () => void,
): () => void {
  let timer: NodeJS.Timeout | undefined
  const onAbort = () => {
    const requests = underWay()
    if (requests.length > 0 && requests.every(isWholeChange)) timer = setTimeout(stop, SETTLE)
    else stop()
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function isWholeChange({ method, writableFinished }: Sent): boolean {
  return writableFinished && method !== 'GET' && method !== 'HEAD'
}

/**
 * The same around an SDK that makes the request of one change itself, and cuts it as soon as its signal aborts: `send` is given a signal that aborts when it may be
 * cut, and what comes of it before is given, also behind the abort: then it is known to be done. What the SDK would begin after the abort (a try of its own, the
 * request behind a sign-in) is not sent. Not for reads, whose bodies come later.
 *
 * @param host Of the store, as its requests name it in `Host`: those that go elsewhere, to sign in, are not waited for. Asked for at the abort.
 * @throws ABORTED as soon as the request is cut, whatever the SDK waits for.
 */
export async function settledRequest<T>(
  signal: AbortSignal | undefined,
  host: () => string,
  send: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (signal === undefined) return send(undefined)
  throwIfAborted(signal)
  observe()
  const call = new SdkCall(signal, host)
  const cut = new AbortController()
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const stop = () => {
    cut.abort(signal.reason)
    reject(abortError(signal))
  }
  const leave = stopOnAbort(signal, () => call.requests, stop)
  const sending = calls.run(call, async () => send(cut.signal)).finally(() => call.end())
  try {
    return await Promise.race([stopped, sending])
  } finally {
    leave()
  }
}

/** What one call of an SDK has under way. */
class SdkCall {
  readonly #signal: AbortSignal
  readonly #host: () => string
  readonly #requests = new Set<ClientRequest>()
  #over = false

  constructor(signal: AbortSignal, host: () => string) {
    this.#signal = signal
    this.#host = host
  }

  /** Those that go to the store. */
  get requests(): readonly ClientRequest[] {
    return [...this.#requests].filter((request) => this.#isOwn(request))
  }

  /** Told of each request as it is made, before anything of it is sent. */
  made(request: ClientRequest): void {
    if (this.#over) return
    if (!this.#signal.aborted) {
      this.#requests.add(request)
      request.once('close', () => this.#requests.delete(request))
    } else if (this.#isOwn(request)) request.destroy(abortError(this.#signal))
  }

  /** A connection that is kept keeps the context it was made in, which must not keep the requests, nor judge what others make there. */
  end(): void {
    this.#over = true
    this.#requests.clear()
  }

  #isOwn(request: ClientRequest): boolean {
    return request.getHeader('host') === this.#host()
  }
}

const calls = new AsyncLocalStorage<SdkCall>()

let observing = false

/** Node tells of every request at its making, in the context of its maker. https://nodejs.org/api/diagnostics_channel.html#http */
function observe(): void {
  if (observing) return
  observing = true
  subscribe('http.client.request.created', (message) => {
    calls.getStore()?.made((message as { request: ClientRequest }).request)
  })
}
