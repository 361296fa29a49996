import { createHash } from 'node:crypto'
import type { BlobInfo } from '@tensorhub/core'
import { type Collection, type Db, Long, ObjectId } from 'mongodb'

/**
 * The commit point of a key: while the row names a file, the blob is that file, whole; `stat` and `list` need nothing else. Rows whose `_id` begins with `#`
 * are fences: an upload that `sweep` took for dead, or whose commit got no answer, and that no commit may name any more (`file` is unique).
 */
export interface KeyRow {
  readonly _id: string
  readonly file: ObjectId
  readonly length: number
  readonly chunkSize: number
  readonly uploadDate: Date
  readonly metadata?: Readonly<Record<string, string>>
  /** The file that this one took the place of: shows a writer whose answer was lost that its own had been there. */
  readonly replaced?: ObjectId
}

export interface Fence {
  readonly _id: string
  readonly file: ObjectId
  readonly fenced: Date
}

/** Of the GridFS specification, https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md */
export interface FileDoc {
  readonly _id: ObjectId
  readonly length: Long | number
  readonly chunkSize: number
  readonly uploadDate: Date
  /** The key, with the store's prefix. */
  readonly filename: string
  readonly metadata: Readonly<Record<string, string | number>>
}

export interface ChunkDoc {
  readonly _id: ObjectId
  readonly files_id: ObjectId
  readonly n: number
  readonly data: Uint8Array
}

/** An upload that lasts: while `at` is renewed, `sweep` leaves it alone. */
export interface UploadRow {
  readonly _id: ObjectId
  readonly at: Date
}

export interface Collections {
  readonly keys: Collection<KeyRow | Fence>
  readonly files: Collection<FileDoc>
  readonly chunks: Collection<ChunkDoc>
  readonly uploads: Collection<UploadRow>
}

/** Bytes of one request with several chunks: below the 16 MiB at which servers cut their replies, and the driver its batches. */
export const REQUEST_BYTES = 8 * 1024 * 1024

/** The bucket's collections in a database of `Connection`, which is set for the index's documents; here numbers are numbers, and bytes are bytes. */
export function collectionsOf(db: Db, bucket: string): Collections {
  const options = { promoteBuffers: true, useBigInt64: false, ignoreUndefined: true } as const
  return {
    keys: db.collection<KeyRow | Fence>(`${bucket}.keys`, options),
    files: db.collection<FileDoc>(`${bucket}.files`, options),
    chunks: db.collection<ChunkDoc>(`${bucket}.chunks`, options),
    uploads: db.collection<UploadRow>(`${bucket}.uploads`, options),
  }
}

/** The indexes of the GridFS specification, and the one that makes fences hold. All at once; a repeated call changes nothing. */
export async function ensureIndexes({ keys, files, chunks }: Collections): Promise<void> {
  await Promise.all([
    chunks.createIndex({ files_id: 1, n: 1 }, { unique: true }),
    files.createIndex({ filename: 1, uploadDate: 1 }),
    keys.createIndex({ file: 1 }, { unique: true }),
  ])
}

/** Ids carry the store's time in seconds, so that no client's clock makes an upload look old. */
export function newFileId(now: Date): ObjectId {
  const bytes = Buffer.from(new ObjectId().id)
  bytes.writeUInt32BE(Math.floor(now.getTime() / 1000))
  return new ObjectId(bytes)
}

/**
 * The `_id` of a chunk: its file's time, and a hash of the file's id and n. It shows `sweep` which chunks in a shared bucket are ours, and a request that is
 * sent twice stores nothing twice.
 */
export function chunkId(file: ObjectId, n: number): ObjectId {
  const hash = createHash('sha256').update(file.id).update(`:${n}`).digest()
  return new ObjectId(Buffer.concat([file.id.subarray(0, 4), hash.subarray(0, 8)]))
}

/** In the metadata of our files; user metadata is in lower case. */
export const FORMAT = 'tensorhubFormat'
const CONTENT_TYPE = 'contentType'

export function fileDoc(row: KeyRow): FileDoc {
  return {
    _id: row.file,
    // The specification wants an Int64; the driver would make a double of numbers beyond 2^31.
    length: Long.fromNumber(row.length),
    chunkSize: row.chunkSize,
    uploadDate: row.uploadDate,
    filename: row._id,
    metadata: { ...row.metadata, [FORMAT]: 1 },
  }
}

export function metadataOf(o: {
  readonly contentType?: string
  readonly meta?: Readonly<Record<string, string>>
}): Pick<KeyRow, 'metadata'> {
  if (o.contentType === undefined && o.meta === undefined) return {}
  return { metadata: { ...o.meta, ...(o.contentType === undefined ? {} : { [CONTENT_TYPE]: o.contentType }) } }
}

export function infoOf(row: KeyRow, prefix: string): BlobInfo {
  const { [CONTENT_TYPE]: contentType, ...meta } = row.metadata ?? {}
  return {
    key: row._id.slice(prefix.length),
    size: row.length,
    modified: row.uploadDate,
    version: row.file.toHexString(),
    ...(contentType === undefined ? {} : { contentType }),
    ...(Object.keys(meta).length === 0 ? {} : { meta }),
  }
}

const FENCE = '#'

export function fenceOf(file: ObjectId, now: Date): Fence {
  return { _id: FENCE + file.toHexString(), file, fenced: now }
}

export function isFence(row: { readonly _id: string }): boolean {
  return row._id.startsWith(FENCE)
}

/** All fences by `_id`, and nothing else: no key begins with `#`. */
export const FENCES = { $gte: FENCE, $lt: String.fromCharCode(FENCE.charCodeAt(0) + 1) }

/** The smallest character of a key; fences lie before it. */
export const FIRST_KEY = '+'
