import { abortError } from '@tensorhub/core'

export type FileSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Blob

/** Whether a value is an opaque file: bytes that come as a stream. */
export function isFileSource(value: unknown): value is FileSource {
  if (typeof value !== 'object' || value === null) return false
  if (value instanceof Blob || value instanceof ReadableStream) return true
  return typeof (value as AsyncIterable<Uint8Array>)[Symbol.asyncIterator] === 'function'
}

/**
 * The pieces of a source. Ends as soon as the signal aborts, also while the source is silent; a source that is left early is told to stop, and not
 * waited for.
 *
 * @throws ABORTED, or what the source fails with
 */
export async function* piecesOf(source: FileSource, signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
  const { next, stop } = access(source)
  let ended = false
  try {
    for (;;) {
      const step = await untilAborted(next(), signal)
      if (step.done) {
        ended = true
        return
      }
      yield step.value
    }
  } catch (error) {
    ended = !signal.aborted
    throw error
  } finally {
    // Its answer may never come, and changes nothing any more.
    if (!ended) stop(signal.reason).then(undefined, () => undefined)
  }
}

interface Access {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value: unknown }>
  stop(reason: unknown): Promise<unknown>
}

function access(source: FileSource): Access {
  if (source instanceof Blob || source instanceof ReadableStream) {
    const reader = (source instanceof Blob ? source.stream() : source).getReader()
    return { next: () => reader.read(), stop: (reason) => reader.cancel(reason) }
  }
  const iterator = source[Symbol.asyncIterator]()
  return { next: () => iterator.next(), stop: async () => iterator.return?.() }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(abortError(signal, { scheme: 'content', op: 'save' }))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
