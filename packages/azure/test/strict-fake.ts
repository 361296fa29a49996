import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { selfSigned } from '@tensorhub/servers/proxy'

/** What a fake is asked. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface Answered {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: string
}

/**
 * A server that speaks as the Blob service does, in its headers, and gives just the answers of a test: for what Azurite cannot show. A request that the test did
 * not expect is a 400.
 */
export async function strictFake(answer: (asked: Asked) => Answered | undefined, tls = false) {
  const certificate = tls ? selfSigned() : undefined
  const asked: Asked[] = []
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const url = new URL(request.url ?? '/', 'http://fake')
    const one = {
      method: request.method ?? '',
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(pieces),
    }
    asked.push(one)
    const { status, headers, body = '' } = answer(one) ?? { status: 400, headers: { 'x-ms-error-code': 'Unexpected' } }
    response.writeHead(status, {
      ...{ 'x-ms-request-id': 'fake', 'x-ms-version': '2026-02-06', 'content-type': 'application/xml' },
      ...headers,
    })
    response.end(request.method === 'HEAD' ? '' : body)
  }
  const listener = (request: IncomingMessage, response: ServerResponse) => void serve(request, response)
  const server = certificate ? createSecureServer(certificate, listener) : createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    asked,
    /** The certificate that a client must trust, with `tls`. */
    ca: certificate?.cert ?? '',
    endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}/fakeaccount`,
    connections: () =>
      new Promise<number>((resolve, reject) =>
        server.getConnections((error, n) => (error ? reject(error) : resolve(n))),
      ),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
