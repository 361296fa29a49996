import { isHubError } from '@tensorhub/core'

/** How a request failed. */
export type FailureKind =
  /** No connection came about: nothing was sent. */
  | 'unreachable'
  /** The connection broke, or nobody spoke on it, before the reply was complete. The server may have done what was asked. */
  | 'broken'
  /** The certificate or the protocol below HTTP. */
  | 'tls'
  /** The SDK found no credentials, or no region. */
  | 'setup'
  /** The server answered with an error. */
  | 'answered'
  /** Something answered that is no S3 server. */
  | 'stranger'

/**
 * A failed request, with what may be shown of it. The SDK's own errors carry the request that was signed and the key's id; they go no further than here.
 */
export class S3Failure extends Error {
  override readonly name = 'S3Failure'
  readonly kind: FailureKind
  /** The service's code (`NoSuchKey`), Node's (`ECONNREFUSED`), or the error's name. */
  readonly code: string
  readonly status: number | undefined
  readonly host: string
  /** Where the bucket is, when the server said so. */
  readonly region: string | undefined
  readonly requestId: string | undefined
  /** The SDK has set its clock right by the server's, so that the same request may be signed anew. */
  readonly clockCorrected: boolean

  constructor(
    kind: FailureKind,
    code: string,
    message: string,
    o: {
      readonly host: string
      readonly status?: number | undefined
      readonly region?: string | undefined
      readonly requestId?: string | undefined
      readonly clockCorrected?: boolean
    },
  ) {
    super(message)
    this.kind = kind
    this.code = code
    this.host = o.host
    this.status = o.status
    this.region = o.region
    this.requestId = o.requestId
    this.clockCorrected = o.clockCorrected ?? false
  }

  /** Whether the server may have done what was asked although the reply did not say so. */
  get doubtful(): boolean {
    // A body that could not be handed over whole is not taken: the request said how long it is.
    if (this.kind === 'broken') return this.code !== 'EPIPE'
    if (this.kind !== 'answered' || (this.status ?? 0) < 500 || this.status === 501 || this.isFull) return false
    // S3's own words for "not now" say that nothing was done; a 503 without them may be of a balancer that lost the reply.
    return !BUSY.has(this.code)
  }

  /** Whether the same request may succeed later. */
  get transient(): boolean {
    if (this.kind === 'unreachable' || this.kind === 'broken') return true
    if (this.kind !== 'answered') return false
    if (this.isFull) return false
    return this.clockCorrected || this.isBusy || this.isConflict || this.code === 'RequestTimeout' || this.doubtful
  }

  /** No room, or no more of the quota. */
  get isFull(): boolean {
    return this.status === 507 || FULL.has(this.code)
  }

  get isBusy(): boolean {
    // The SDK gives the status 503 to an error inside of a reply that began with 200 (throw-200-exceptions.js); its code tells.
    return this.status === 429 || (this.status === 503 && this.code !== 'InternalError') || BUSY.has(this.code)
  }

  /**
   * Another request on the same key was under way: the outcome is open, and to be asked for again.
   * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
   */
  get isConflict(): boolean {
    return this.code === 'ConditionalRequestConflict' || this.code === 'OperationAborted'
  }

  /** A condition of the request does not hold. */
  get isPrecondition(): boolean {
    return this.status === 412 || this.code === 'PreconditionFailed'
  }

  get isMissingKey(): boolean {
    return this.code === 'NoSuchKey'
  }
}

const FULL = new Set([
  ...['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded'],
])
const BUSY = new Set([
  ...['SlowDown', 'Throttling', 'ThrottlingException', 'TooManyRequests', 'RequestLimitExceeded', 'ServiceUnavailable'],
  ...['BandwidthLimitExceeded', 'RequestThrottled', 'SlowDownRead', 'SlowDownWrite'],
])

/** Whether the same work may succeed later, for what this driver, its connections and core throw. */
export function isTransient(error: unknown): boolean {
  if (error instanceof S3Failure) return error.transient
  if (isHubError(error)) return error.retryable
  return kindOfNodeError(error) === 'broken' || kindOfNodeError(error) === 'unreachable'
}

const UNREACHABLE = new Set([
  ...[
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'EHOSTDOWN',
    'ENETDOWN',
    'EADDRNOTAVAIL',
  ],
  ...['EAI_FAIL', 'EAI_NODATA', 'ENODATA'],
])
const BROKEN = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ESOCKETTIMEDOUT',
])
const TLS =
  /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO$|HOSTNAME_MISMATCH|INVALID_CA|ERR_OSSL)/

/** What an error of Node's sockets, or of the SDK's HTTP handler, says; undefined for any other. */
export function kindOfNodeError(error: unknown): FailureKind | undefined {
  const { code = '', name = '', message = '' } = (error ?? {}) as { code?: string; name?: string; message?: string }
  if (TLS.test(code)) return 'tls'
  if (UNREACHABLE.has(code)) return 'unreachable'
  // A connection attempt that the system gave up; of several addresses tried the error has no message.
  if (code === 'ETIMEDOUT' && /^(connect .*)?$/.test(message)) return 'unreachable'
  // The handler's two timeouts differ in their message only (set-connection-timeout.js and set-socket-timeout.js of @smithy/node-http-handler 4.14).
  if (name === 'TimeoutError') return /did not establish a connection/.test(message) ? 'unreachable' : 'broken'
  if (BROKEN.has(code) || /^(socket hang up|aborted)$/.test(message)) return 'broken'
  if (/^HPE_/.test(code)) return 'stranger'
  return undefined
}
