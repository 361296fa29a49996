import { type ErrorCode, type ErrorPlace, HubError, type HubErrorInit, isHubError } from './hub-error.ts'
import { asHubError, withMappedErrors } from './wrap.ts'

/** What a driver makes of an SDK's error. Without a message the error's own stands. */
export interface MappedError extends Pick<HubErrorInit, 'retryable' | 'reason'> {
  readonly code: ErrorCode
  readonly message?: string
}

/**
 * The driver with every failure of its methods turned into a HubError with its place: rejections, throws, failures of the async iterables it gives, and
 * of the body of a `read`. A driver written so holds no try and catch of its own.
 *
 * @param map Knows the SDK's errors; `undefined` for those it does not know, which become UNKNOWN. HubErrors pass as they are.
 */
export function wrapErrors<D extends { readonly scheme: string }>(
  driver: D,
  map: (error: unknown, at: ErrorPlace) => MappedError | undefined,
): D {
  const mapped = (error: unknown, at: ErrorPlace): HubError => {
    if (isHubError(error)) return error
    const known = map(error, at)
    if (known === undefined) return asHubError(error, at)
    const { code, message, ...init } = known
    const own = error instanceof Error ? error.message : String(error)
    return new HubError(code, message ?? `${at.op} on ${at.scheme} failed: ${own}`, { ...init, at, cause: error })
  }
  return new Proxy(driver, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || typeof name === 'symbol') return value
      return (...args: unknown[]) => {
        const at: ErrorPlace = { scheme: target.scheme, op: name, ...targetOf(args[0]) }
        try {
          return wrapped(Reflect.apply(value, target, args), (error) => mapped(error, at))
        } catch (error) {
          throw mapped(error, at)
        }
      }
    },
  })
}

/** The key, prefix or collection, which comes first in every method. */
function targetOf(first: unknown): { target?: string } {
  if (typeof first === 'string') return { target: first }
  if (!Array.isArray(first)) return {}
  return { target: first.length === 1 ? String(first[0]) : `${first.length} keys` }
}

function wrapped(result: unknown, map: (error: unknown) => HubError): unknown {
  if (result instanceof Promise) {
    return result.then(
      (value: unknown) => (hasBody(value) ? { ...value, body: withMappedErrors(value.body, map) } : value),
      (error: unknown) => {
        throw map(error)
      },
    )
  }
  return isAsyncIterable(result) ? iterate(result, map) : result
}

async function* iterate(items: AsyncIterable<unknown>, map: (error: unknown) => HubError): AsyncGenerator<unknown> {
  try {
    yield* items
  } catch (error) {
    throw map(error)
  }
}

function hasBody(value: unknown): value is { readonly body: ReadableStream<Uint8Array> } {
  return typeof value === 'object' && value !== null && 'body' in value && value.body instanceof ReadableStream
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
