/** Sizes of content-defined chunks in bytes; `about` is a power of two. */
export interface FileChunkSizes {
  readonly least: number
  readonly about: number
  readonly most: number
}

/** Chunks of opaque files. The same for ever: files that were cut otherwise share nothing. */
export const FILE_CHUNK: FileChunkSizes = { least: 512 * 1024, about: 2 * 1024 * 1024, most: 4 * 1024 * 1024 }

/** Random words for the rolling hash, from a fixed seed: the same file must be cut at the same places for ever. */
const GEAR = makeGear()

function makeGear(): Uint32Array {
  const table = new Uint32Array(256)
  let x = 0x9e3779b9
  for (let i = 0; i < 256; i++) {
    // xorshift32
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    table[i] = x >>> 0
  }
  return table
}

/**
 * Cuts a stream where its content says so (FastCDC: Xia et al., USENIX ATC 2016, normalised chunking level 1), so that an insertion in the middle
 * of a file changes only the chunks around it. Holds one chunk.
 */
export class FileChunker {
  readonly #sizes: FileChunkSizes
  #buffer: Uint8Array<ArrayBuffer>
  readonly #free: Uint8Array<ArrayBuffer>[] = []
  #held = 0
  #hash = 0
  // High bits of the gear hash depend on the last 32 bytes. Stricter before the target size, looser behind it.
  readonly #strict: number
  readonly #loose: number
  #cut = false

  constructor(sizes: FileChunkSizes) {
    this.#sizes = sizes
    this.#buffer = new Uint8Array(sizes.most)
    const bits = Math.log2(sizes.about)
    this.#strict = 0xffffffff << (32 - bits - 1)
    this.#loose = 0xffffffff << (32 - bits + 1)
  }

  /** How many of these bytes belong to the current chunk. */
  #scan(piece: Uint8Array): number {
    this.#cut = false
    let hash = this.#hash
    let i = 0
    const skip = Math.min(Math.max(this.#sizes.least - this.#held, 0), piece.byteLength)
    // Below the least size no cut is possible; the hash needs only the last 32 bytes before it.
    i = Math.max(0, skip - 32)
    for (; i < skip; i++) hash = ((hash << 1) + (GEAR[piece[i] as number] as number)) | 0
    const normal = Math.min(Math.max(this.#sizes.about - this.#held, skip), piece.byteLength)
    for (; i < normal; i++) {
      hash = ((hash << 1) + (GEAR[piece[i] as number] as number)) | 0
      if ((hash & this.#strict) === 0) {
        this.#cut = true
        this.#hash = 0
        return i + 1
      }
    }
    for (; i < piece.byteLength; i++) {
      hash = ((hash << 1) + (GEAR[piece[i] as number] as number)) | 0
      if ((hash & this.#loose) === 0) {
        this.#cut = true
        this.#hash = 0
        return i + 1
      }
    }
    this.#hash = hash
    return piece.byteLength
  }

  /** Takes a chunk's memory back, when nobody reads it any more: garbage of this size is collected too late to keep the process small. */
  recycle(chunk: Uint8Array<ArrayBuffer>): void {
    this.#free.push(new Uint8Array(chunk.buffer))
  }

  #take(): Uint8Array<ArrayBuffer> {
    const chunk = this.#buffer.subarray(0, this.#held)
    this.#buffer = this.#free.pop() ?? new Uint8Array(this.#sizes.most)
    this.#held = 0
    this.#hash = 0
    this.#cut = false
    return chunk
  }

  /** Takes bytes and gives the chunks that became whole. */
  *push(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
    let at = 0
    while (at < bytes.byteLength) {
      const room = this.#sizes.most - this.#held
      const piece = bytes.subarray(at, at + room)
      const taken = this.#scan(piece)
      this.#buffer.set(piece.subarray(0, taken), this.#held)
      this.#held += taken
      at += taken
      if (this.#cut || this.#held === this.#sizes.most) yield this.#take()
    }
  }

  /** The rest, if any. */
  *end(): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
    if (this.#held > 0) yield this.#take()
  }
}
