import { type ErrorCode, type ErrorPlace, isHubError, type MappedError } from '@tensorhub/core'

/** No reply came, or only a part of one. */
export class ConnectionFailure extends Error {
  override readonly name = 'ConnectionFailure'
  /** The system's or Node's code. */
  readonly code: string
  readonly host: string
  /** Whether the server may have acted on the request. */
  readonly sent: boolean

  constructor(code: string, message: string, host: string, sent: boolean) {
    super(message)
    this.code = code
    this.host = host
    this.sent = sent
  }

  /** Of an error of Node's, of which only code and message are kept: it can hold the whole request. */
  static of(error: NodeJS.ErrnoException, host: string, sent: boolean): ConnectionFailure {
    if (error instanceof ConnectionFailure) return error
    const never = error.syscall === 'connect' || error.syscall === 'getaddrinfo' || isTls(error.code)
    const what =
      error.code === undefined || error.message.includes(error.code)
        ? error.message
        : `${error.message} (${error.code})`
    return new ConnectionFailure(error.code ?? 'UNKNOWN', what, host, sent && !never)
  }
}

/** The service, or something in its place, answered that it did not do it. */
export class ReplyFailure extends Error {
  override readonly name = 'ReplyFailure'
  readonly status: number
  /** JSON API: `errors[0].reason`; XML API: `Code`. https://cloud.google.com/storage/docs/json_api/v1/status-codes */
  readonly reason: string
  readonly host: string
  readonly bucket: string

  constructor(status: number, reason: string, message: string, host: string, bucket: string) {
    super(message)
    this.status = status
    this.reason = reason
    this.host = host
    this.bucket = bucket
  }
}

/** Something answered that is not Cloud Storage: a page of a proxy, another service. */
export class NotTheStore extends Error {
  override readonly name = 'NotTheStore'
  readonly host: string

  constructor(host: string, what: string) {
    super(`${host} answered ${what}; Cloud Storage does not.`)
    this.host = host
  }
}

/** The service has forgotten a resumable upload (it expired, or the service lost it), or has the parts of a composite one no more. */
export class UploadLost extends Error {
  override readonly name = 'UploadLost'
  readonly host: string

  constructor(host: string) {
    super(`${host} has lost the upload`)
    this.host = host
  }
}

/** No access token could be had, or no signature: `unsignable`, by an account that may not sign. */
export class CredentialsFailure extends Error {
  override readonly name = 'CredentialsFailure'
  readonly kind: 'missing' | 'wrong' | 'skew' | 'unreachable' | 'unsignable'

  constructor(kind: CredentialsFailure['kind'], message: string) {
    super(message)
    this.kind = kind
  }
}

/** Statuses that pass: https://cloud.google.com/storage/docs/retry-strategy#retryable; 409 is another operation on the object at this moment, 308 an upload of which nothing was kept. */
const PASSING = new Set([308, 408, 409, 429, 500, 502, 503, 504])
/** 403 that mean "too much". https://cloud.google.com/storage/docs/json_api/v1/status-codes#403-forbidden */
const TOO_MUCH = /^(rateLimitExceeded|userRateLimitExceeded|quotaExceeded|SlowDown)$/

/** Whether the same request may succeed when it is sent again. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ConnectionFailure) {
    // A name that is not known, a certificate that is refused, an answer that is no HTTP: they stay. Silence has used up its time already.
    return !(isTls(error.code) || isNoHttp(error.code) || /^(ENOTFOUND|ETIMEDOUT|ETOOLONG)$/.test(error.code))
  }
  if (error instanceof ReplyFailure)
    return PASSING.has(error.status) || (error.status === 403 && TOO_MUCH.test(error.reason))
  return false
}

/** The same, for an operation that begins now: a host that cannot be reached is given up once `timeout` ms have passed. */
export function transientWithin(timeout: number): (error: unknown) => boolean {
  const until = performance.now() + timeout
  return (error) =>
    isTransient(error) && !(error instanceof ConnectionFailure && !error.sent && performance.now() >= until)
}

