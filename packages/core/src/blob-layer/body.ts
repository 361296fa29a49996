import { HubError } from '../errors/hub-error.ts'
import { tooLarge } from './part-sizes.ts'

/** What `write` takes. */
export type BlobBody = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Uint8Array | ArrayBuffer | Blob | string

/** The body as bytes, when it is in memory already. */
export function bytesOfBody(body: BlobBody): Uint8Array | undefined {
  if (typeof body === 'string') return new TextEncoder().encode(body)
  if (body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  return undefined
}

/** The body as a stream of byte arrays; anything else inside it errors the stream. */
export function streamOfBody(body: BlobBody): ReadableStream<Uint8Array> {
  const bytes = bytesOfBody(body)
  if (bytes !== undefined) return streamOfBytes(bytes)
  if (body instanceof Blob) return body.stream() as ReadableStream<Uint8Array>
  if (body instanceof ReadableStream) return body
  if (typeof (body as AsyncIterable<Uint8Array> | null | undefined)?.[Symbol.asyncIterator] === 'function')
    return ReadableStream.from(body as AsyncIterable<Uint8Array>)
  throw new HubError(
    'INVALID',
    'A blob is written from a stream, an async iterable of bytes, bytes, a Blob or a string.',
    { at: { scheme: 'core', op: 'write' }, path: 'body' },
  )
}

function streamOfBytes(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.byteLength > 0) controller.enqueue(bytes)
      controller.close()
    },
  })
}

/**
 * Passes a stream through, erring when it ends short of or runs beyond `size`, when it runs beyond `most` (the largest blob of the store), or when it holds
 * something that is no bytes.
 */
export function exactSize(
  body: ReadableStream<Uint8Array>,
  size: number | undefined,
  signal?: AbortSignal,
  most = Number.POSITIVE_INFINITY,
): ReadableStream<Uint8Array> {
  let seen = 0
  const wrong = (what: string) =>
    new HubError('INVALID', `The body ${what}; the size given was ${size}.`, {
      at: { scheme: 'core', op: 'write' },
      path: 'size',
    })
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        if (!(piece instanceof Uint8Array)) {
          throw new HubError('INVALID', 'The body holds something other than Uint8Array.', {
            at: { scheme: 'core', op: 'write' },
            path: 'body',
          })
        }
        seen += piece.byteLength
        if (size !== undefined && seen > size) throw wrong('runs beyond its size')
        if (seen > most) throw tooLarge(most)
        if (piece.byteLength > 0) controller.enqueue(piece)
      },
      flush() {
        if (size !== undefined && seen < size) throw wrong(`ended after ${seen} bytes`)
      },
    }),
    // Without it a driver that waits for a silent source would wait, and keep its temporary file, for ever.
    signal ? { signal } : {},
  )
}
