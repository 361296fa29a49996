import type { ErrorCode, ErrorPlace, MappedError } from '@tensorhub/core'

/** What an error's meaning depends on beside itself. */
export interface ErrorContext {
  /** Hosts and database, without credentials. */
  readonly place: string
  /** ms. */
  readonly timeout: number
}

/** Error codes of the server: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
export const CODES = {
  badValue: 2,
  unauthorized: 13,
  typeMismatch: 14,
  overflow: 15,
  authenticationFailed: 18,
  illegalOperation: 20,
  pathNotViable: 28,
  commandNotFound: 59,
  writeConcernTimeout: 64,
  indexOptionsConflict: 85,
  indexKeySpecsConflict: 86,
  writeConflict: 112,
  commandNotSupported: 115,
  parallelArrays: 171,
  atlas: 8000,
  documentTooLarge: 10334,
  duplicateKey: 11000,
} as const

const UNAVAILABLE = new Set([6, 7, 89, 91, 133, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436])
/** Of those, what a write may still have passed: the server was interrupted in the middle. */
const INTERRUPTED = new Set([6, 7, 89, 91, 189, 262, 9001, 11600, 11602])
const TOO_LARGE = new Set<number>([CODES.documentTooLarge, 17280, 17419, 17420])
const DUPLICATE = new Set<number>([CODES.duplicateKey, 11001, 12582])
const UNSUPPORTED = new Set<number>([CODES.commandNotFound, CODES.commandNotSupported, 238, 263, 40324])
const WRITES = new Set(['insert', 'update', 'takeOne', 'delete', 'write', 'writeBytes'])
const CHANGES = new Set(['update', 'takeOne'])

interface Failure {
  readonly name?: string
  readonly message?: string
  readonly code?: unknown
  readonly cause?: unknown
  readonly reason?: { readonly servers?: ReadonlyMap<string, { readonly error?: unknown }> }
  readonly writeErrors?: unknown
  readonly beforeHandshake?: unknown
}

/** What stopped a batch, where that was no failed write: the driver puts its own error into that of the batch. */
export function unwrapped(error: unknown): unknown {
  const { name, cause, errorResponse } = error as { name?: string; cause?: unknown; errorResponse?: unknown }
  if (name !== 'MongoBulkWriteError') return error
  return [errorResponse, cause].find((inner) => inner instanceof Error) ?? error
}

/** The server's code of an error, or of the first failed write of a batch. */
export function codeOf(error: unknown): number | undefined {
  const { code, writeErrors } = error as Failure
  const first = Array.isArray(writeErrors) ? (writeErrors[0] as { code?: unknown } | undefined)?.code : undefined
  const found = first ?? code
  return typeof found === 'number' || typeof found === 'bigint' ? Number(found) : undefined
}

/** Which write of a batch the server refused. */
export function failedAt(error: unknown): number | undefined {
  const { writeErrors } = error as Failure
  const first: unknown = Array.isArray(writeErrors) ? writeErrors[0] : writeErrors
  const { index } = (first ?? {}) as { readonly index?: unknown }
  return index === undefined ? undefined : Number(index)
}

export function isDuplicateKey(error: unknown): boolean {
  const code = codeOf(error)
  return code !== undefined && DUPLICATE.has(code)
}

/** Wrong or missing credentials, as against a right that is missing. */
export function isWrongCredentials(error: unknown): boolean {
  const code = codeOf(error)
  const message = String((error as Failure).message)
  if (code === CODES.authenticationFailed || code === 11) return true
  // Atlas has one code for all that its proxy refuses.
  if (code === CODES.atlas) return /auth/i.test(message) && !/not authorized/i.test(message)
  return (
    code === CODES.unauthorized && /requires? authentication|not authenticated|authentication required/i.test(message)
  )
}

export function hasLabel(error: unknown, label: string): boolean {
  const { errorLabels } = (error ?? {}) as { readonly errorLabels?: unknown }
  return Array.isArray(errorLabels) && errorLabels.includes(label)
}

/** A name that could not be looked up; of `mongodb+srv://` the driver hands these on as Node gave them. */
function isLookUpFailure(error: unknown): boolean {
  const { syscall } = error as { syscall?: unknown }
  return typeof syscall === 'string' && /^(query|getaddrinfo)/.test(syscall)
}