/** Whether the request may have been carried out although it failed. */
export function isAmbiguous(error: unknown): boolean {
  if (error instanceof ConnectionFailure) return error.sent
  if (error instanceof ReplyFailure) return error.status >= 500 || error.status === 408
  // A session is forgotten also when it has ended well.
  return error instanceof UploadLost
}

/** Not allowed, rather than too much. */
export function isDenied(error: unknown): boolean {
  if (!(error instanceof ReplyFailure)) return false
  return error.status === 403 ? !isTooMuch(error) : isPolicy(error)
}

export function isTooMuch(error: unknown): boolean {
  return (
    error instanceof ReplyFailure && (error.status === 429 || (error.status === 403 && TOO_MUCH.test(error.reason)))
  )
}

/** A failure in the hub's codes. None of the texts holds a secret: they are made from statuses, hosts and what the service says of the request. */
export function mapError(error: unknown, at: ErrorPlace): MappedError | undefined {
  if (isHubError(error)) return undefined
  if (error instanceof ConnectionFailure) return ofConnection(error)
  if (error instanceof CredentialsFailure) return ofCredentials(error)
  if (error instanceof ReplyFailure) return ofReply(error, at)
  if (error instanceof NotTheStore)
    return make(
      'UNAVAILABLE',
      `${error.message} A proxy that wants a login may stand between, or the endpoint may be another service: open the address in a browser, or correct it.`,
      { reason: 'NOT_THE_STORE', retryable: true },
    )
  if (error instanceof UploadLost)
    return make(
      'UNAVAILABLE',
      `${error.message} of blob '${at.target ?? ''}' (it was restarted, a week has passed, or a sweep took its parts for left behind). Nothing of it is visible; write it again.`,
      { retryable: true },
    )
  return undefined
}

function make(
  code: ErrorCode,
  message: string,
  o: { readonly reason?: string; readonly retryable?: boolean } = {},
): MappedError {
  return { code, message, ...o }
}

function ofConnection({ code, host, message }: ConnectionFailure): MappedError {
  if (isTls(code)) {
    const clock = /CERT_NOT_YET_VALID|CERT_HAS_EXPIRED/.test(code) ? ' Look at the clock of this machine too.' : ''
    return make(
      'UNAVAILABLE',
      code === 'EPROTO'
        ? `No secure connection to ${host}: what answers there does not speak TLS as https wants it. An emulator without TLS has an endpoint of http://.`
        : `No secure connection to ${host}: ${message}. Where a proxy of your own signs traffic anew, name its certificate by NODE_EXTRA_CA_CERTS.${clock}`,
      { reason: 'TLS' },
    )
  }
  if (isNoHttp(code) || code === 'ETOOLONG')
    return make('UNAVAILABLE', `${host} is not Cloud Storage: ${message}. Correct the endpoint.`, {
      reason: 'NOT_THE_STORE',
    })
  return make(
    'UNAVAILABLE',
    `${host} cannot be reached, or does not answer: ${message}. Look at the network and the endpoint; the option timeout is how long it is waited for.`,
    { reason: 'UNREACHABLE', retryable: true },
  )
}

function ofCredentials({ kind, message }: CredentialsFailure): MappedError {
  if (kind === 'unreachable')
    return make('UNAVAILABLE', `No access token could be had: ${message}. Look at the network.`, {
      reason: 'UNREACHABLE',
      retryable: true,
    })
  if (kind === 'skew')
    return make(
      'DENIED',
      `Google refused the request for a token for its time: ${message}. Set the clock of this machine.`,
      {
        reason: 'CLOCK_SKEW',
      },
    )
  if (kind === 'unsignable')
    return make(
      'DENIED',
      `The account may not sign URLs: ${message}. Grant it roles/iam.serviceAccountTokenCreator on itself, and enable the API iamcredentials.googleapis.com; or give a key by the option keyFile or credentials.`,
      { reason: 'PERMISSION' },
    )
  const what =
    kind === 'missing' ? 'There are no credentials for Google Cloud Storage' : 'The credentials are not accepted'
  return make(
    'DENIED',
    `${what}: ${message}. Set GOOGLE_APPLICATION_CREDENTIALS to a key file, run "gcloud auth application-default login", give the option keyFile or credentials, or set STORAGE_EMULATOR_HOST for an emulator.`,
    { reason: 'CREDENTIALS' },
  )
}

