import { type Call, throwIfAborted } from '@tensorhub/core'
import { ObjectId } from 'mongodb'
import { type Collections, chunkId, FENCES, FORMAT, isFence } from './collections.ts'
import type { Uploader } from './uploader.ts'

/** Candidates that are looked at together. */
const BATCH = 500

/** Fences are kept so long after the upload that they stopped: longer than any process that still wants to commit it can have slept. */
const FENCE_MS = 30 * 24 * 60 * 60 * 1000

/**
 * Frees files of ours that no key names: chunks without a file's document, and file's documents without a row. Left alone are what began at `before` or later,
 * lasting uploads (their `<bucket>.uploads` row), and everything that another client of GridFS wrote into the bucket. Each is fenced first: an upload
 * that was taken for dead, and lives, fails at its commit instead of naming chunks that are gone.
 *
 * @returns how many files, and their bytes.
 */
export async function sweep(
  collections: Collections,
  uploader: Uploader,
  o: Call & { readonly before: Date; readonly dryRun?: boolean },
): Promise<{ count: number; bytes: number }> {
  const { keys, files, chunks, uploads } = collections
  const { before, dryRun = false } = o
  const total = { count: 0, bytes: 0 }
  /** What a dry run counted by its chunks is not counted again by its document. */
  const counted = new Set<string>()

  const judge = async (candidates: readonly Candidate[]) => {
    throwIfAborted(o.signal)
    const ids = candidates.map(({ file }) => file)
    const named = keys.find({ file: { $in: ids } }, { projection: { file: 1 } }).toArray()
    const alive = uploads.find({ _id: { $in: ids }, at: { $gte: before } }, { projection: { _id: 1 } }).toArray()
    const spared = new Set([
      // A fence names its file too; what it fenced may not have been freed yet.
      ...(await named).filter((row) => !isFence(row)).map(({ file }) => file.toHexString()),
      ...(await alive).map(({ _id }) => _id.toHexString()),
    ])
    for (const candidate of candidates) {
      const { file } = candidate
      if (spared.has(file.toHexString())) continue
      throwIfAborted(o.signal)
      const bytes = await bytesOf(candidate)
      if (bytes === undefined) continue
      if (!dryRun) {
        if (!(await uploader.again(() => uploader.fence(file)))) continue
        await uploader.free([file])
      }
      counted.add(file.toHexString())
      total.count++
      total.bytes += bytes
    }
  }

  /** What the file's chunks hold together; undefined when they are not ours. All but the last are of one size. */
  const bytesOf = async ({ file, chunks: count, first, last }: Candidate): Promise<number | undefined> => {
    if (count === 0) return 0
    const ends = await chunks.find({ files_id: file, n: { $in: [first, last] } }, { batchSize: 1 }).toArray()
    if (!ends.every((chunk) => chunkId(file, chunk.n).equals(chunk._id))) return undefined
    const sizeOf = (n: number) => ends.find((chunk) => chunk.n === n)?.data.byteLength ?? 0
    return count === 1 ? sizeOf(first) : (count - 1) * sizeOf(first) + sizeOf(last)
  }

  let batch: Candidate[] = []
  const take = async (candidate: Candidate) => {
    batch.push(candidate)
    if (batch.length < BATCH) return
    await judge(batch)
    batch = []
  }

  const seconds = Math.min(Math.max(0, Math.floor(before.getTime() / 1000)), 0xffffffff)
  const bound = new ObjectId(seconds.toString(16).padStart(8, '0') + '0'.repeat(16))
  const groups = chunks.aggregate<{ _id: ObjectId; chunks: number; first: number; last: number }>(
    [
      { $match: { files_id: { $lt: bound } } },
      { $group: { _id: '$files_id', chunks: { $sum: 1 }, first: { $min: '$n' }, last: { $max: '$n' } } },
    ],
    { allowDiskUse: true, batchSize: BATCH },
  )
  for await (const { _id: file, ...rest } of groups) {
    if (!(file instanceof ObjectId)) continue
    await take({ file, ...rest })
  }
  await judge(batch)
  batch = []
  // Empty files have no chunks; nor has one that was being freed when its process died.
  const documents = files.find(
    { uploadDate: { $lt: before }, [`metadata.${FORMAT}`]: { $exists: true } },
    { projection: { _id: 1 }, batchSize: BATCH },
  )
  for await (const { _id: file } of documents)
    if (!counted.has(file.toHexString())) await take({ file, chunks: 0, first: 0, last: 0 })
  await judge(batch)
  if (!dryRun) {
    await keys.deleteMany({ _id: FENCES, fenced: { $lt: new Date(before.getTime() - FENCE_MS) } })
    await uploads.deleteMany({ at: { $lt: before } })
  }
  return total
}

interface Candidate {
  readonly file: ObjectId
  readonly chunks: number
  /** The lowest and the highest number of its chunks. */
  readonly first: number
  readonly last: number
}