/**
 * A failure of the socket that the driver hands on as Node gave it, and so does not repeat itself. One that the server has closed (a FIN, as of a server that
 * was killed) refuses a write by an EPIPE of Node's own, which names no system call: https://github.com/nodejs/node/blob/v24.x/lib/net.js `writeAfterFIN`.
 */
export function isSocketFailure(error: unknown): boolean {
  const { code, syscall, message } = error as { code?: unknown; syscall?: unknown; message?: unknown }
  if (code === 'EPIPE' && message === 'This socket has been ended by the other party') return true
  return (
    typeof syscall === 'string' &&
    /^(ECONNRESET|EPIPE|ETIMEDOUT|ECONNABORTED|ENETDOWN|EHOSTUNREACH)$/.test(String(code))
  )
}

/** Whether a request was, or may have been, sent and its reply did not come: what it did is not known. */
export function isReplyLost(failure: unknown): boolean {
  const error = unwrapped(failure)
  if (isSocketFailure(error)) return true
  const { name, beforeHandshake } = error as Failure
  // Of `timeoutMS`, and of a commit that was repeated in vain: some try may have reached the server.
  if (name === 'MongoOperationTimeoutError' || hasLabel(error, 'UnknownTransactionCommitResult')) return true
  if (name === 'MongoNetworkError' || name === 'MongoNetworkTimeoutError' || name === 'PoolClearedOnNetworkError')
    return beforeHandshake !== true && !/ECONNREFUSED|ENOTFOUND|EAI_AGAIN/.test(String((error as Failure).message))
  const code = codeOf(error)
  return name !== 'MongoServerSelectionError' && code !== undefined && INTERRUPTED.has(code)
}

/** The server does not answer, or not now. */
export function isUnreachable(failure: unknown): boolean {
  const error = unwrapped(failure)
  const { name } = error as Failure
  const code = codeOf(error)
  return (
    isSocketFailure(error) ||
    isLookUpFailure(error) ||
    /^Mongo(Network|NetworkTimeout|ServerSelection|OperationTimeout|NotConnected)Error$/.test(String(name)) ||
    /^(PoolCleared|PoolClosed|WaitQueueTimeout|PoolClearedOnNetwork)\w*Error$/.test(String(name)) ||
    name === 'MongoPoolClearedError' ||
    name === 'MongoPoolClosedError' ||
    name === 'MongoWaitQueueTimeoutError' ||
    (code !== undefined && UNAVAILABLE.has(code))
  )
}

/**
 * Whether the last of a driver's tries says nothing about those before it: it reached no server, or none that takes writes. What carries this label was not done by any of them: the
 * driver hands on an error without it first. https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md#nowritesperformed
 */
export function tellsOfLastTryOnly(error: unknown): boolean {
  return !hasLabel(error, 'NoWritesPerformed') && (isUnreachable(error) || isRefusedInPassing(error))
}

/** This server is not the primary (any more), and says so before it does anything. */
const NOT_PRIMARY = new Set([10107, 13435])

/** Whether the server refused a command in a way that passes, and surely did nothing of it. */
export function isRefusedInPassing(error: unknown): boolean {
  return NOT_PRIMARY.has(codeOf(error) ?? 0)
}

/**
 * Whether a command on one document, which is done whole or not at all, failed in a way that passes, and surely was not done: refused as above, in the way of
 * another write, or too much at once (16500: Cosmos DB; 50462 and the label: MongoDB).
 */
export function isUndoneInPassing(error: unknown): boolean {
  return isRefusedInPassing(error) || codeOf(error) === CODES.writeConflict || isTooMuch(error)
}

/** Whether a command that changes nothing may succeed when it is asked again. Not where no server was there, or none answered, in time: that has been waited for. */
export function isUnansweredInPassing(failure: unknown): boolean {
  const error = unwrapped(failure)
  if (isUndoneInPassing(error) || isSocketFailure(error)) return true
  return isUnreachable(error) && !/ServerSelection|Timeout/.test(String((error as Failure).name))
}