function ofReply(error: ReplyFailure, at: ErrorPlace): MappedError {
  const { status, reason, host, bucket, message } = error
  const said = `${host} said ${status}${reason === '' ? '' : ` ${reason}`}${message === '' ? '' : `: ${message}`}`
  if (isTooMuch(error) || status === 503 || status === 409)
    return make(
      'THROTTLED',
      `${said} (tried again for a while). Do less at once; one object takes one write a second.`,
      {
        retryable: true,
      },
    )
  if (status === 308 || status === 408 || status >= 500)
    return make('UNAVAILABLE', `${said}. Try again later.`, { retryable: true })
  if (/TimeTooSkewed/i.test(reason))
    return make('DENIED', `${said}. Set the clock of this machine.`, { reason: 'CLOCK_SKEW' })
  switch (status) {
    case 401:
      return make(
        'DENIED',
        `${said}. The credentials are missing, expired or not accepted for bucket '${bucket}'; give the option keyFile or credentials, or renew the application-default ones by "gcloud auth application-default login".`,
        { reason: 'CREDENTIALS' },
      )
    case 403:
      return make(
        'DENIED',
        `${said}. Grant roles/storage.objectUser on bucket '${bucket}' to this account (roles/storage.objectViewer is enough to read).`,
        { reason: 'PERMISSION' },
      )
    case 404:
      if (isNoBucket(error))
        return make(
          'NOT_FOUND',
          `There is no bucket '${bucket}' at ${host}. Correct the name, or make it: "gcloud storage buckets create gs://${bucket}".`,
          { reason: 'NO_BUCKET' },
        )
      return make('NOT_FOUND', `There is no blob '${at.target ?? ''}' in bucket '${bucket}'.`)
    case 412:
      if (!isPolicy(error)) break
      return make(
        'DENIED',
        `${said}. A policy of the organization that bucket '${bucket}' belongs to forbids this; ask its administrator.`,
        { reason: 'PERMISSION' },
      )
    case 413:
      return make('INVALID', `${said}.`, { reason: 'BLOB_TOO_LARGE' })
    case 400:
      return make('INVALID', `${said}.`)
  }
  return make('UNKNOWN', `${said}.`)
}

/** Both APIs say 404 of an object and of a bucket; only the text tells them apart. */
export function isNoBucket(error: unknown): boolean {
  return (
    error instanceof ReplyFailure &&
    error.status === 404 &&
    (error.reason === 'NoSuchBucket' || /bucket does not exist/i.test(error.message))
  )
}

/** The condition of the request did not hold. 412 is also what an organization's policy says, of whatever request. https://cloud.google.com/storage/docs/json_api/v1/status-codes#412-precondition-failed */
export function isConditionFailed(error: unknown): boolean {
  return error instanceof ReplyFailure && error.status === 412 && !isPolicy(error)
}

function isPolicy({ status, reason }: ReplyFailure): boolean {
  return status === 412 && /^orgPolicy/i.test(reason)
}

/** 404 to a write can only mean the bucket. */
export function noBucket(error: unknown): never {
  if (error instanceof ReplyFailure && error.status === 404)
    throw new ReplyFailure(404, 'NoSuchBucket', error.message, error.host, error.bucket)
  throw error
}

function isTls(code: string | undefined): boolean {
  return (
    code !== undefined &&
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO$|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/.test(
      code,
    )
  )
}

function isNoHttp(code: string): boolean {
  return code.startsWith('HPE_')
}
