import { connect, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { Action } from './actions.ts'
import { type CertificateOptions, selfSigned } from './certificate.ts'
import { Connection } from './connection.ts'
import { inspector, type Wire } from './inspector.ts'
import type { Line } from './link.ts'
import type { HttpStore } from './operations.ts'
import { httpProtocol, mongoProtocol } from './protocol.ts'
import { seededRandom } from './random.ts'
import type { ProxiedRequest } from './request.ts'
import { holds, type Matcher, type Often, type Rule, Rules } from './rules.ts'

export interface ProxyOptions extends Partial<Line> {
  /**
   * What goes through it: `mongodb`, `http` (with `store`, so that operations have names), or `tcp` for bytes that are not
   * looked into. `http` when a `store` is given, else `tcp`.
   */
  readonly protocol?: 'tcp' | 'mongodb' | 'http'
  readonly store?: HttpStore
  /** Repeats the jitter and the rates of rules. 1 */
  readonly seed?: number
  /** Clients speak TLS to the proxy, with a certificate that was signed by itself; `ca` makes it trusted. */
  readonly tls?: boolean | CertificateOptions
}

export interface FaultProxy {
  readonly host: '127.0.0.1'
  readonly port: number
  /** The certificate of `tls`, PEM: what a client is to trust. */
  readonly ca?: string
  /** An URL or connection string of the server, leading through the proxy (`https` where it speaks TLS). */
  through(url: string): string

  /** Changes the line, of open connections too. */
  setLine(line: Partial<Line>): void
  /** Does something to requests that match. The first rule that strikes counts. Not for `tcp`. */
  on(matcher: Matcher | ((request: ProxiedRequest) => boolean), action: Action, often?: Often): Rule
  clearRules(): void

  /** Every request since the start or `forget`, in the order in which their heads arrived. Empty for `tcp`. */
  readonly requests: readonly ProxiedRequest[]
  /** How many requests match; all of them without a matcher. */
  count(matcher?: Matcher): number
  /** How many of each operation. */
  counts(): Record<string, number>
  /** Starts counting anew: requests, connections and bytes. */
  forget(): void
  /** Connections that clients made since the start or `forget`, and those that are open. */
  readonly connections: { readonly made: number; readonly open: number }
  /** Bytes that arrived at the server (`up`) and at clients (`down`). */
  readonly bytes: { readonly up: number; readonly down: number }

  /** Holds everything up until `resume`: nothing is lost. */
  pause(): void
  resume(): void
  /** Open connections fall silent for ever: half-open. New ones work. */
  silence(): void
  /** Open connections and new ones are silent, until `restore`; those that were silent stay so. */
  blackHole(): void
  restore(): void
  /** New connections hear these bytes as soon as they send some, and then the end, until `restore`: something else listens there. */
  babble(bytes: Uint8Array): void
  /** New connections meet another certificate than the trusted one; undefined: that one again. */
  certify(certificate: CertificateOptions | undefined): void
  /** New connections are refused until `accept`; open ones go on. */
  refuse(): Promise<void>
  accept(): Promise<void>
  /** Resets every open connection. */
  cutAll(): void
  /** Resets connections that begin from now on when so many bytes have gone to the server (`up`) or the client (`down`); `times` of them. */
  resetAfter(bytes: { readonly up?: number; readonly down?: number; readonly times?: number }): void
  /** Resets all and stops listening. */
  close(): Promise<void>
}

/** A proxy on a free port of 127.0.0.1 in front of a server, which does to connections and requests what it is told to. */
export async function startProxy(
  target: { readonly host: string; readonly port: number },
  options: ProxyOptions = {},
): Promise<FaultProxy> {
  const { store, protocol = store === undefined ? 'tcp' : 'http', seed = 1 } = options
  let line: Line = {
    roundTrip: options.roundTrip ?? 0,
    jitter: options.jitter ?? 0,
    bandwidth: options.bandwidth ?? Number.POSITIVE_INFINITY,
  }
  const certificate = options.tls ? selfSigned(options.tls === true ? {} : options.tls) : undefined
  const trusted = certificate && createSecureContext(certificate)
  let secureContext = trusted
  const rules = new Rules(seed)
  const jitter = seededRandom(seed + 1)
  const open = new Set<Connection>()
  /** Clients that nobody answers. */
  const ignored = new Set<Socket>()
  let requests: ProxiedRequest[] = []
  let ids = 0
  let numbers = 0
  let made = 0
  let past = { up: 0, down: 0 }
  let paused = false
  let hole = false
  let nonsense: Uint8Array | undefined
  let resets: { up: number; down: number; times: number } | undefined

  const inspect = (number: number, wire: Wire) => {
    const begin = (
      described: Omit<ProxiedRequest, 'id' | 'connection' | 'at' | 'bytes' | 'replyBytes' | 'status' | 'fault'>,
    ) => {
      ids += 1
      const at = performance.now()
      const request: ProxiedRequest = {
        ...{ id: ids, connection: number, at, ...described },
        ...{ bytes: 0, replyBytes: 0, status: 0, fault: '' },
      }
      requests.push(request)
      const action = rules.take(request)
      request.fault = action?.fault ?? ''
      return { request, action }
    }
    return protocol === 'mongodb'
      ? inspector(mongoProtocol(), wire, begin)
      : inspector(httpProtocol(store), wire, begin)
  }

  const onClient = (raw: Socket) => {
    made += 1
    numbers += 1
    if (hole) {
      ignored.add(raw)
      raw.on('error', () => ignored.delete(raw)).on('close', () => ignored.delete(raw))
      return
    }
    if (nonsense !== undefined) {
      const said = nonsense
      ignored.add(raw)
      raw.on('error', () => ignored.delete(raw)).on('close', () => ignored.delete(raw))
      raw.once('data', () => raw.end(said)).resume()
      return
    }
    const number = numbers
    const client = secureContext === undefined ? raw : secured(raw, secureContext)
    const server = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true })
    const connection: Connection = new Connection(
      { client, server },
      line,
      jitter,
      () => {
        open.delete(connection)
        past = { up: past.up + connection.delivered.up, down: past.down + connection.delivered.down }
      },
      protocol === 'tcp' ? undefined : (wire) => inspect(number, wire),
    )
    open.add(connection)
    if (resets !== undefined && resets.times > 0) {
      resets.times -= 1
      connection.resetWhen({ up: resets.up, down: resets.down })
    }
    if (paused) connection.pause()
    else client.resume()
  }

  let listener = await listen(0, onClient)
  const { port } = listener.address() as { port: number }
  const each = (work: (connection: Connection) => void) => {
    for (const connection of [...open]) work(connection)
  }

  return {
    host: '127.0.0.1',
    port,
    ...(certificate === undefined ? {} : { ca: certificate.cert }),
    through(url) {
      const there = url.replaceAll(`${target.host}:${target.port}`, `127.0.0.1:${port}`)
      if (there === url)
        throw new Error(`nothing in ${url.replace(/\/\/[^@/]*@/, '//')} names ${target.host}:${target.port}`)
      return certificate === undefined ? there : there.replace(/\bhttp(?=:)|(?<=Protocol=)http(?=;)/g, 'https')
    },
    setLine(change) {
      line = { ...line, ...change }
      each((connection) => {
        connection.line = line
      })
    },
    on(matcher, action, often) {
      if (protocol === 'tcp') throw new Error('a proxy for tcp knows no requests; start it with a protocol or a store')
      return rules.on(matcher, action, often)
    },
    clearRules: () => rules.clear(),
    get requests() {
      return requests
    },
    count: (matcher = {}) => requests.filter((request) => holds(matcher, request)).length,
    counts() {
      const counts: Record<string, number> = {}
      for (const { operation } of requests) counts[operation] = (counts[operation] ?? 0) + 1
      return counts
    },
    forget() {
      requests = []
      made = 0
      past = { up: 0, down: 0 }
      each(({ delivered }) => {
        past = { up: past.up - delivered.up, down: past.down - delivered.down }
      })
    },
    get connections() {
      return { made, open: open.size + ignored.size }
    },
    get bytes() {
      let { up, down } = past
      each(({ delivered }) => {
        up += delivered.up
        down += delivered.down
      })
      return { up, down }
    },
    pause() {
      paused = true
      each((connection) => connection.pause())
    },
    resume() {
      paused = false
      each((connection) => connection.resume())
    },
    silence: () => each((connection) => connection.silence()),
    blackHole() {
      hole = true
      each((connection) => connection.silence())
    },
    restore() {
      hole = false
      nonsense = undefined
    },
    babble(bytes) {
      nonsense = bytes
    },
    certify(other) {
      if (trusted === undefined) throw new Error('a proxy without TLS has no certificate')
      secureContext = other === undefined ? trusted : createSecureContext(selfSigned(other))
    },
    refuse: () => stopListening(listener),
    async accept() {
      if (!listener.listening) listener = await listen(port, onClient)
    },
    cutAll() {
      each((connection) => connection.reset())
      for (const socket of ignored) socket.resetAndDestroy()
    },
    resetAfter({ up = Number.POSITIVE_INFINITY, down = Number.POSITIVE_INFINITY, times = Number.POSITIVE_INFINITY }) {
      resets = { up, down, times }
    },
    async close() {
      await stopListening(listener)
      each((connection) => connection.reset())
      for (const socket of ignored) socket.resetAndDestroy()
    },
  }
}

async function listen(port: number, onClient: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onClient)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: '127.0.0.1', backlog: 1024 }, resolve)
  })
  return server
}

/** Listens no more from now on; does not wait for open connections. */
async function stopListening(server: Server): Promise<void> {
  if (server.listening) server.close()
}

function secured(raw: Socket, secureContext: SecureContext): Socket {
  const socket = new TLSSocket(raw, { isServer: true, secureContext })
  // Only the connection below has a handle that can send RST.
  socket.resetAndDestroy = () => {
    raw.resetAndDestroy()
    socket.destroy()
    return socket
  }
  raw.resume()
  return socket
}
