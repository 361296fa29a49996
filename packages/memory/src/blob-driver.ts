import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  compareStrings,
  HubError,
  type Precondition,
  throwIfAborted,
  type WriteOptions,
} from '@tensorhub/core'

const CAN: BlobCan = {
  ifAbsent: true,
  ifVersion: true,
  meta: true,
  copy: true,
  // There is no URL by which another process could reach this memory.
  sign: false,
  partMin: 1,
  partMax: Number.MAX_SAFE_INTEGER,
  partsMax: Number.MAX_SAFE_INTEGER,
  sizeMax: 2 ** 32,
  deleteMax: 1000,
}

interface Blob {
  readonly info: BlobInfo
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** The blobs of one store; several drivers may share one. */
export type MemoryBytes = Map<string, Blob>

/** The reference blob driver: bytes in a Map, with every capability but signed URLs. @param blobs Share a store; default a new one. */
export function memoryBlobs(blobs: MemoryBytes = new Map()): BlobDriver {
  return new MemoryBlobs(blobs)
}

let versions = 0

class MemoryBlobs implements BlobDriver {
  readonly scheme = 'memory'
  readonly can = CAN
  readonly #blobs: MemoryBytes

  constructor(blobs: MemoryBytes) {
    this.#blobs = blobs
  }

  native(): unknown {
    return this.#blobs
  }

  async stat(key: string, o: Call): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    return this.#get(key, 'stat').info
  }

  async read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    throwIfAborted(o.signal)
    const { info, bytes } = this.#get(key, 'read', o.ifVersion)
    const part = slice(bytes, o.range, key)
    let at = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= part.byteLength) return controller.close()
        // Pieces are copies, so that a reader cannot change what is stored.
        controller.enqueue(part.slice(at, at + 65536))
        at += 65536
      },
    })
    return { info, body }
  }

  async readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    const { info, bytes } = this.#get(key, 'read', o.ifVersion)
    if (o.offset + into.byteLength > bytes.byteLength) throw range(key, o.offset, into.byteLength, bytes.byteLength)
    into.set(bytes.subarray(o.offset, o.offset + into.byteLength))
    return info
  }

  async write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    const pieces: Uint8Array[] = []
    let size = 0
    const reader = body.getReader()
    try {
      for (;;) {
        throwIfAborted(o.signal)
        const { done, value } = await reader.read()
        if (done) break
        size += value.byteLength
        if (size > CAN.sizeMax)
          throw new HubError('INVALID', `The body is larger than ${CAN.sizeMax} bytes.`, {
            at: { scheme: 'memory', op: 'write', target: key },
          })
        pieces.push(value.slice())
      }
    } catch (error) {
      await reader.cancel(error)
      throw error
    }
    const bytes = new Uint8Array(size)
    let at = 0
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.byteLength
    }
    throwIfAborted(o.signal)
    return this.#put(key, bytes, o)
  }

  async writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    return this.#put(key, new Uint8Array(bytes), o)
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    for (const key of keys) this.#blobs.delete(key)
  }

  async *list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncGenerator<BlobInfo, void, undefined> {
    throwIfAborted(o.signal)
    const keys = [...this.#blobs.keys()]
      .filter((key) => key.startsWith(prefix) && (o.after === undefined || compareStrings(key, o.after) > 0))
      .sort(compareStrings)
    for (const key of keys.slice(0, o.limit)) {
      throwIfAborted(o.signal)
      const blob = this.#blobs.get(key)
      if (blob !== undefined) yield blob.info
    }
  }

  async copy(from: string, to: string, o: Call & { when?: Precondition }): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    const { info, bytes } = this.#get(from, 'copy')
    return this.#put(to, bytes, {
      ...(info.contentType === undefined ? {} : { contentType: info.contentType }),
      ...(info.meta ? { meta: info.meta } : {}),
      ...(o.when ? { when: o.when } : {}),
    })
  }

  #get(key: string, op: string, version?: string): Blob {
    const blob = this.#blobs.get(key)
    const at = { scheme: 'memory', op, target: key }
    if (blob === undefined) throw new HubError('NOT_FOUND', `There is no blob '${key}'.`, { at })
    if (version !== undefined && version !== blob.info.version)
      throw new HubError('CONFLICT', `Blob '${key}' has another version by now.`, { at })
    return blob
  }

  #put(key: string, bytes: Uint8Array<ArrayBuffer>, o: Pick<WriteOptions, 'when' | 'contentType' | 'meta'>): BlobInfo {
    const held = this.#blobs.get(key)
    const at = { scheme: 'memory', op: 'write', target: key }
    if (o.when && 'ifAbsent' in o.when && held !== undefined)
      throw new HubError('EXISTS', `Blob '${key}' exists already.`, { at })
    if (o.when && 'ifVersion' in o.when && held?.info.version !== o.when.ifVersion)
      throw new HubError('CONFLICT', `Blob '${key}' does not have the version asked for.`, { at })
    const info: BlobInfo = Object.freeze({
      key,
      size: bytes.byteLength,
      modified: new Date(),
      version: String(++versions),
      ...(o.contentType === undefined ? {} : { contentType: o.contentType }),
      ...(o.meta === undefined ? {} : { meta: Object.freeze({ ...o.meta }) }),
    })
    this.#blobs.set(key, { info, bytes })
    return info
  }
}

function slice(bytes: Uint8Array<ArrayBuffer>, wanted: ByteRange | undefined, key: string): Uint8Array<ArrayBuffer> {
  if (wanted === undefined) return bytes
  const { offset, length } = wanted
  if (offset > bytes.byteLength || (offset === bytes.byteLength && offset > 0))
    throw range(key, offset, length, bytes.byteLength)
  return bytes.subarray(offset, length === undefined ? undefined : offset + length)
}

function range(key: string, offset: number, length: number | undefined, size: number): HubError {
  return new HubError(
    'RANGE',
    `The range from ${offset}${length === undefined ? '' : ` of ${length} bytes`} lies outside blob '${key}' of ${size} bytes.`,
    { at: { scheme: 'memory', op: 'read', target: key } },
  )
}
