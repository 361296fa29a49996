import { HubError } from '../errors/hub-error.ts'

/** Memory a part begins with where the body's size is not known: most bodies are small. */
const FIRST_BYTES = 64 * 1024

type Piece = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>>

/** Cuts a stream into parts. Every part is memory of its own, so that a source may reuse what it gave. */
export class PartReader {
  readonly #next: () => Promise<Piece>
  readonly #size: number | undefined
  #rest: Uint8Array = new Uint8Array()
  #read = 0

  /** @param next Reads the next piece. @param size The body's bytes, where known. */
  constructor(next: () => Promise<Piece>, size: number | undefined) {
    this.#next = next
    this.#size = size
  }

  /** Bytes read so far, those behind the last part included. */
  get bytes(): number {
    return this.#read
  }

  /**
   * Up to `most` bytes, and whether the body ends with them. A full part is given only once the next byte has come: the last part is known as such.
   *
   * @throws INVALID when the body holds something other than bytes, or has not the size that was said.
   */
  async part(most: number): Promise<{ readonly bytes: Uint8Array; readonly last: boolean }> {
    const known = this.#size === undefined ? undefined : this.#size - this.#read + this.#rest.byteLength
    let buffer = new Uint8Array(Math.min(most, known ?? Math.max(FIRST_BYTES, this.#rest.byteLength)))
    let filled = 0
    for (;;) {
      const room = most - filled
      const taken = this.#rest.subarray(0, room)
      if (filled + taken.byteLength > buffer.byteLength) buffer = grown(buffer, filled, filled + taken.byteLength, most)
      buffer.set(taken, filled)
      filled += taken.byteLength
      this.#rest = this.#rest.subarray(taken.byteLength)
      if (this.#rest.byteLength > 0) return { bytes: buffer.subarray(0, filled), last: false }
      const { done, value } = await this.#next()
      if (done) {
        if (this.#size !== undefined && this.#read !== this.#size)
          throw wrongSize(this.#size, `ended after ${this.#read}`)
        return { bytes: buffer.subarray(0, filled), last: true }
      }
      if (!(value instanceof Uint8Array))
        throw new HubError('INVALID', 'The body holds something other than Uint8Array.', { at: AT, path: 'body' })
      this.#rest = value
      this.#read += value.byteLength
      if (this.#size !== undefined && this.#read > this.#size) throw wrongSize(this.#size, 'runs beyond that')
    }
  }
}

const AT = { scheme: 'core', op: 'write' }

function grown(old: Uint8Array, filled: number, needed: number, most: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(most, Math.max(needed, 2 * old.byteLength)))
  larger.set(old.subarray(0, filled))
  return larger
}

function wrongSize(size: number, what: string): HubError {
  return new HubError('INVALID', `The size given was ${size} bytes; the body ${what}.`, { at: AT, path: 'size' })
}
