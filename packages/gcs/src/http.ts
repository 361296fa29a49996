import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { abortError, Gate, stopOnAbort, throwIfAborted } from '@tensorhub/core'
import { ConnectionFailure } from './errors.ts'

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Sent one behind the other, without a copy. */
  readonly body?: readonly Uint8Array[]
  readonly signal?: AbortSignal | undefined
}

export interface HttpReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The whole body; for what is small. */
  bytes(): Promise<Uint8Array>
  /** The body as it comes; cancelling it closes the connection. */
  stream(): ReadableStream<Uint8Array>
}

/** What a reply other than a blob's content may hold: a page of a listing is about 1 MB. */
const REPLY_MAX = 64 * 1024 * 1024

/**
 * One request, one reply, over connections that are kept. Nothing is repeated here. A request that is silent for `timeout` ms, in either direction, fails; a body
 * that its consumer leaves waiting does not.
 */
export class Http {
  readonly #timeout: number
  readonly #http: HttpAgent
  readonly #https: HttpsAgent
  readonly #gate: Gate

  /** @param most Requests at once that wait for their reply, and connections kept. Bodies that are held unread do not count: they would stop everything else. */
  constructor(timeout: number, most: number) {
    this.#timeout = timeout
    this.#gate = new Gate(most)
    const options = { keepAlive: true, maxFreeSockets: most }
    this.#http = new HttpAgent(options)
    this.#https = new HttpsAgent(options)
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }

  /** @throws ConnectionFailure when there is no reply. */
  async send(r: HttpRequest): Promise<HttpReply> {
    const release = await this.#gate.enter(r.signal)
    try {
      return await this.#request(r)
    } finally {
      release()
    }
  }

  #request(r: HttpRequest): Promise<HttpReply> {
    return new Promise<HttpReply>((resolve, reject) => {
      throwIfAborted(r.signal)
      const length = (r.body ?? []).reduce((sum, piece) => sum + piece.byteLength, 0)
      const secure = r.url.protocol === 'https:'
      const request = (secure ? httpsRequest : httpRequest)(r.url, {
        method: r.method,
        agent: secure ? this.#https : this.#http,
        timeout: this.#timeout,
        headers: {
          ...r.headers,
          ...(r.method === 'POST' || r.method === 'PUT' ? { 'content-length': String(length) } : {}),
        },
      })
      const { host } = r.url
      const stop = () => request.destroy(abortError(r.signal as AbortSignal))
      const leave = stopOnAbort(r.signal, () => [request], stop)
      request.once('close', leave)
      /** Whether the server may have acted on it: something may have left by a connection that stood. */
      const sent = () => {
        const socket = request.socket as (Socket & { readonly secureConnecting?: boolean }) | null
        return socket !== null && !socket.connecting && socket.secureConnecting !== true
      }
      request.on('timeout', () =>
        request.destroy(new ConnectionFailure('ETIMEDOUT', `${host} was silent for ${this.#timeout} ms`, host, sent())),
      )
      request.on('error', (error: NodeJS.ErrnoException) => {
        reject(r.signal?.aborted ? abortError(r.signal) : ConnectionFailure.of(error, host, sent()))
      })
      request.on('response', (response) => {
        // From here on only a consumer that waits counts as silence.
        request.setTimeout(0)
        response.socket.setTimeout(0)
        // The server answered before it had all: what is left of the body must not be sent once its memory is the caller's again.
        if (!request.writableFinished) response.once('end', () => request.destroy())
        // What is done is told, also behind an abort.
        resolve(new Reply(response, host, this.#timeout, r.method === 'GET' ? r.signal : undefined))
      })
      for (const piece of r.body ?? []) if (piece.byteLength > 0) request.write(piece)
      request.end()
    })
  }
}

/** Bytes of a body that are held before the connection is told to wait. */
const HELD = 256 * 1024

class Reply implements HttpReply {
  readonly #response: IncomingMessage
  readonly #host: string
  readonly #timeout: number
  readonly #signal: AbortSignal | undefined
  readonly #pieces: Uint8Array[] = []
  #held = 0
  #ended = false
  #failure: unknown
  #wake: (() => void) | undefined

  constructor(response: IncomingMessage, host: string, timeout: number, signal: AbortSignal | undefined) {
    this.#response = response
    this.#host = host
    this.#timeout = timeout
    this.#signal = signal
    response.on('data', (piece: Uint8Array) => {
      this.#pieces.push(piece)
      this.#held += piece.byteLength
      if (this.#held >= HELD) response.pause()
      this.#wake?.()
    })
    response.on('end', () => {
      this.#ended = response.complete
      this.#wake?.()
    })
    response.on('error', (error: NodeJS.ErrnoException) => {
      this.#failure ??= ConnectionFailure.of(error, host, true)
      this.#wake?.()
    })
    response.on('close', () => {
      if (!this.#ended) this.#failure ??= this.#broken('ECONNRESET', 'closed the connection within a reply')
      this.#wake?.()
    })
    response.pause()
  }

  get status(): number {
    return this.#response.statusCode ?? 0
  }

  get headers(): IncomingHttpHeaders {
    return this.#response.headers
  }

  async bytes(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    let size = 0
    for (;;) {
      const piece = await this.#next()
      if (piece === undefined) return Buffer.concat(pieces)
      size += piece.byteLength
      if (size > REPLY_MAX) {
        this.#response.destroy()
        throw this.#broken('ETOOLONG', `gave a reply of more than ${REPLY_MAX} bytes`)
      }
      pieces.push(piece)
    }
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const piece = await this.#next()
          if (piece === undefined) controller.close()
          else controller.enqueue(piece)
        },
        cancel: () => {
          this.#response.destroy()
        },
      },
      { highWaterMark: 0 },
    )
  }

  /** The next piece; undefined at the end of the whole body. */
  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#signal?.aborted) throw abortError(this.#signal)
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        this.#held -= piece.byteLength
        return piece
      }
      if (this.#ended) return undefined
      if (this.#failure !== undefined) throw this.#failure
      await this.#news()
    }
  }

  /** Waits for a piece, the end or a failure; silence is one. */
  #news(): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#failure ??= this.#broken('ETIMEDOUT', `was silent for ${this.#timeout} ms within a reply`)
        this.#response.destroy()
        this.#wake?.()
      }, this.#timeout)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
      this.#response.resume()
    })
  }

  #broken(code: string, what: string): ConnectionFailure {
    return new ConnectionFailure(code, `${this.#host} ${what}`, this.#host, true)
  }
}