function isTooMuch(error: unknown): boolean {
  const code = codeOf(error)
  const labels = String((error as { errorLabels?: unknown }).errorLabels)
  // The driver gives connections that failed the label too: those are told as unreachable.
  return code === 16500 || code === 50_462 || (code !== undefined && /SystemOverloadedError/.test(labels))
}

/** MongoDB's errors in the hub's codes. The texts name the server and the way out, and never what was sent. */
export function mapMongoError(failure: unknown, at: ErrorPlace, context: ErrorContext): MappedError | undefined {
  const error = unwrapped(failure)
  if (!(error instanceof Error)) return undefined
  const { place } = context
  const code = codeOf(error)
  const name = error.name
  if (isWrongCredentials(error))
    return make(
      'DENIED',
      `MongoDB at ${place} does not accept the user or password, or wants one and got none. Check both, and authSource: the database that knows the user.`,
      { reason: 'CREDENTIALS' },
    )
  if (code === CODES.atlas && /over your (space|storage) quota/i.test(error.message))
    return make('STORAGE_FULL', `MongoDB at ${place} has no space left: ${error.message}`)
  if (code === CODES.unauthorized || (code === CODES.atlas && /not (allowed|authorized)/i.test(error.message)))
    return make(
      'DENIED',
      `MongoDB at ${place} does not let this user do ${at.op}${on(at)}; it needs the role readWrite on the database.`,
      { reason: 'PERMISSION' },
    )
  if (isDuplicateKey(error))
    return make(
      'EXISTS',
      `A document exists already in ${at.target ?? place}, or shares a unique key with one that does.`,
    )
  if (code !== undefined && TOO_LARGE.has(code))
    return make('INVALID', `A document${on(at)} would be larger than MongoDB stores (16 MiB of BSON).`, {
      reason: 'DOCUMENT_TOO_LARGE',
    })
  if (/parallel arrays/i.test(error.message) || code === CODES.parallelArrays)
    return make('INVALID', `Two keys of one sort or index${on(at)} run through different arrays of a document.`, {
      reason: 'PARALLEL_ARRAYS',
    })
  if (
    CHANGES.has(at.op) &&
    code !== undefined &&
    [CODES.badValue, CODES.typeMismatch, CODES.pathNotViable, 9, 40, 54, 56].includes(code)
  )
    return make('INVALID', `The change cannot be made${on(at)}: ${error.message}`, { reason: 'CHANGE_REFUSED' })
  if (code === CODES.overflow) return make('INVALID', `MongoDB refuses a document${on(at)} that is nested too deep.`)
  if (code === 121)
    return make(
      'INVALID',
      `The validator of ${at.target ?? 'the collection'} in MongoDB at ${place} refuses the document.`,
    )
  if (code === CODES.indexOptionsConflict || code === CODES.indexKeySpecsConflict)
    return make(
      'CONFLICT',
      `${at.target ?? 'The collection'} in MongoDB at ${place} has another index on these keys (${error.message}). Drop that one first.`,
      { reason: 'INDEX_CONFLICT' },
    )
  if (code === CODES.writeConflict)
    // Not CONFLICT: nothing was found to have changed, the server only gave up on letting one write wait for the other.
    return make(
      'THROTTLED',
      `Other writes of the same documents of ${at.target ?? place} were in the way too often; try again.`,
      { retryable: true },
    )
  if (code === 14031) return make('STORAGE_FULL', `The disk of MongoDB at ${place} is full.`)
  if (isTooMuch(error))
    return make('THROTTLED', `MongoDB at ${place} takes no more requests now; try again later.`, { retryable: true })
  if (name === 'MongoWriteConcernError' || code === CODES.writeConcernTimeout || code === 100)
    return make(
      'UNKNOWN',
      `MongoDB at ${place} did ${at.op}${on(at)}, but a majority did not confirm it; a failover may undo it. Read back what was written.`,
      { reason: 'REPLY_LOST' },
    )
  if (code === 43)
    return make(
      'UNAVAILABLE',
      `MongoDB at ${place} no longer knows the cursor of this ${at.op}${on(at)}: it drops those that nobody reads from for 10 minutes. Read again, in pages.`,
      { retryable: true },
    )
  if (code === 50 && !WRITES.has(at.op))
    return make('UNAVAILABLE', `MongoDB at ${place} ran out of time in ${at.op}${on(at)}.`, { retryable: true })
  const tls = tlsFault(error)
  if (tls !== undefined)
    return make(
      'UNAVAILABLE',
      `The TLS connection to MongoDB at ${place} failed (${tls}). Check tls=true, the certificate's names and tlsCAFile.`,
      { reason: 'TLS' },
    )
  if (name === 'MongoMissingDependencyError')
    return make('UNSUPPORTED', `The URL or options for MongoDB at ${place} need a package more: ${error.message}.`, {
      reason: 'CAPABILITY',
    })
  if (name === 'MongoCompatibilityError')
    return make(
      'UNSUPPORTED',
      `The server at ${place} speaks a version of MongoDB's protocol that the driver does not: ${error.message}`,
      { reason: 'SERVER_VERSION' },
    )
  // Of one request; what the driver's repetitions leave open is the caller's to know (`Connection.doubt`).
  if (WRITES.has(at.op) && isReplyLost(error))
    return make(
      'UNKNOWN',
      `The reply of MongoDB at ${place} to ${at.op}${on(at)} was lost; whether it was done is not known. Read back before you repeat it.`,
      { reason: 'REPLY_LOST', retryable: at.op === 'delete' },
    )
  if (isUnreachable(error)) {
    const other = notMongo(error)
    if (other)
      return make('UNAVAILABLE', notMongoText(place), {
        reason: 'NOT_THE_STORE',
      })
    return make(
      'UNAVAILABLE',
      `MongoDB at ${place} cannot be reached (${faultOf(error)}). Does it run, and may this machine connect? Waited at most ${context.timeout} ms (timeout).`,
      { reason: 'UNREACHABLE', retryable: true },
    )
  }
  if (notMongo(error))
    return make('UNAVAILABLE', notMongoText(place), {
      reason: 'NOT_THE_STORE',
    })
  if ((code !== undefined && UNSUPPORTED.has(code)) || isTransactionRefusal(error))
    return make('UNSUPPORTED', `MongoDB at ${place} cannot do ${at.op}${on(at)}: ${error.message}`, {
      reason: 'CAPABILITY',
    })
  return make('UNKNOWN', `${at.op} on MongoDB at ${place} failed: ${error.message}`)
}

