import type { Socket } from 'node:net'
import type { Inspector, Wire } from './inspector.ts'
import { type Line, Link } from './link.ts'

/** A client's connection and the one to the server that belongs to it, each direction over a link. */
export class Connection {
  readonly #client: Socket
  readonly #server: Socket
  readonly #up: Link
  readonly #down: Link
  #silent = false
  #done = false
  #inspector: Inspector | undefined
  /** Bytes in each direction after which the connection is reset. */
  #reset: { readonly up: number; readonly down: number } | undefined
  #sent = { up: 0, down: 0 }
  readonly #onDone: () => void

  constructor(
    sockets: { readonly client: Socket; readonly server: Socket },
    line: Line,
    random: () => number,
    onDone: () => void,
    inspect?: (wire: Wire) => Inspector,
  ) {
    const { client, server } = sockets
    this.#client = client
    this.#server = server
    this.#onDone = onDone
    // What a far server's handshake takes; here it was over at once.
    this.#up = new Link(server, line, random, performance.now() + line.roundTrip)
    this.#down = new Link(client, line, random)
    this.#inspector = inspect?.({
      toServer: (bytes) => this.#send('up', bytes),
      toClient: (bytes) => this.#send('down', bytes),
      cut: (how) => this.#down.finish(() => (how === 'reset' ? this.reset() : this.#close())),
      resetAfter: (side) => (side === 'server' ? this.#up : this.#down).finish(() => this.reset()),
      silence: () => this.silence(),
      silenceAfter: () => this.#down.finish(() => this.silence()),
      holdReply: (ms) => this.#down.hold(ms),
      bandwidth: (bandwidth) => {
        this.line = { ...this.#up.line, bandwidth }
      },
    })
    this.#read(client, this.#up, (bytes) =>
      this.#inspector ? this.#inspector.fromClient(bytes) : this.#send('up', bytes),
    )
    this.#read(server, this.#down, (bytes) =>
      this.#inspector ? this.#inspector.fromServer(bytes) : this.#send('down', bytes),
    )
    client.on('end', () => {
      this.#inspector?.clientEnded()
      this.#up.finish(() => server.end())
    })
    server.on('end', () => {
      this.#inspector?.serverEnded()
      this.#down.finish(() => client.end())
    })
    client.on('error', (error: NodeJS.ErrnoException) => this.#broke(server, this.#up, error))
    server.on('error', (error: NodeJS.ErrnoException) => this.#broke(client, this.#down, error))
    client.on('close', () => this.#closed())
    server.on('close', () => this.#closed())
  }

  set line(line: Line) {
    this.#up.line = line
    this.#down.line = line
  }

  /** Bytes delivered so far. */
  get delivered(): { readonly up: number; readonly down: number } {
    return { up: this.#up.delivered, down: this.#down.delivered }
  }

  resetWhen(at: { readonly up: number; readonly down: number } | undefined): void {
    this.#reset = at
  }

  pause(): void {
    this.#up.pause()
    this.#down.pause()
    this.#client.pause()
    this.#server.pause()
  }

  resume(): void {
    if (this.#silent) return
    this.#up.resume()
    this.#down.resume()
    if (!this.#up.full) this.#client.resume()
    if (!this.#down.full) this.#server.resume()
  }

  /** Half-open: both ends believe that the other is there, and hear nothing. */
  silence(): void {
    this.#silent = true
    this.#up.stop()
    this.#down.stop()
    this.#client.pause()
    this.#server.pause()
  }

  /** RST on both sides. */
  reset(): void {
    this.#up.stop()
    this.#down.stop()
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  #close(): void {
    this.#up.stop()
    this.#client.end()
    this.#server.destroy()
  }

  #send(direction: 'up' | 'down', bytes: Buffer): void {
    const link = direction === 'up' ? this.#up : this.#down
    const most = this.#reset?.[direction] ?? Number.POSITIVE_INFINITY
    const left = most - this.#sent[direction]
    this.#sent[direction] += bytes.length
    if (bytes.length < left) link.send(bytes)
    else {
      link.send(bytes.subarray(0, left))
      link.finish(() => this.reset())
    }
  }

  #read(from: Socket, link: Link, on: (bytes: Buffer) => void): void {
    from.on('data', (bytes: Buffer) => {
      if (this.#silent) return
      try {
        on(bytes)
      } catch (error) {
        // Not what this proxy was told to expect: the client must not hang, and the test must see why.
        process.stderr.write(`proxy: ${(error as Error).message}; the connection is reset\n`)
        this.reset()
        return
      }
      if (link.full) from.pause()
    })
    link.onSpace = () => {
      if (!this.#silent) from.resume()
    }
  }

  /** The other side learns of it the same way, after what was sent before. */
  #broke(other: Socket, link: Link, error: NodeJS.ErrnoException): void {
    if (this.#silent) return
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') link.finish(() => other.resetAndDestroy())
    else other.resetAndDestroy()
  }

  #closed(): void {
    if (this.#silent) {
      // Whoever is left is to notice by itself.
      if (this.#client.destroyed && this.#server.destroyed) this.#finish()
      return
    }
    if (this.#client.destroyed) {
      this.#down.stop()
      this.#up.finish(() => this.#server.destroy())
    }
    if (this.#server.destroyed) {
      this.#up.stop()
      this.#down.finish(() => this.#client.end())
    }
    if (this.#client.destroyed && this.#server.destroyed) this.#finish()
  }

  #finish(): void {
    if (this.#done) return
    this.#done = true
    this.#up.stop()
    this.#down.stop()
    this.#onDone()
  }
}
