/** The closed list of error codes. Codes are API and stay; messages may change. */
export type ErrorCode =
  | 'NOT_FOUND'
  | 'EXISTS'
  | 'CONFLICT'
  | 'RANGE'
  | 'DENIED'
  | 'THROTTLED'
  | 'ABORTED'
  | 'UNSUPPORTED'
  | 'INVALID'
  | 'INTEGRITY'
  | 'STORAGE_FULL'
  | 'CLOSED'
  | 'UNAVAILABLE'
  | 'UNKNOWN'

/** Where an error arose. `target` names the key, collection or path; it never carries a secret. */
export interface ErrorPlace {
  readonly scheme: string
  readonly op: string
  readonly target?: string
}

export interface HubErrorInit {
  readonly at?: ErrorPlace
  /** True when the same call may succeed later without any change. Default false. */
  readonly retryable?: boolean
  /** A finer machine-readable cause, e.g. `QUERY_OPERATOR_REFUSED`. */
  readonly reason?: string
  /** The dotted path inside the caller's input that is at fault. */
  readonly path?: string
  readonly cause?: unknown
  /** `_id`s stored before a partial insert failed (see `IndexDriver.insert`). */
  readonly stored?: readonly string[]
}

const BRAND = Symbol.for('tensorhub.error')

/**
 * The one error class. Test with {@link isHubError}, not `instanceof`: two copies of core may share a dependency tree.
 * An aborted call has `code` ABORTED, `name` 'AbortError' and the signal's reason as `cause`.
 */
export class HubError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly at: ErrorPlace
  readonly reason?: string
  readonly path?: string
  readonly stored?: readonly string[]
  /** What failed as well, while this failure was being cleaned up after. */
  suppressed?: unknown

  constructor(code: ErrorCode, message: string, init: HubErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause })
    this.name = code === 'ABORTED' ? 'AbortError' : 'HubError'
    this.code = code
    this.retryable = init.retryable ?? false
    this.at = init.at ?? { scheme: 'core', op: 'call' }
    if (init.reason !== undefined) this.reason = init.reason
    if (init.path !== undefined) this.path = init.path
    if (init.stored !== undefined) this.stored = init.stored
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** Whether `error` is a HubError (from any copy of core), optionally with the given code. */
export function isHubError(error: unknown, code?: ErrorCode): error is HubError {
  return (
    typeof error === 'object' &&
    error !== null &&
    (error as { [BRAND]?: unknown })[BRAND] === true &&
    (code === undefined || (error as HubError).code === code)
  )
}

/** The error of an aborted call; `cause` is the signal's reason. */
export function abortError(signal: AbortSignal, at?: ErrorPlace): HubError {
  return new HubError('ABORTED', 'The operation was aborted.', { cause: signal.reason, ...(at ? { at } : {}) })
}

/** Throws {@link abortError} when the signal is already aborted. */
export function throwIfAborted(signal: AbortSignal | undefined, at?: ErrorPlace): void {
  if (signal?.aborted) throw abortError(signal, at)
}