export function notMongoText(place: string): string {
  return `What answers at ${place} does not speak MongoDB's protocol. Check host and port.`
}

function make(
  code: ErrorCode,
  message: string,
  o: { readonly reason?: string; readonly retryable?: boolean } = {},
): MappedError {
  return { code, message, ...o }
}

function isTransactionRefusal(error: unknown): boolean {
  return codeOf(error) === CODES.illegalOperation
}

function on(at: ErrorPlace): string {
  return at.target === undefined ? '' : ` on ${at.target}`
}

/** What is behind an error: itself, its cause, and what each server of a failed selection said. */
function* behind(error: unknown, depth = 0): Generator<Failure> {
  if (typeof error !== 'object' || error === null || depth > 4) return
  const failure = error as Failure
  yield failure
  yield* behind(failure.cause, depth + 1)
  for (const server of failure.reason?.servers?.values() ?? []) yield* behind(server.error, depth + 1)
}

function tlsFault(error: unknown): string | undefined {
  for (const { code, message } of behind(error)) {
    const text = `${String(code)} ${String(message)}`
    const found =
      /ERR_TLS_\w+|ERR_SSL_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(?:VERIFY|GET)_\w+|CERT_\w+|EPROTO|self[- ]signed certificate|unable to verify the first certificate|certificate has expired|does not match certificate|wrong version number|socket disconnected before secure TLS/i.exec(
        text,
      )
    if (found !== null) return found[0]
  }
  return undefined
}

function notMongo(error: unknown): boolean {
  for (const { name, message } of behind(error))
    if (
      /Message size cannot be negative|Unsupported OP code|Unexpected op ?code/i.test(String(message)) ||
      name === 'MongoParseError'
    )
      return true
  return false
}

function faultOf(error: unknown): string {
  let last = ''
  for (const { message, name } of behind(error))
    if (message) last = name === 'MongoServerSelectionError' ? last || message : message
  return last
}
