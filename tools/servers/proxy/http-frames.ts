import type { Frame, Framer } from './frame.ts'

/** The head of an HTTP/1.1 message. */
export interface HttpMessage {
  /** `PUT /bucket/key?partNumber=1 HTTP/1.1` or `HTTP/1.1 200 OK`. */
  readonly firstLine: string
  /** Names in lower case; of a repeated one the last. */
  readonly headers: ReadonlyMap<string, string>
}

type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; left: number }
  | { readonly kind: 'chunked'; readonly chunks: Chunks }
  | { readonly kind: 'until-end' }

const MOST_HEAD = 256 * 1024

/**
 * HTTP/1.1 in one direction (RFC 9112 §6). `bodyOf` tells what the head alone can't: that a reply to HEAD has no body. Replies
 * without a length last until the sender ends.
 */
export function httpFrames(
  side: 'request' | 'reply',
  hasNoBody: (message: HttpMessage) => boolean = () => false,
): Framer<HttpMessage> {
  let head: Buffer = Buffer.alloc(0)
  let message: HttpMessage | undefined
  let body: Body = { kind: 'none' }

  const push = (chunk: Buffer): Frame<HttpMessage>[] => {
    const frames: Frame<HttpMessage>[] = []
    let rest = chunk
    while (rest.length > 0) {
      if (message === undefined) {
        const bytes = head.length === 0 ? rest : Buffer.concat([head, rest])
        // A line end between messages belongs to none of them; it goes along with the head that follows.
        const ends = bytes.indexOf('\r\n\r\n')
        if (ends < 0) {
          if (bytes.length > MOST_HEAD) throw new Error(`no end of an HTTP head within ${MOST_HEAD} bytes`)
          head = bytes
          break
        }
        head = Buffer.alloc(0)
        message = parseHead(bytes.toString('latin1', 0, ends))
        body = hasNoBody(message) ? { kind: 'none' } : bodyOf(message, side)
        const done = body.kind === 'none' || (body.kind === 'length' && body.left === 0)
        frames.push({ message, bytes: bytes.subarray(0, ends + 4), begins: true, ends: done })
        rest = bytes.subarray(ends + 4)
        if (done) message = undefined
        continue
      }
      const taken = take(body, rest)
      const done = taken.done
      frames.push({ message, bytes: rest.subarray(0, taken.bytes), begins: false, ends: done })
      rest = rest.subarray(taken.bytes)
      if (done) message = undefined
    }
    return frames
  }
  return {
    push,
    end() {
      if (message === undefined || body.kind !== 'until-end') return []
      const frame = { message, bytes: Buffer.alloc(0), begins: false, ends: true }
      message = undefined
      return [frame]
    },
  }
}

function parseHead(text: string): HttpMessage {
  const [firstLine = '', ...lines] = text.replace(/^(\r\n)+/, '').split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return { firstLine, headers }
}

function bodyOf({ firstLine, headers }: HttpMessage, side: 'request' | 'reply'): Body {
  if (/\bchunked\b/i.test(headers.get('transfer-encoding') ?? '')) return { kind: 'chunked', chunks: new Chunks() }
  const length = headers.get('content-length')
  if (length !== undefined) return { kind: 'length', left: Number(length) }
  if (side === 'request' || /^HTTP\/1\.\d (1\d\d|204|304)\b/.test(firstLine)) return { kind: 'none' }
  return { kind: 'until-end' }
}

function take(body: Body, bytes: Buffer): { readonly bytes: number; readonly done: boolean } {
  if (body.kind === 'length') {
    const count = Math.min(body.left, bytes.length)
    body.left -= count
    return { bytes: count, done: body.left === 0 }
  }
  if (body.kind === 'chunked') return body.chunks.take(bytes)
  return { bytes: bytes.length, done: false }
}

/** Where a chunked body ends (RFC 9112 §7.1); the chunks themselves are of no interest. */
class Chunks {
  #line = ''
  #left = 0
  #state: 'size' | 'data' | 'data-end' | 'trailer' = 'size'

  take(bytes: Buffer): { readonly bytes: number; readonly done: boolean } {
    let at = 0
    while (at < bytes.length) {
      if (this.#state === 'data') {
        const count = Math.min(this.#left, bytes.length - at)
        this.#left -= count
        at += count
        if (this.#left === 0) this.#state = 'data-end'
        continue
      }
      const lineEnds = bytes.indexOf(10, at)
      this.#line += bytes.toString('latin1', at, lineEnds < 0 ? bytes.length : lineEnds)
      if (lineEnds < 0) return { bytes: bytes.length, done: false }
      at = lineEnds + 1
      const line = this.#line.trimEnd()
      this.#line = ''
      if (this.#state === 'data-end') this.#state = 'size'
      else if (this.#state === 'trailer') {
        if (line === '') return { bytes: at, done: true }
      } else {
        this.#left = Number.parseInt(line, 16)
        if (Number.isNaN(this.#left)) throw new Error('a chunk of an HTTP body without a size')
        this.#state = this.#left === 0 ? 'trailer' : 'data'
      }
    }
    return { bytes: at, done: false }
  }
}
