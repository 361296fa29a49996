import { randomUUID } from 'node:crypto'
import { CompleteMultipartUploadCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import type { BlobCan, Call } from '@tensorhub/core'
import { type Bucket, PROBE } from './bucket.ts'
import { conditionOf } from './commit.ts'
import { remove } from './delete.ts'
import { S3Failure } from './failure.ts'
import { abort } from './sweep.ts'
import { begin, crc32Of } from './write.ts'

/**
 * Whether PutObject honours conditions: a server that ignores them answers as if they had held. Four small requests; where nothing may be written they are
 * not tried, and the claim stands, since no write will come to rely on it.
 */
export async function probe(bucket: Bucket, o: Call): Promise<Pick<BlobCan, 'ifAbsent' | 'ifVersion'>> {
  const key = `${PROBE}${randomUUID()}`
  const put = (size: number, condition: object) => () =>
    new PutObjectCommand({ ...bucket.object(key), ...content(bucket, size), ...condition })
  try {
    await bucket.requests.repeat(put(1, {}), o)
  } catch (error) {
    if (isDenied(error)) return { ifAbsent: true, ifVersion: true }
    throw error
  }
  try {
    const [ifAbsent, ifVersion] = await Promise.all([
      refuses(() => bucket.requests.repeat(put(2, conditionOf({ ifAbsent: true })), o)),
      // The MD5 of nothing: never the version of what has bytes.
      refuses(() => bucket.requests.repeat(put(3, conditionOf({ ifVersion: 'd41d8cd98f00b204e9800998ecf8427e' })), o)),
    ])
    return { ifAbsent, ifVersion }
  } finally {
    await clear(bucket, key, o)
  }
}

/** The same for CompleteMultipartUpload, which some servers that honour PutObject's conditions leave out. Six small requests. */
export async function partsHonourConditions(bucket: Bucket): Promise<boolean> {
  const key = `${PROBE}${randomUUID()}`
  const object = bucket.object(key)
  await bucket.requests.repeat(() => new PutObjectCommand({ ...object, ...content(bucket, 1) }), {})
  try {
    const { id } = await begin(bucket, key, {}, { checksums: bucket.settings.checksums })
    try {
      const { Body, ...checksum } = content(bucket, 2)
      const part = { ...object, UploadId: id, PartNumber: 1, Body, ...checksum }
      const { output } = await bucket.requests.repeat(() => new UploadPartCommand(part), {})
      const Parts = [{ ETag: output.ETag, PartNumber: 1, ...checksum }]
      const all = { ...object, UploadId: id, MultipartUpload: { Parts }, IfNoneMatch: '*' }
      return await refuses(() => bucket.requests.repeat(() => new CompleteMultipartUploadCommand(all), {}))
    } finally {
      await abort(bucket, { key, id }, {})
    }
  } finally {
    await clear(bucket, key, {})
  }
}

/** Who may write and not delete leaves the probe behind. */
async function clear(bucket: Bucket, key: string, o: Call): Promise<void> {
  try {
    await remove(bucket, [key], o)
  } catch (error) {
    if (!isDenied(error)) throw error
  }
}

const isDenied = (error: unknown) => error instanceof S3Failure && error.code === 'AccessDenied'

/** With its checksum where they are on: buckets with a default retention take no object without. */
function content({ settings }: Bucket, size: number): { readonly Body: Uint8Array; readonly ChecksumCRC32?: string } {
  const Body = new Uint8Array(size)
  return settings.checksums ? { Body, ChecksumCRC32: crc32Of(Body) } : { Body }
}

/** Whether a condition that does not hold was refused. One that is not implemented is not honoured either. */
async function refuses(request: () => Promise<unknown>): Promise<boolean> {
  try {
    await request()
    return false
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error
    if (error.isPrecondition) return true
    if (error.status === 501 || error.code === 'NotImplemented' || error.code === 'InvalidArgument') return false
    throw error
  }
}
