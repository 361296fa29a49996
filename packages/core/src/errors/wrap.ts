import { type ErrorPlace, HubError, isHubError } from './hub-error.ts'

/** Any rejection as a HubError with a place; a foreign error becomes UNKNOWN with the original as cause. */
export function asHubError(error: unknown, at: ErrorPlace): HubError {
  if (isHubError(error)) return error
  if (error instanceof Error && error.name === 'AbortError')
    return new HubError('ABORTED', 'The operation was aborted.', { at, cause: error })
  return new HubError(
    'UNKNOWN',
    `${at.op} on ${at.scheme} failed: ${error instanceof Error ? error.message : String(error)}`,
    { at, cause: error },
  )
}

/** The same body whose failures pass through `map`. Cancelling it cancels the source; nothing is read ahead. */
export function withMappedErrors(
  body: ReadableStream<Uint8Array>,
  map: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          controller.error(map(error))
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}
