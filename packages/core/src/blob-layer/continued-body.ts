import { type ErrorPlace, HubError, throwIfAborted } from '../errors/hub-error.ts'
import { pause } from '../lifecycle/retrying.ts'

export interface ContinuedBodyOptions {
  /** Bytes the whole body must have. */
  readonly length: number
  /**
   * The body from its byte `offset` on, of the *same version*: a blob that was replaced meanwhile is a CONFLICT, never the rest of another one.
   */
  again(offset: number): Promise<ReadableStream<Uint8Array>>
  /** Whether a failure may pass; a body that merely ends too early always counts as one that may. */
  isTransient(error: unknown): boolean
  /** Failures in a row without one byte between them, after which the last is thrown. Default 5. */
  readonly attempts?: number
  /** Longest first wait in ms; doubled by each further failure without progress. Default 100. */
  readonly baseMs?: number
  readonly signal?: AbortSignal
  readonly at?: ErrorPlace
}

/**
 * A body that survives broken connections: where `first` breaks off, it continues with a range from there. Nothing is read ahead, and cancelling it cancels the
 * connection in use. A body that grows beyond `length` is INTEGRITY.
 */
export function continuedBody(first: ReadableStream<Uint8Array>, o: ContinuedBodyOptions): ReadableStream<Uint8Array> {
  const { length, attempts = 5, baseMs = 100, signal, at } = o
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined = first.getReader()
  let given = 0
  let failures = 0
  /** Cancels waits and requests of a consumer that has gone. */
  const gone = new AbortController()
  const either = signal ? AbortSignal.any([signal, gone.signal]) : gone.signal

  const next = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      try {
        if (reader === undefined) {
          if (failures > 1) await pause(Math.random() * baseMs * 2 ** (failures - 2), either, at)
          const more = (await o.again(given)).getReader()
          if (gone.signal.aborted) await more.cancel(gone.signal.reason)
          reader = more
        }
        const { done, value } = await reader.read()
        if (!done) {
          if (value.byteLength === 0) continue
          failures = 0
          return value
        }
        if (given === length) return undefined
        throw new EndedEarly(given, length, at)
      } catch (error) {
        reader = undefined
        throwIfAborted(signal, at)
        failures++
        if (gone.signal.aborted || failures >= attempts) throw error
        // What core or the driver has judged already says for itself whether it may pass.
        if (!(error instanceof EndedEarly) && !o.isTransient(error)) throw error
      }
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = given === length && reader === undefined ? undefined : await next()
        if (bytes === undefined) return controller.close()
        given += bytes.byteLength
        if (given > length) {
          await reader?.cancel()
          throw new HubError(
            'INTEGRITY',
            `The store gave more than the ${length} bytes that the body has.`,
            at && { at },
          )
        }
        controller.enqueue(bytes)
      },
      async cancel(reason) {
        gone.abort(reason)
        await reader?.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}

/** A connection that was closed in good order, but before the end. */
class EndedEarly extends HubError {
  constructor(given: number, length: number, at: ErrorPlace | undefined) {
    super('UNAVAILABLE', `The body broke off after ${given} of ${length} bytes.`, {
      retryable: true,
      ...(at && { at }),
    })
  }
}
