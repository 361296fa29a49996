import type { BlobInfo, ByteRange } from '../contracts/blob-driver.ts'
import { type ErrorPlace, HubError, isHubError } from '../errors/hub-error.ts'

export interface ReadRangesOptions {
  /** Where in the blob the caller's memory begins, in bytes. */
  readonly offset: number
  /** Bytes of one range. */
  readonly partSize: number
  /** Ranges in flight at once. */
  readonly parallel: number
  /** The version that every range must be of; absent: all must be of one. */
  readonly ifVersion?: string
  /** One range; its body is exactly as long as asked, or ends with the blob. @throws CONFLICT when `ifVersion` no longer holds. */
  read(
    range: Required<ByteRange>,
    o: { readonly ifVersion?: string; readonly signal: AbortSignal },
  ): Promise<{ readonly info: BlobInfo; readonly body: ReadableStream<Uint8Array> }>
  readonly signal?: AbortSignal
  readonly at?: ErrorPlace
}

/**
 * Fills the caller's memory by parallel ranges of one version. All ranges are asked for at once (one round trip); should the blob have been replaced between
 * them, which their versions show, all of it is read once more, pinned to the newest version seen.
 *
 * @throws RANGE when the blob ends before the memory is full, CONFLICT when it is replaced again and again.
 */
export async function readRanges(into: Uint8Array, o: ReadRangesOptions): Promise<BlobInfo> {
  if (!(o.partSize > 0 && o.parallel > 0)) throw new HubError('INVALID', 'partSize and parallel must be at least 1.')
  let pinned = o.ifVersion
  for (let attempt = 1; ; attempt++) {
    try {
      const infos = await all(into, pinned, o)
      const newest = infos.at(-1) as BlobInfo
      if (infos.every(({ version }) => version === newest.version)) return newest
      pinned = newest.version
    } catch (error) {
      // A version that the caller asked for is gone for good; one that was only pinned here is tried anew.
      if (o.ifVersion !== undefined || !isHubError(error, 'CONFLICT') || attempt >= ATTEMPTS) throw error
      pinned = undefined
    }
    if (attempt >= ATTEMPTS)
      throw new HubError('CONFLICT', 'The blob was replaced again and again while it was read.', {
        retryable: true,
        ...(o.at && { at: o.at }),
      })
  }
}

const ATTEMPTS = 4

/** Infos in the order in which the ranges were answered. */
async function all(into: Uint8Array, ifVersion: string | undefined, o: ReadRangesOptions): Promise<BlobInfo[]> {
  const ranges: Required<ByteRange>[] = []
  for (let at = 0; at < into.byteLength || ranges.length === 0; at += o.partSize)
    ranges.push({ offset: at, length: Math.min(o.partSize, into.byteLength - at) })
  const stop = new AbortController()
  const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal
  const infos: BlobInfo[] = []
  let next = 0
  const worker = async () => {
    for (let range = ranges[next++]; range !== undefined; range = ranges[next++]) {
      const place = into.subarray(range.offset, range.offset + range.length)
      const { info, body } = await o.read(
        { offset: o.offset + range.offset, length: range.length },
        { signal, ...(ifVersion === undefined ? {} : { ifVersion }) },
      )
      await fill(place, body, info, o)
      infos.push(info)
    }
  }
  let first: { readonly error: unknown } | undefined
  await Promise.all(
    Array.from({ length: Math.min(o.parallel, ranges.length) }, () =>
      worker().catch((error: unknown) => {
        // The others fail because of the first; theirs tell nothing.
        first ??= { error }
        stop.abort(error)
      }),
    ),
  )
  if (first !== undefined) throw first.error
  return infos
}

async function fill(
  place: Uint8Array,
  body: ReadableStream<Uint8Array>,
  info: BlobInfo,
  o: ReadRangesOptions,
): Promise<void> {
  const reader = body.getReader()
  let filled = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    if (filled + value.byteLength > place.byteLength) {
      await reader.cancel()
      throw new HubError(
        'INTEGRITY',
        `The store gave more than the ${place.byteLength} bytes asked for.`,
        o.at && { at: o.at },
      )
    }
    place.set(value, filled)
    filled += value.byteLength
  }
  if (filled < place.byteLength)
    throw new HubError(
      'RANGE',
      `The blob has ${info.size} bytes; it ends before the range that was asked for.`,
      o.at && { at: o.at },
    )
}
