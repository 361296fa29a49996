import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FaultProxy, type ProxyOptions, startProxy } from '../../proxy/index.ts'

/** Sends back what it gets. */
let echo: Server
let seen: Socket[]
let proxies: FaultProxy[]

beforeEach(async () => {
  seen = []
  proxies = []
  echo = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    seen.push(socket)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
})
afterEach(async () => {
  for (const proxy of proxies) await proxy.close()
  for (const socket of seen) socket.destroy()
  echo.close()
})

async function through(options: ProxyOptions): Promise<FaultProxy> {
  const proxy = await startProxy({ host: '127.0.0.1', port: (echo.address() as { port: number }).port }, options)
  proxies.push(proxy)
  return proxy
}
async function client({ port }: FaultProxy): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  // The proxy resets it when it is closed.
  socket.on('error', () => undefined)
  return socket
}
/** Reads so many bytes. */
function read(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let got = 0
    const onData = (part: Buffer) => {
      parts.push(part)
      got += part.length
      if (got < bytes) return
      socket.off('data', onData).off('error', reject)
      resolve(Buffer.concat(parts))
    }
    socket.on('data', onData).once('error', reject)
  })
}
const ask = async (socket: Socket) => {
  const began = performance.now()
  socket.write('?')
  await read(socket, 1)
  return performance.now() - began
}
const failure = (socket: Socket) =>
  new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('end', () => resolve('end'))
    socket.resume()
  })
const nothingFor = async (socket: Socket, ms: number) => {
  const heard: string[] = []
  for (const event of ['data', 'end', 'error', 'close']) socket.on(event, () => heard.push(event))
  await new Promise((resolve) => setTimeout(resolve, ms))
  return heard
}

describe('the line', () => {
  // Bounds from above hold on a machine that has time: several tries, and one is proof.
  it('a round trip takes what it is told to, never less', { retry: 5 }, async () => {
    const proxy = await through({ roundTrip: 40 })
    const socket = await client(proxy)
    await ask(socket)
    const times: number[] = []
    for (let i = 0; i < 10; i += 1) times.push(await ask(socket))
    expect(Math.min(...times)).toBeGreaterThan(38.5)
    expect(times.sort((a, b) => a - b)[4]).toBeLessThan(80)
  })

  it('connecting costs a round trip more', async () => {
    const proxy = await through({ roundTrip: 40 })
    // From before it connects: on a busy machine the client may be told late that it is connected.
    const began = performance.now()
    const socket = await client(proxy)
    await ask(socket)
    expect(performance.now() - began).toBeGreaterThan(77)
  })

  it('the bandwidth is that of each connection, in each direction, and all bytes arrive in order', {
    retry: 5,
  }, async () => {
    const bandwidth = 8_000_000
    const proxy = await through({ bandwidth, roundTrip: 10, jitter: 10 })
    const sent = Buffer.alloc(4_000_000, 'in order, with jitter: ')
    const began = performance.now()
    const got = await Promise.all(
      [1, 2, 3].map(async () => {
        const socket = await client(proxy)
        socket.write(sent)
        const bytes = await read(socket, sent.length)
        return { took: performance.now() - began, same: bytes.equals(sent) }
      }),
    )
    for (const { took, same } of got) {
      expect(same).toBe(true)
      // Both directions at once: twice as long would mean that they share the line.
      expect(took).toBeGreaterThan(490)
      expect(took).toBeLessThan(980)
    }
    expect(proxy.bytes).toEqual({ up: 12_000_000, down: 12_000_000 })
  })

  it('can be changed while connections are open', async () => {
    const proxy = await through({})
    const socket = await client(proxy)
    await ask(socket)
    proxy.setLine({ roundTrip: 60 })
    expect(await ask(socket)).toBeGreaterThan(58)
  })

  it('ends pass as ends, behind what was sent', async () => {
    const proxy = await through({ roundTrip: 20 })
    const socket = await client(proxy)
    socket.end('last words')
    expect((await read(socket, 10)).toString()).toBe('last words')
    expect(await failure(socket)).toBe('end')
    await expect.poll(() => proxy.connections.open).toBe(0)
  })
})

