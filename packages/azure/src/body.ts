import type { Readable } from 'node:stream'

/** A Node stream as a web stream that reads nothing ahead; cancelling it closes the connection, and every failure passes through `map`. */
export function webBody(stream: Readable, map: (error: unknown) => unknown): ReadableStream<Uint8Array> {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  // It may break while nobody reads; the next read tells.
  stream.on('error', () => undefined)
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          throw map(error)
        }
      },
      cancel() {
        stream.destroy()
      },
    },
    { highWaterMark: 0 },
  )
}
