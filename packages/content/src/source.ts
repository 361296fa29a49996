/** Whether a value is an opaque file: bytes that come as a stream. */
export function isFileSource(value: unknown): value is ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Blob {
  if (typeof value !== 'object' || value === null) return false
  if (value instanceof Blob || value instanceof ReadableStream) return true
  return typeof (value as AsyncIterable<Uint8Array>)[Symbol.asyncIterator] === 'function'
}
