import { AnonymousCredential } from '@azure/storage-blob'
import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  HubError,
  isHubError,
  type Precondition,
  readRanges,
  type SignedUrl,
  type SignOptions,
  uploadInParts,
  type WriteOptions,
} from '@tensorhub/core'
import { type Connection, connect, type Target, targetOf } from './connect.ts'
import { copyBlob } from './copies.ts'
import { notTheStore } from './errors.ts'
import { listBlobs } from './listing.ts'
import { type AzureOptions, BLOCK_MAX, BLOCKS_MAX, type Transfer, transferOf } from './options.ts'
import { probed } from './probe.ts'
import { readBlob, statBlob } from './reads.ts'
import { Requests } from './requests.ts'
import { signedUrl } from './sign.ts'
import { blobOf, placeOf, type Store } from './store.ts'
import { Write } from './writes.ts'

const MIB = 1024 * 1024

/** Requests under way at once in one driver. Bodies that are being read are counted no more: those that a caller holds must not stop everything else. */
const SOCKETS = 64

/** Bytes of one range of a read into memory; the SDK's own size. */
const RANGE = 4 * MIB

/** What the blocks in flight of one streamed upload hold at most, unless one block is larger. */
const IN_FLIGHT = 40 * MIB

/** Blobs in a container of Azure Blob Storage, as block blobs. */
export function azure(options: AzureOptions): BlobDriver {
  return new AzureBlobs(options)
}

class AzureBlobs implements BlobDriver {
  readonly scheme = 'azure'
  readonly can: Readonly<BlobCan>
  readonly sign?: NonNullable<BlobDriver['sign']>
  readonly #transfer: Transfer
  readonly #target: Target
  #connection: Connection | undefined
  #opened: Store | undefined

  constructor(options: AzureOptions) {
    this.#transfer = transferOf(options)
    this.#target = targetOf(options)
    const { proof } = this.#target
    // A SAS token cannot sign for others.
    const signs =
      proof.kind === 'client' ? !(proof.client.credential instanceof AnonymousCredential) : proof.kind !== 'sas'
    if (signs) this.sign = (key, o) => this.#sign(key, o)
    this.can = {
      ifAbsent: true,
      ifVersion: true,
      meta: true,
      copy: true,
      sign: signs,
      partMin: this.#transfer.partSize,
      partMax: BLOCK_MAX,
      partsMax: BLOCKS_MAX,
      sizeMax: BLOCKS_MAX * BLOCK_MAX,
      deleteMax: 1000,
    }
  }

  native(): unknown {
    return this.#connection?.container
  }

  async open(o: Call): Promise<Readonly<BlobCan>> {
    const { timeout, probe } = this.#transfer
    const { where, proof } = this.#target
    this.#connection ??= await connect(this.#target, timeout)
    const { container, service } = this.#connection
    const requests = new Requests(timeout, where, Math.max(SOCKETS, this.#transfer.parallel))
    const repeatsItself = proof.kind === 'client'
    const store = { container, service, requests, transfer: this.#transfer, where, repeatsItself }
    this.#opened = store
    return probe ? probed(store, this.can, o) : this.can
  }

  async close(): Promise<void> {
    if (this.#opened) this.#opened.requests.closed = true
    this.#connection?.close()
  }

  stat(key: string, o: Call): Promise<BlobInfo> {
    return statBlob(this.#store, key, o, placeOf('stat', key))
  }

  read(key: string, o: Call & { range?: ByteRange; ifVersion?: string }) {
    return readBlob(this.#store, key, o)
  }

  readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    const store = this.#store
    const { partSize, parallel } = this.#transfer
    const read = (range: Required<ByteRange>, more: { ifVersion?: string; signal: AbortSignal }) =>
      readBlob(store, key, { range, ...more })
    return readRanges(into, { ...o, partSize: Math.min(RANGE, partSize), parallel, read, at: placeOf('read', key) })
  }

  write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    const { partSize, parallel } = this.#transfer
    const { size, when, signal } = o
    const write = new Write(this.#store, key, placeOf('write', key), o)
    return uploadInParts(body, write, {
      ...this.can,
      // What fits in one request goes in one, wherever it comes from.
      partSize: Math.max(partSize, size !== undefined && size <= this.#single ? size : 0),
      parallel,
      memory: IN_FLIGHT,
      ...(size === undefined ? {} : { size }),
      ...(when && { when }),
      ...(signal && { signal }),
    })
  }

  writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    if (bytes.byteLength <= this.#single) return new Write(this.#store, key, placeOf('write', key), o).once(bytes, o)
    return this.write(key, ReadableStream.from([bytes]), { ...o, size: bytes.byteLength })
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    const store = this.#store
    let next = 0
    const worker = async () => {
      for (let key = keys[next++]; key !== undefined; key = keys[next++]) await deleteBlob(store, key, o)
    }
    const workers = Array.from({ length: Math.min(this.#transfer.parallel, keys.length) }, worker)
    // None is left behind at work when one fails.
    const failed = (await Promise.allSettled(workers)).find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncIterable<BlobInfo> {
    return listBlobs(this.#store, prefix, o)
  }

  copy(from: string, to: string, o: Call & { when?: Precondition }): Promise<BlobInfo> {
    return copyBlob(this.#store, from, to, o)
  }

  async #sign(key: string, o: Call & SignOptions): Promise<SignedUrl> {
    const at = placeOf('sign', key)
    // A signature covers the blob, the right and the time, never the body. https://learn.microsoft.com/rest/api/storageservices/create-service-sas
    if (o.sha256 !== undefined)
      throw new HubError(
        'UNSUPPORTED',
        'Azure cannot bind a signed upload to the hash of its body; leave sha256 out.',
        {
          at,
          path: 'sha256',
          reason: 'CAPABILITY',
        },
      )
    const url = await signedUrl(this.#store, key, o.method === 'GET' ? 'r' : 'cw', o.expiresIn, at, o)
    // Put Blob is refused without it. https://learn.microsoft.com/rest/api/storageservices/put-blob#request-headers-all-blob-types
    return o.method === 'GET' ? url : Object.assign(url, { headers: { 'x-ms-blob-type': 'BlockBlob' } })
  }

  /** What goes as one request. */
  get #single(): number {
    return Math.min(2 * this.#transfer.partSize, BLOCK_MAX)
  }

  get #store(): Store {
    if (this.#opened === undefined)
      throw new HubError('INVALID', 'The driver is not open; use it through openBlobs().', {
        at: { scheme: 'azure', op: 'open' },
      })
    return this.#opened
  }
}

/** Its snapshots go with it: a blob that has any could not be deleted otherwise. */
async function deleteBlob(store: Store, key: string, o: Call): Promise<void> {
  const at = placeOf('delete', key)
  try {
    const { requestId } = await store.requests.repeated(at, { ...o, changes: true }, (abortSignal) =>
      blobOf(store, key).delete({ deleteSnapshots: 'include', abortSignal }),
    )
    if (requestId === undefined) throw notTheStore(at, store.where)
  } catch (error) {
    if (!isHubError(error, 'NOT_FOUND') || error.reason !== undefined) throw error
  }
}
