/** Bytes kept of a script's output: the beginning and the end. */
const HEAD = 64 * 1024
const TAIL = 192 * 1024

/** Keeps the first and the last part of what a child prints, in bounded memory, and counts what fell out between. */
export class OutputCapture {
  #head: Buffer[] = []
  #headSize = 0
  #tail: Buffer[] = []
  #tailSize = 0
  #dropped = 0

  push(piece: Buffer): void {
    const forHead = piece.subarray(0, HEAD - this.#headSize)
    if (forHead.length > 0) {
      this.#head.push(Buffer.from(forHead))
      this.#headSize += forHead.length
    }
    const rest = piece.subarray(forHead.length)
    if (rest.length === 0) return
    this.#tail.push(Buffer.from(rest.length > TAIL ? rest.subarray(rest.length - TAIL) : rest))
    this.#dropped += Math.max(0, rest.length - TAIL)
    this.#tailSize += Math.min(rest.length, TAIL)
    while (this.#tailSize - (this.#tail[0] as Buffer).length >= TAIL) {
      const gone = this.#tail.shift() as Buffer
      this.#tailSize -= gone.length
      this.#dropped += gone.length
    }
    if (this.#tail.length > 1000) this.#tail = [Buffer.concat(this.#tail)]
  }

  /** The text, with a line where bytes were left out. Invalid UTF-8 becomes U+FFFD, NUL too. */
  text(): string {
    const head = Buffer.concat(this.#head).toString('utf8')
    let tail = Buffer.concat(this.#tail)
    let dropped = this.#dropped
    if (tail.length > TAIL) {
      dropped += tail.length - TAIL
      tail = tail.subarray(tail.length - TAIL)
    }
    const middle = dropped > 0 ? `\n… ${dropped} bytes left out …\n` : ''
    return `${head}${middle}${tail.toString('utf8')}`.replaceAll('\0', '\ufffd')
  }
}
