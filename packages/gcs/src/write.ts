import { type BlobInfo, type PartUpload, throwIfAborted, uploadInParts, type WriteOptions } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { CAN } from './can.ts'
import { composite } from './composite.ts'
import { resumable } from './session.ts'
import { uploadOnce } from './upload-once.ts'
import type { Ways } from './ways.ts'
import type { Writing } from './writing.ts'

/** Bodies in memory go in one request up to so many parts. */
const PARTS_AT_ONCE = 8

/** A body of any size: in one request up to a part, else by the way that the bucket permits. */
export async function write(
  bucket: Bucket,
  ways: Ways,
  key: string,
  body: ReadableStream<Uint8Array>,
  o: WriteOptions,
): Promise<BlobInfo> {
  throwIfAborted(o.signal)
  const { size, signal, when } = o
  const { parallel, partSize } = bucket.settings
  return uploadInParts(body, upload(bucket, ways, bucket.writing(key, o), o), {
    ...CAN,
    parallel,
    partSize,
    ...(size === undefined ? {} : { size }),
    ...(signal ? { signal } : {}),
    ...(when ? { when } : {}),
  })
}

export async function writeBytes(
  bucket: Bucket,
  ways: Ways,
  key: string,
  bytes: Uint8Array,
  o: Omit<WriteOptions, 'size'>,
): Promise<BlobInfo> {
  throwIfAborted(o.signal)
  if (bytes.byteLength <= PARTS_AT_ONCE * bucket.settings.partSize)
    return uploadOnce(bucket.service, bucket.writing(key, o), bytes, o)
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  })
  return write(bucket, ways, key, stream, { ...o, size: bytes.byteLength })
}

type Up = PartUpload<unknown>

/** An upload that was begun, whichever way it goes. */
interface Begun {
  readonly parallel: number
  part(...of: Tail<Up['part']>): ReturnType<Up['part']>
  finish(...of: Tail<Up['finish']>): ReturnType<Up['finish']>
  abort(...of: Tail<Up['abort']>): ReturnType<Up['abort']>
}
type Tail<F extends (session: never, ...of: never) => unknown> = F extends (session: never, ...of: infer R) => unknown
  ? R
  : never

/** The way is chosen when more than one part has come: not before it matters. */
function upload(bucket: Bucket, ways: Ways, writing: Writing, o: WriteOptions): PartUpload<Begun> {
  const { parallel } = bucket.settings
  return {
    once: (bytes) => uploadOnce(bucket.service, writing, bytes, o),
    begin: async (call) =>
      (await ways.composite(o.when !== undefined, call))
        ? begun(composite(bucket, ways, writing, o), call, parallel)
        : begun(resumable(bucket.service, writing, o), call, 1),
    parallel: (by) => by.parallel,
    part: (by, ...of) => by.part(...of),
    finish: (by, ...of) => by.finish(...of),
    abort: (by, ...of) => by.abort(...of),
  }
}

async function begun<S>(way: PartUpload<S>, call: Parameters<Up['begin']>[0], parallel: number): Promise<Begun> {
  const session = await way.begin(call)
  return {
    parallel,
    part: (...of) => way.part(session, ...of),
    finish: (...of) => way.finish(session, ...of),
    abort: (...of) => way.abort(session, ...of),
  }
}
