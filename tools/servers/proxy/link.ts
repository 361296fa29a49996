import type { Socket } from 'node:net'

/** How a line behaves, in each direction of each connection. */
export interface Line {
  /** ms there and back; half of it is waited in each direction. 0 */
  readonly roundTrip: number
  /** The round trip is longer by up to so many ms, at random; the order of bytes stays. 0 */
  readonly jitter: number
  /** Bytes a second in each direction of one connection; Infinity for no limit. */
  readonly bandwidth: number
}

/** No piece takes the line for longer than this, so that a slow line trickles instead of jerking. */
const PIECE_MS = 5
/** What the clock may lag: a timer that fires late costs no bandwidth as long as there is data. */
const LAG_MS = 10
const LEAST_BUFFER = 256 * 1024

interface Piece {
  readonly bytes: Buffer
  readonly due: number
}

/** One direction of a connection: takes bytes, and gives them to a socket when the line would have delivered them. */
export class Link {
  #queue: Piece[] = []
  #head = 0
  #queued = 0
  /** When the line is free again; when the last piece arrives. */
  #free: number
  #last = 0
  #timer: NodeJS.Timeout | undefined
  #waitsForDrain = false
  #paused = false
  #stopped = false
  #after: (() => void) | undefined
  readonly #to: Socket
  readonly #random: () => number
  #line: Line
  /** Called when `full` has become false again. */
  onSpace: () => void = () => undefined
  /** Bytes handed to the socket. */
  delivered = 0

  /** `opens`: the time (performance.now) from which on the line is up. */
  constructor(to: Socket, line: Line, random: () => number, opens = performance.now()) {
    this.#to = to
    this.#line = line
    this.#random = random
    this.#free = opens
    to.on('drain', () => {
      this.#waitsForDrain = false
      this.#deliver()
    })
  }

  set line(line: Line) {
    this.#line = line
  }

  get line(): Line {
    return this.#line
  }

  /** Whether so much is under way that its source should be read no further. */
  get full(): boolean {
    const { bandwidth, roundTrip, jitter } = this.#line
    const underWay = Number.isFinite(bandwidth) ? (bandwidth * (roundTrip + jitter + 4 * LAG_MS)) / 1000 : 0
    // Without a limit it is the delay alone that keeps bytes under way: as much as a fast line holds.
    const most = roundTrip + jitter > 0 && !Number.isFinite(bandwidth) ? 64 * LEAST_BUFFER : underWay
    return this.#queued >= Math.max(LEAST_BUFFER, most)
  }

  send(bytes: Buffer): void {
    if (this.#stopped || bytes.length === 0) return
    const { bandwidth, roundTrip, jitter } = this.#line
    const now = performance.now()
    const most = Number.isFinite(bandwidth) ? Math.max(1024, Math.floor((bandwidth * PIECE_MS) / 1000)) : bytes.length
    for (let at = 0; at < bytes.length; at += most) {
      const piece = at === 0 && bytes.length <= most ? bytes : bytes.subarray(at, at + most)
      this.#free = Math.max(this.#free, now - LAG_MS)
      if (Number.isFinite(bandwidth)) this.#free += (piece.length / bandwidth) * 1000
      const delay = roundTrip / 2 + (jitter > 0 ? (this.#random() * jitter) / 2 : 0)
      this.#last = Math.max(this.#last, Math.max(this.#free, now) + delay)
      this.#queue.push({ bytes: piece, due: this.#last })
      this.#queued += piece.length
    }
    this.#deliver()
  }

  /** Nothing that is sent from now on arrives sooner than in so many ms. */
  hold(ms: number): void {
    this.#last = Math.max(this.#last, performance.now() + ms)
  }

  /** Does something when all that was sent has been delivered; nothing can be sent after it. */
  finish(after: () => void): void {
    if (this.#after !== undefined || this.#stopped) return
    this.#after = after
    this.#deliver()
  }

  /** Forgets what is under way and delivers nothing more. */
  stop(): void {
    this.#stopped = true
    this.#queue = []
    this.#head = 0
    this.#queued = 0
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  pause(): void {
    this.#paused = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  resume(): void {
    this.#paused = false
    this.#deliver()
  }

  #deliver(): void {
    if (this.#paused || this.#stopped || this.#waitsForDrain || this.#timer !== undefined) return
    const wasFull = this.full
    // Half a millisecond early as often as late: timers know whole milliseconds only.
    const now = performance.now() + 0.5
    this.#to.cork()
    let piece = this.#queue[this.#head]
    while (piece !== undefined && piece.due <= now && !this.#waitsForDrain) {
      this.#head += 1
      this.#queued -= piece.bytes.length
      this.delivered += piece.bytes.length
      if (!this.#to.write(piece.bytes)) this.#waitsForDrain = this.#to.writableNeedDrain
      piece = this.#queue[this.#head]
    }
    this.#to.uncork()
    if (this.#head > 1024 || this.#head === this.#queue.length) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
    if (piece === undefined) {
      const after = this.#after
      if (after !== undefined && !this.#waitsForDrain) {
        this.#stopped = true
        after()
      }
    } else if (!this.#waitsForDrain) {
      this.#timer = setTimeout(
        () => {
          this.#timer = undefined
          this.#deliver()
        },
        Math.max(0, Math.floor(piece.due - performance.now())),
      )
    }
    if (wasFull && !this.full) this.onSpace()
  }
}
