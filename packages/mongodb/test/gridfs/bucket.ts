import { type BlobStore, openBlobs } from '@tensorhub/core'
import type { MongoServer } from '@tensorhub/servers'
import { MongoClient } from 'mongodb'
import { Connection } from '../../src/connection.ts'
import { GridFsBlobs, gridfs } from '../../src/gridfs/driver.ts'
import { bucketOf, type GridFsOptions } from '../../src/gridfs/options.ts'

export const KIB = 1024
export const MIB = 1024 * KIB

/** Bytes that differ everywhere and from seed to seed. */
export function noise(size: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4))
  let x = (seed * 2654435761) | 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer, 0, size)
}

export function streamOf(bytes: Uint8Array, piece = 100_000): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.byteLength) return controller.close()
      controller.enqueue(bytes.subarray(at, at + piece))
      at += piece
    },
  })
}

let databases = 0

/** A database of its own, looked at from the side as any client of MongoDB sees it. */
export class Side implements AsyncDisposable {
  readonly url: string
  readonly client: MongoClient
  readonly #stores: BlobStore[] = []

  readonly through: (url: string) => string

  /** @param through Gives another URL for the store than the one for looking. */
  constructor(server: MongoServer, through: (url: string) => string = (url) => url) {
    this.through = through
    this.url = server.urlOf(`side${++databases}`)
    this.client = new MongoClient(this.url, { promoteBuffers: true })
  }

  /** A store on the database; chunks of 64 KiB unless said otherwise. */
  store(o: GridFsOptions = {}): BlobStore {
    return this.#keep(openBlobs(gridfs({ url: this.through(this.url), chunkSizeBytes: 64 * KIB, ...o })))
  }

  /** One whose lasting uploads say that they live as often as this, in ms. */
  lively(aliveMs: number): BlobStore {
    const connection = new Connection('gridfs', { url: this.through(this.url) })
    return this.#keep(openBlobs(new GridFsBlobs(connection, bucketOf({ chunkSizeBytes: 64 * KIB }), aliveMs)))
  }

  collection(name: 'keys' | 'files' | 'chunks' | 'uploads', bucket = 'tensorhub') {
    // biome-ignore lint/suspicious/noExplicitAny: documents of any shape are planted and looked at
    return this.client.db().collection<any>(`${bucket}.${name}`)
  }

  /** Documents in keys, files and chunks. */
  async counts(bucket = 'tensorhub'): Promise<readonly [keys: number, files: number, chunks: number]> {
    const count = (name: 'keys' | 'files' | 'chunks') => this.collection(name, bucket).countDocuments({})
    return [await count('keys'), await count('files'), await count('chunks')]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores) await store.close()
    await this.client.db().dropDatabase()
    await this.client.close()
  }

  #keep(store: BlobStore): BlobStore {
    this.#stores.push(store)
    return store
  }
}

/** Later than everything that is there. */
export const soon = () => new Date(Date.now() + 3_600_000)

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}
