/**
 * The closed list of error codes. Codes are API and stay; messages may change. docs/errors.md is written from the comments here:
 * what it means, then what to do.
 */
export type ErrorCode =
  /** What was named is not there: a blob, a script, a document. | Check the name; `find*` and `top` do not throw it, they give false or undefined. */
  | 'NOT_FOUND'
  /** Something of that name or key is there already, and it was to be new. | Use another key, or read the one that exists. */
  | 'EXISTS'
  /** Somebody else changed it meanwhile. | Read it again, decide again; where `retryable` is set the same call may be made again as it is. */
  | 'CONFLICT'
  /** A range lies outside of the blob. | Ask `stat` for its size. */
  | 'RANGE'
  /** This user, or this process by its own policy, may not do it. | Grant the right that the message names, or set the option that it names. */
  | 'DENIED'
  /** Too much at once: the store, or this process, has no room for more calls. | Wait and try again; do less at the same time. */
  | 'THROTTLED'
  /** The signal you gave was aborted; `name` is 'AbortError' and `cause` the signal's reason. | Nothing: it was you. Before the commit of a save nothing is visible. */
  | 'ABORTED'
  /** The store, this version or this build does not offer it; refused before anything was done. | Ask the store's `can`; install the package, or update to the version, that the message names. */
  | 'UNSUPPORTED'
  /** The call itself is wrong: a filter, a name, an option, a value. `path` names the place. Refused before any I/O. | Correct the call. */
  | 'INVALID'
  /** What was read is not what was written, or is missing. A damaged value is never given out. | Run `hub.check({ readData: true })`; restore the blob that the message names from a copy, or delete the record. */
  | 'INTEGRITY'
  /** The disk or the quota is full. Nothing of the failed write is visible. | Free some space (`hub.gc()` frees what no record names) and try again. */
  | 'STORAGE_FULL'
  /** The hub, or the store, was closed. | Connect again; do not share a hub beyond its `close()`. */
  | 'CLOSED'
  /** The store, a lock or a process does not answer now. | Try again later; if it stays, look whether the store runs and who holds it. */
  | 'UNAVAILABLE'
  /** The store failed in a way that tells nothing about the outcome; `cause` has the original error. | Read back what you wrote before you repeat it. */
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
  // Declared only, so that an error shows what it has and nothing more.
  declare readonly reason?: string
  declare readonly path?: string
  declare readonly stored?: readonly string[]
  /** What failed as well, while this failure was being cleaned up after. */
  declare suppressed?: unknown

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

/** Whether a blob is missing, in a store that is there: a bucket that is not says nothing of its blobs. */
export function isMissingBlob(error: unknown): error is HubError {
  return isHubError(error, 'NOT_FOUND') && error.reason !== 'NO_BUCKET'
}

/** The error of an aborted call; `cause` is the signal's reason. */
export function abortError(signal: AbortSignal, at?: ErrorPlace): HubError {
  return new HubError('ABORTED', 'The operation was aborted.', { cause: signal.reason, ...(at ? { at } : {}) })
}

/** Throws {@link abortError} when the signal is already aborted. */
export function throwIfAborted(signal: AbortSignal | undefined, at?: ErrorPlace): void {
  if (signal?.aborted) throw abortError(signal, at)
}
