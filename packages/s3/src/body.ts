import type { Readable } from 'node:stream'

/**
 * A reply's body as a web stream. Nothing is read ahead of its reader beyond the socket's buffer, and cancelling it closes the connection.
 *
 * @param end Called once, when the connection is done with.
 */
export function byteStream(body: Readable, end: () => void): ReadableStream<Uint8Array> {
  body.once('close', end)
  const pieces = body.iterator({ destroyOnReturn: true }) as AsyncIterator<Buffer>
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next()
        if (done) {
          end()
          return controller.close()
        }
        controller.enqueue(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
      },
      cancel() {
        // What is still on its way must not surface as an error that nobody waits for.
        body.on('error', () => undefined).destroy()
        end()
      },
    },
    { highWaterMark: 0 },
  )
}
