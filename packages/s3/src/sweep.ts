import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
} from '@aws-sdk/client-s3'
import { type Call, isKey, throwIfAborted } from '@tensorhub/core'
import { type Bucket, PROBE } from './bucket.ts'
import { remove } from './delete.ts'
import { S3Failure } from './failure.ts'
import { objects } from './list.ts'
import { changing, type Reply } from './requests.ts'

interface Unfinished {
  readonly key: string
  readonly id: string
}

/**
 * Unfinished multi-part uploads of this driver's keys and probes, begun before a time: the store keeps, and bills, their parts until somebody aborts them. And probe
 * objects of processes that died, or might not delete them.
 */
export async function sweep(
  bucket: Bucket,
  o: Call & { readonly before: Date; readonly dryRun?: boolean },
): Promise<{ count: number; bytes: number }> {
  let count = 0
  let bytes = 0
  for await (const upload of unfinished(bucket, o)) {
    const size = await partsOf(bucket, upload, o)
    // Completed or aborted since it was listed.
    if (size === undefined || !(o.dryRun || (await abort(bucket, upload, o)))) continue
    count++
    bytes += size
  }
  for await (const { key, size: probe, modified } of objects(bucket, PROBE, 1000, o)) {
    if (modified >= o.before) continue
    if (!o.dryRun) await remove(bucket, [key], o)
    count++
    bytes += probe
  }
  return { count, bytes }
}

async function* unfinished(bucket: Bucket, o: Call & { readonly before: Date }): AsyncGenerator<Unfinished> {
  const { prefix } = bucket.settings
  let marker: Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> | undefined = {}
  while (marker !== undefined) {
    throwIfAborted(o.signal)
    const input: ListMultipartUploadsCommandInput = { Bucket: bucket.name, Prefix: prefix, ...marker }
    const reply: Reply<ListMultipartUploadsCommandOutput> = await bucket.requests.repeat(
      () => new ListMultipartUploadsCommand(input),
      o,
    )
    const { Uploads = [], IsTruncated, NextKeyMarker, NextUploadIdMarker } = reply.output
    for (const { Key = '', UploadId, Initiated } of Uploads)
      if (UploadId !== undefined && Initiated !== undefined && Initiated < o.before && isOwn(Key.slice(prefix.length)))
        yield { key: Key.slice(prefix.length), id: UploadId }
    if (IsTruncated && !NextKeyMarker) throw bucket.stranger('a cut list that does not say how it goes on')
    marker = IsTruncated ? { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker } : undefined
  }
}

const isOwn = (name: string) => isKey(name) || name.startsWith(PROBE)

async function partsOf(bucket: Bucket, { key, id }: Unfinished, o: Call): Promise<number | undefined> {
  let bytes = 0
  let after: string | undefined
  do {
    const input = { ...bucket.object(key), UploadId: id, ...(after === undefined ? {} : { PartNumberMarker: after }) }
    try {
      const { output } = await bucket.requests.repeat(() => new ListPartsCommand(input), o)
      for (const { Size = 0 } of output.Parts ?? []) bytes += Size
      after = output.IsTruncated ? output.NextPartNumberMarker : undefined
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    }
  } while (after !== undefined)
  return bytes
}

/** False when it was gone already. */
export async function abort(bucket: Bucket, { key, id }: Unfinished, o: Call): Promise<boolean> {
  try {
    const input = { ...bucket.object(key), UploadId: id }
    await bucket.requests.repeat(() => new AbortMultipartUploadCommand(input), changing(o))
    return true
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

export function isGone(error: unknown): boolean {
  return error instanceof S3Failure && error.code === 'NoSuchUpload'
}
