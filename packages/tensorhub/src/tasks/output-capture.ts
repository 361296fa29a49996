/** Bytes kept of a script's output: the beginning and the end. */
const HEAD = 64 * 1024
const TAIL = 192 * 1024

/**
 * Keeps the first and the last part of what a child prints, and counts what fell out between. Its memory is two buffers that are made when there is
 * something to hold and never grow, so that a flood leaves no garbage behind but what reading the pipe makes.
 */
export class OutputCapture {
  #head: Buffer | undefined
  #headSize = 0
  /** A ring: the next byte goes to `#at`. */
  #tail: Buffer | undefined
  #at = 0
  /** Bytes beyond the head, of which the ring has the last. */
  #beyond = 0

  push(piece: Uint8Array): void {
    this.#head ??= Buffer.allocUnsafe(HEAD)
    const forHead = piece.subarray(0, HEAD - this.#headSize)
    this.#head.set(forHead, this.#headSize)
    this.#headSize += forHead.length
    const rest = piece.subarray(forHead.length)
    if (rest.length === 0) return
    this.#tail ??= Buffer.allocUnsafe(TAIL)
    this.#beyond += rest.length
    const last = rest.subarray(Math.max(0, rest.length - TAIL))
    const straight = last.subarray(0, TAIL - this.#at)
    this.#tail.set(straight, this.#at)
    this.#tail.set(last.subarray(straight.length), 0)
    this.#at = (this.#at + last.length) % TAIL
  }

  /** The text, with a line where bytes were left out. Invalid UTF-8 becomes U+FFFD, NUL too. */
  text(): string {
    const head = this.#head?.subarray(0, this.#headSize) ?? Buffer.alloc(0)
    const tail =
      this.#tail === undefined
        ? []
        : this.#beyond <= TAIL
          ? [this.#tail.subarray(0, this.#beyond)]
          : [this.#tail.subarray(this.#at), this.#tail.subarray(0, this.#at)]
    const dropped = this.#beyond - TAIL
    // Where nothing is missing, a character may lie across the two.
    if (dropped <= 0) return clean(Buffer.concat([head, ...tail]))
    return `${clean(head)}\n… ${dropped} bytes left out …\n${clean(Buffer.concat(tail))}`
  }
}

function clean(bytes: Buffer): string {
  return bytes.toString('utf8').replaceAll('\0', '\ufffd')
}
