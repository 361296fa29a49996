import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type Call,
  type PartUpload,
  type Precondition,
  uploadInParts,
  type WriteOptions,
} from '@tensorhub/core'
import { type MemoryBytes, memoryBlobs } from '@tensorhub/memory'

const MIB = 2 ** 20
const CAN: BlobCan = {
  ifAbsent: true,
  ifVersion: true,
  meta: true,
  copy: false,
  sign: false,
  partMin: MIB,
  partMax: 8 * MIB,
  partsMax: 1000,
  sizeMax: 2 ** 32,
  deleteMax: 7,
}

interface Session {
  readonly parts: Map<number, Uint8Array>
}

/** What one object store holds: its blobs, and the uploads that were begun and neither finished nor aborted. */
export interface PartStorage {
  readonly blobs: MemoryBytes
  readonly uploads: Set<Session>
}

/**
 * A store as cloud stores are: multi-part uploads by core's `uploadInParts`, few keys a delete, no native copy. Its parts lie in this process's memory.
 */
export function partBlobs(storage: PartStorage = { blobs: new Map(), uploads: new Set() }): BlobDriver {
  const within = memoryBlobs(storage.blobs)
  return {
    scheme: 'parts',
    can: CAN,
    native: () => storage,
    stat: (key, o) => within.stat(key, o),
    read: (key, o) => within.read(key, o),
    list: (prefix, o) => within.list(prefix, o),
    async delete(keys, o) {
      if (keys.length > CAN.deleteMax) throw new Error(`a delete of ${keys.length} keys`)
      await within.delete(keys, o)
    },
    write: (key, body, o) => uploadInParts(body, new Parts(key, storage, o), { ...o, ...CAN, parallel: 3 }),
  }
}

class Parts implements PartUpload<Session> {
  readonly #key: string
  readonly #storage: PartStorage
  readonly #o: WriteOptions

  constructor(key: string, storage: PartStorage, o: WriteOptions) {
    this.#key = key
    this.#storage = storage
    this.#o = o
  }

  async once(bytes: Uint8Array, o: Call & { readonly when?: Precondition }): Promise<BlobInfo> {
    return this.#store(new Blob([new Uint8Array(bytes)]), o)
  }

  async begin(): Promise<Session> {
    const session: Session = { parts: new Map() }
    this.#storage.uploads.add(session)
    return session
  }

  async part(session: Session, n: number, bytes: Uint8Array, o: Call): Promise<string> {
    await new Promise((resolve) => setImmediate(resolve))
    o.signal?.throwIfAborted()
    if (!this.#storage.uploads.has(session)) throw new Error('a part of no upload')
    session.parts.set(n, bytes.slice())
    return String(n)
  }

  async finish(
    session: Session,
    tags: readonly string[],
    o: Call & { readonly when?: Precondition },
  ): Promise<BlobInfo> {
    const parts = tags.map((tag) => new Uint8Array(session.parts.get(Number(tag)) as Uint8Array))
    const info = await this.#store(new Blob(parts), o)
    this.#storage.uploads.delete(session)
    return info
  }

  async abort(session: Session): Promise<void> {
    this.#storage.uploads.delete(session)
  }

  #store(whole: Blob, { signal, when }: Call & { readonly when?: Precondition }): Promise<BlobInfo> {
    const { contentType, meta } = this.#o
    return memoryBlobs(this.#storage.blobs).write(this.#key, whole.stream(), {
      ...(signal ? { signal } : {}),
      ...(when ? { when } : {}),
      ...(contentType === undefined ? {} : { contentType }),
      ...(meta === undefined ? {} : { meta }),
    })
  }
}

/** The storage of a driver that {@link partBlobs} made. */
export function storageOf(driver: BlobDriver): PartStorage {
  const storage = driver.native?.()
  if (storage === undefined) throw new Error('The driver is not one of parts.')
  return storage as PartStorage
}
