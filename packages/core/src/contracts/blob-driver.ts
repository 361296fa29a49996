import type { Call, Driver } from './driver.ts'

export interface BlobInfo {
  readonly key: string
  /** Bytes. */
  readonly size: number
  readonly modified: Date
  /** Opaque: ETag, GCS generation, GridFS id, file token. */
  readonly version: string
  readonly contentType?: string
  readonly meta?: Readonly<Record<string, string>>
}

/** `length` absent = to the end. An offset at or beyond the size: RANGE (except offset 0 of an empty blob). */
export interface ByteRange {
  readonly offset: number
  readonly length?: number
}

/** Holds at the commit of the write, on every path, multi-part included. Fails with EXISTS (`ifAbsent`) or CONFLICT (`ifVersion`). */
export type Precondition = { readonly ifAbsent: true } | { readonly ifVersion: string }

/** What the store can do, and its limits in bytes or counts. */
export interface BlobCan {
  readonly ifAbsent: boolean
  readonly ifVersion: boolean
  /** Whether content type and user metadata are kept. */
  readonly meta: boolean
  readonly copy: boolean
  readonly sign: boolean
  readonly partMin: number
  readonly partMax: number
  readonly partsMax: number
  readonly sizeMax: number
  /** Keys one `delete` request may carry. */
  readonly deleteMax: number
}

export interface WriteOptions extends Call {
  readonly size?: number
  readonly contentType?: string
  readonly meta?: Readonly<Record<string, string>>
  readonly when?: Precondition
  /** The sha256 of the whole body in hex, where the caller knows it already: a driver may hand it to the store. */
  readonly sha256?: string
}

export interface SignOptions {
  readonly method: 'GET' | 'PUT'
  /** Seconds. */
  readonly expiresIn: number
  /** With PUT: the sha256 of the body in hex. The store then refuses any other body, one that was cut off included. */
  readonly sha256?: string
}

/** A URL that gives access to one blob for a while. */
export interface SignedUrl extends URL {
  /** Headers that the request must carry besides; absent: none. They are part of what was signed. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The blob layer's narrow driver. Keys are checked by core first (`checkKey`): relative, `/`-separated, no empty, `.` or `..` segment. */
export interface BlobDriver extends Driver<BlobCan> {
  /** NOT_FOUND when absent. */
  stat(key: string, o: Call): Promise<BlobInfo>
  /** NOT_FOUND before the first byte; CONFLICT when `ifVersion` no longer holds. Cancelling the body frees its file or socket. */
  read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }>
  /** All-or-nothing: the blob becomes visible whole, or not at all. A body that ends short of or beyond `size`: INVALID. */
  write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo>
  /**
   * The same for bytes already in memory; absent: core wraps them in a stream. The driver must not keep or change the array.
   */
  writeBytes?(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo>
  /** The same for a range read whole into memory: fills `into` and gives the blob's info. Absent: core reads the stream. */
  readInto?(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo>
  /** A missing key is success. */
  delete(keys: readonly string[], o: Call): Promise<void>
  /** Blobs whose key starts with `prefix`, in key order (UTF-8 bytes), over all pages; `after` is exclusive. */
  list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncIterable<BlobInfo>
  /** Present iff `can.copy`. */
  copy?(from: string, to: string, o: Call & { when?: Precondition }): Promise<BlobInfo>
  /** Present iff `can.sign`. */
  sign?(key: string, o: Call & SignOptions): Promise<SignedUrl>
  /**
   * Leftovers of interrupted writes (temporary files, unfinished uploads, chunks without a file document) older than `before`:
   * frees them and gives their number and bytes; with `dryRun` only counts. Absent: the store leaves none.
   */
  sweep?(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }>
}