describe('faults of connections', () => {
  it('paused: nothing passes, nothing is lost', async () => {
    const proxy = await through({})
    const socket = await client(proxy)
    await ask(socket)
    proxy.pause()
    socket.write('held')
    expect(await nothingFor(socket, 150)).toEqual([])
    proxy.resume()
    expect((await read(socket, 4)).toString()).toBe('held')
  })

  it('half-open: open ones hear nothing, new ones work', async () => {
    const proxy = await through({})
    const socket = await client(proxy)
    await ask(socket)
    proxy.silence()
    socket.write('into the void')
    expect(await nothingFor(socket, 150)).toEqual([])
    const second = await client(proxy)
    expect(await ask(second)).toBeGreaterThan(0)
    expect(seen[0]?.destroyed).toBe(false)
  })

  it('a black hole takes new connections and answers none, until it is restored', async () => {
    const proxy = await through({})
    proxy.blackHole()
    const socket = await client(proxy)
    socket.write('hello?')
    expect(await nothingFor(socket, 150)).toEqual([])
    proxy.restore()
    expect(await ask(await client(proxy))).toBeGreaterThan(0)
  })

  it('babbles like something else, until it is restored', async () => {
    const proxy = await through({})
    proxy.babble(Buffer.from('what?'))
    const socket = await client(proxy)
    socket.write('hello?')
    expect((await read(socket, 5)).toString()).toBe('what?')
    expect(await failure(socket)).toBe('end')
    proxy.restore()
    expect(await ask(await client(proxy))).toBeGreaterThan(0)
  })

  it('refuses connections, and takes them again on the same port', async () => {
    const proxy = await through({})
    const open = await client(proxy)
    await ask(open)
    await proxy.refuse()
    await expect(client(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await ask(open)).toBeGreaterThan(0)
    await proxy.accept()
    expect(await ask(await client(proxy))).toBeGreaterThan(0)
  })

  it('cuts all', async () => {
    const proxy = await through({})
    const sockets = [await client(proxy), await client(proxy)]
    for (const socket of sockets) await ask(socket)
    const failures = sockets.map(failure)
    proxy.cutAll()
    expect(await Promise.all(failures)).toEqual(['ECONNRESET', 'ECONNRESET'])
    await expect.poll(() => proxy.connections.open).toBe(0)
  })

  it('resets after so many bytes, as often as it is told', async () => {
    const proxy = await through({})
    proxy.resetAfter({ down: 1000, times: 1 })
    const socket = await client(proxy)
    let got = 0
    socket.on('data', (bytes: Buffer) => {
      got += bytes.length
    })
    const failed = failure(socket)
    socket.write(Buffer.alloc(5000))
    expect(await failed).toBe('ECONNRESET')
    expect(got).toBeLessThanOrEqual(1000)
    const second = await client(proxy)
    second.write(Buffer.alloc(5000))
    expect(await read(second, 5000)).toHaveLength(5000)
  })

  it('a server that is gone is a reset', async () => {
    const proxy = await through({})
    echo.close()
    const socket = await client(proxy)
    socket.write('?')
    expect(await failure(socket)).toBe('ECONNRESET')
  })

  it('a client that resets is a reset for the server', async () => {
    const proxy = await through({})
    const socket = await client(proxy)
    await ask(socket)
    const [server] = seen
    if (server === undefined) throw new Error('no connection has come through')
    server.unpipe()
    const failed = failure(server)
    socket.resetAndDestroy()
    expect(await failed).toBe('ECONNRESET')
  })
})

describe('TLS in front', () => {
  const secure = async (proxy: FaultProxy, options: { readonly ca?: string; readonly servername?: string }) => {
    const socket = connectTls({ port: proxy.port, host: '127.0.0.1', ...options })
    await once(socket, 'secureConnect')
    socket.on('error', () => undefined)
    return socket
  }

  it('works for who trusts its certificate, and for nobody else', async () => {
    const proxy = await through({ tls: true })
    if (proxy.ca === undefined) throw new Error('no certificate')
    const socket = await secure(proxy, { ca: proxy.ca })
    expect(await ask(socket)).toBeGreaterThan(0)
    await expect(secure(proxy, {})).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    const failed = failure(socket)
    proxy.cutAll()
    expect(await failed).toBe('ECONNRESET')
  })

  it('its certificate may be exchanged for a while', async () => {
    const proxy = await through({ tls: true })
    const ca = proxy.ca as string
    const open = await secure(proxy, { ca })
    proxy.certify({})
    await expect(secure(proxy, { ca })).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    expect(await ask(open)).toBeGreaterThan(0)
    proxy.certify(undefined)
    expect(await ask(await secure(proxy, { ca }))).toBeGreaterThan(0)
  })

  it('its certificate may have run out, or be for another host', async () => {
    const expired = await through({ tls: { expired: true } })
    const other = await through({ tls: { names: ['elsewhere.example'] } })
    if (expired.ca === undefined || other.ca === undefined) throw new Error('no certificate')
    await expect(secure(expired, { ca: expired.ca })).rejects.toMatchObject({ code: 'CERT_HAS_EXPIRED' })
    await expect(secure(other, { ca: other.ca })).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })
})
