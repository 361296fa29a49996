import { type ClientRequest, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Kept-alive connections without a bound of their own (`Requests` has one, and waits before any timeout runs), that end by themselves after a silence: the SDK
 * has a bound for whole requests only, which a large part on a slow line would meet while it makes progress.
 */
export function agentFor(url: string, timeout: number): HttpAgent {
  const options = { keepAlive: true, timeout }
  const agent = url.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options)
  const { createConnection, reuseSocket } = agent
  agent.createConnection = (...args) => {
    const socket = createConnection.apply(agent, args) as Duplex | null | undefined
    if (socket instanceof Socket) {
      socket.setTimeout(timeout)
      socket.on('timeout', () =>
        socket.destroy(Object.assign(new Error(`silent for ${timeout} ms`), { code: 'ETIMEDOUT' })),
      )
    }
    return socket
  }
  // A connection that rested has the server's keep-alive time as its bound, which is none for a request.
  agent.reuseSocket = (socket: Duplex, request: ClientRequest) => {
    reuseSocket.call(agent, socket, request)
    if (socket instanceof Socket) socket.setTimeout(timeout)
  }
  return agent
}
