import { type ErrorCode, type ErrorPlace, HubError, type HubErrorInit, isHubError } from '@tensorhub/core'

/** What messages may say of the store: no secret among it. */
export interface Where {
  readonly host: string
  readonly account: string
  readonly container: string
  /** When the SAS token ends. */
  readonly expires?: Date
}

/** What the SDK's errors carry, as far as it is used. https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
interface SdkError {
  readonly name?: string
  readonly message?: string
  readonly code?: string | number
  readonly statusCode?: number
  readonly response?: {
    readonly status: number
    readonly bodyAsText?: string | null
    readonly headers: { get(name: string): string | undefined }
  }
}

type Verdict = readonly [code: ErrorCode, message: string, more?: Pick<HubErrorInit, 'reason' | 'retryable'>]

/** An error of the SDK, of Node or of `@azure/identity` in the hub's codes. What it carries of the request (signatures, tokens) is left behind. */
export function hubErrorOf(error: unknown, at: ErrorPlace, where: Where): HubError {
  if (isHubError(error)) return error
  const sdk = (error ?? {}) as SdkError
  const [code, message, more] = sdk.response ? ofResponse(sdk, at, where) : ofNetwork(sdk, at, where)
  return new HubError(code, message, { ...more, at, cause: plain(sdk) })
}

function make(code: ErrorCode, message: string, more: Verdict[2] = {}): Verdict {
  return [code, message, more]
}

/** Nothing came from the server for the whole timeout. */
export function silent(at: ErrorPlace, where: Where, timeout: number): HubError {
  return new HubError(
    'UNAVAILABLE',
    `${where.host} did not answer ${at.op} within ${timeout} ms; is it reachable from here? The option timeout sets the bound.`,
    { at, retryable: true, reason: 'UNREACHABLE' },
  )
}

export function notTheStore(at: ErrorPlace, where: Where): HubError {
  return new HubError('UNAVAILABLE', notTheStoreMessage(where), { at, reason: 'NOT_THE_STORE' })
}

/** Whether a write that failed so may have been applied: everything that may pass, unless no connection was made or the server turned it away. */
export function isAmbiguous(error: HubError): boolean {
  if (!error.retryable || error.code === 'THROTTLED') return false
  return !NOT_SENT.includes(String((error.cause as SdkError | undefined)?.code))
}

const NOT_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH']

const TLS = /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS|^ERR_SSL|^EPROTO$/

function ofNetwork(error: SdkError, at: ErrorPlace, where: Where): Verdict {
  const { host, account } = where
  const code = String(error.code ?? '')
  if (TLS.test(code))
    return make(
      'UNAVAILABLE',
      code === 'EPROTO'
        ? `No secure connection to ${host}: what answers there does not speak TLS as https wants it. A server without TLS, as Azurite is, has an endpoint of http://.`
        : `${host} cannot be trusted (${code}): its certificate, or that of a proxy on the way, is not one this machine accepts; NODE_EXTRA_CA_CERTS names further authorities.`,
      { reason: 'TLS' },
    )
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return make(
      'UNAVAILABLE',
      `There is no host ${host} to be found (${code}); does the storage account '${account}' exist, and does name resolution work here?`,
      { reason: 'UNREACHABLE', retryable: true },
    )
  if (NOT_SENT.includes(code))
    return make(
      'UNAVAILABLE',
      `${host} cannot be reached (${code}); does it run, and may this machine connect to it?`,
      { reason: 'UNREACHABLE', retryable: true },
    )
  if (/Credential|Authentication/.test(error.name ?? ''))
    return make(
      'DENIED',
      `DefaultAzureCredential found nothing to sign in to ${host} with: run az login, set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, or give a key or sasToken.`,
      { reason: 'CREDENTIALS' },
    )
  if (error instanceof TypeError || error instanceof RangeError)
    return make('UNAVAILABLE', notTheStoreMessage(where), { reason: 'NOT_THE_STORE' })
  if (code === 'ETIMEDOUT')
    return make(
      'UNAVAILABLE',
      `The connection to ${host} fell silent during ${at.op}; the option timeout sets the bound.`,
      { reason: 'UNREACHABLE', retryable: true },
    )
  // An "abort" that nobody asked for is among it: the SDK calls a reset in the middle of a body so.
  if (code !== '' || error.name === 'RestError' || error.name === 'AbortError')
    return make('UNAVAILABLE', `The connection to ${host} broke during ${at.op}${code === '' ? '' : ` (${code})`}.`, {
      retryable: true,
    })
  return make('UNKNOWN', `${at.op} on ${host} failed: ${plain(error).message}`)
}

/** The failure of a body under way: whatever the SDK makes of it, the connection ended before the body did. */
export function brokenBody(error: unknown, at: ErrorPlace, where: Where): HubError {
  if (isHubError(error)) return error
  return new HubError('UNAVAILABLE', `The connection to ${where.host} broke during ${at.op}.`, {
    ...{ at, retryable: true, cause: plain((error ?? {}) as SdkError) },
  })
}

function ofResponse(error: SdkError, at: ErrorPlace, where: Where): Verdict {
  const response = error.response as NonNullable<SdkError['response']>
  const { status, headers } = response
  // Every answer of the service carries one. https://learn.microsoft.com/rest/api/storageservices/common-rest-api-response-headers
  if (headers.get('x-ms-request-id') === undefined) {
    if (status === 502 || status === 503 || status === 504)
      return make('UNAVAILABLE', `Something between here and ${where.host} answered ${status} to ${at.op}.`, {
        retryable: true,
      })
    return make('UNAVAILABLE', notTheStoreMessage(where, status), { reason: 'NOT_THE_STORE' })
  }
  const code = headers.get('x-ms-error-code') ?? String(error.code ?? '')
  // Azurite calls a wrong signature what the service calls a firewall; its text tells.
  const isProof = code === 'AuthorizationFailure' && /failed to authenticate/i.test(error.message ?? '')
  if (code === 'AuthenticationFailed' || isProof) return ofAuthentication(error, where)
  return BY_CODE[code]?.(at, where) ?? ofStatus(status, code, at, where)
}

const missing = (at: ErrorPlace): Verdict => make('NOT_FOUND', `There is no blob '${at.target}'.`)
const denied = ({ account, host }: Where): Verdict =>
  make(
    'DENIED',
    `${host} does not accept these credentials; check the key, SAS token or sign-in for the account '${account}'.`,
    { reason: 'CREDENTIALS' },
  )
const forbidden = (at: ErrorPlace, { container, host }: Where): Verdict =>
  make(
    'DENIED',
    `${host} does not allow ${at.op} in container '${container}'; the role (Storage Blob Data Contributor) or the permissions of the SAS (rwdlc) lack it.`,
    { reason: 'PERMISSION' },
  )
const busy = (at: ErrorPlace, { host }: Where): Verdict =>
  make('THROTTLED', `${host} has too much to do for ${at.op}; do less at once, or try again later.`, {
    retryable: true,
  })

const BY_CODE: Readonly<Record<string, (at: ErrorPlace, where: Where) => Verdict>> = {
  BlobNotFound: missing,
  ResourceNotFound: missing,
  ContainerNotFound: (_, { container, host, account }) =>
    make(
      'NOT_FOUND',
      `There is no container '${container}' on ${host}; make it with: az storage container create --name ${container} --account-name ${account}`,
      { reason: 'NO_BUCKET' },
    ),
  ContainerBeingDeleted: (_, { container, host }) =>
    make(
      'NOT_FOUND',
      `Container '${container}' on ${host} is being deleted; name another, or make it again in half a minute.`,
      { reason: 'NO_BUCKET' },
    ),
  BlobAlreadyExists: (at) => make('EXISTS', `Blob '${at.target}' exists already.`),
  // A SAS that may create and not overwrite. https://learn.microsoft.com/rest/api/storageservices/create-service-sas#permissions-for-a-directory-container-or-blob
  UnauthorizedBlobOverwrite: forbiddenOverwrite,
  ConditionNotMet: changed,
  TargetConditionNotMet: changed,
  SourceConditionNotMet: sourceChanged,
  InvalidRange: (at) => make('RANGE', `The range lies outside of blob '${at.target}'.`),
  InvalidBlockList: (at) =>
    make('UNAVAILABLE', `Blocks of '${at.target}' are gone: another writer committed the same key meanwhile.`, {
      reason: 'BLOCKS_GONE',
    }),
  InvalidBlobOrBlock: (at) =>
    make(
      'UNAVAILABLE',
      `Another program has an unfinished upload of '${at.target}' in blocks with ids of another length; Azure frees those a week after the last. Write to another key until then.`,
    ),
  BlockCountExceedsLimit: (at) =>
    make(
      'UNAVAILABLE',
      `Too many blocks of '${at.target}' wait for their commit; Azure frees them a week after the last. Write to another key until then.`,
    ),
  LeaseIdMissing: (at) =>
    make('DENIED', `Somebody holds a lease on blob '${at.target}'; end it with: az storage blob lease break`, {
      reason: 'PERMISSION',
    }),
  BlobImmutableDueToPolicy: (at) =>
    make('DENIED', `Blob '${at.target}' may not be changed or deleted, by a policy of its container.`, {
      reason: 'PERMISSION',
    }),
  BlobImmutableDueToLegalHold: (at) =>
    make('DENIED', `Blob '${at.target}' may not be changed or deleted: there is a legal hold on it.`, {
      reason: 'PERMISSION',
    }),
  InvalidBlobType: (at) =>
    make(
      'INVALID',
      `'${at.target}' is an append or page blob of another program, which cannot be written in blocks; delete it first, or use another key.`,
    ),
  BlobArchived: (at) =>
    make(
      'UNAVAILABLE',
      `Blob '${at.target}' is in the archive tier; bring it back with: az storage blob set-tier --tier Hot`,
    ),
  AuthorizationFailure: (at, where) =>
    make('DENIED', `${forbidden(at, where)[1]} Or the account's firewall does not let this machine in.`, {
      reason: 'PERMISSION',
    }),
  AuthorizationPermissionMismatch: forbidden,
  InsufficientAccountPermissions: forbidden,
  AuthorizationResourceTypeMismatch: forbidden,
  AuthorizationServiceMismatch: forbidden,
  AuthorizationProtocolMismatch: forbidden,
  AuthorizationSourceIPMismatch: forbidden,
  NoAuthenticationInformation: (_, where) => denied(where),
  InvalidAuthenticationInfo: (_, where) => denied(where),
  PublicAccessNotPermitted: (_, where) => denied(where),
  KeyBasedAuthenticationNotPermitted: (_, { account }) =>
    make(
      'DENIED',
      `The account '${account}' takes no keys (its shared key access is off); leave the key out and sign in with az login, or use a managed identity.`,
      { reason: 'CREDENTIALS' },
    ),
  AccountIsDisabled: (_, { account }) =>
    make('DENIED', `The storage account '${account}' is disabled.`, { reason: 'PERMISSION' }),
  ServerBusy: busy,
}

function changed(at: ErrorPlace): Verdict {
  return make('CONFLICT', `Blob '${at.target}' has another version by now, or is gone.`)
}

function sourceChanged(at: ErrorPlace): Verdict {
  return make('CONFLICT', `The source of '${at.target}' was replaced while it was copied.`, {
    reason: 'SOURCE_CHANGED',
  })
}

function forbiddenOverwrite(at: ErrorPlace): Verdict {
  return make(
    'DENIED',
    `Blob '${at.target}' exists already, and this SAS may not overwrite it; it lacks the permission w.`,
    { reason: 'PERMISSION' },
  )
}

function ofStatus(status: number, code: string, at: ErrorPlace, where: Where): Verdict {
  // Of a copy whose source was deleted since it was looked at: another look tells.
  if (status === 404) return code === 'CannotVerifyCopySource' ? sourceChanged(at) : missing(at)
  if (status === 412) return changed(at)
  if (status === 416) return make('RANGE', `The range lies outside of blob '${at.target}'.`)
  if (status === 401) return denied(where)
  if (status === 403) return forbidden(at, where)
  if (status === 429 || status === 503) return busy(at, where)
  // 409: something else is under way (OperationAborted, PendingCopyOperation); it says nothing of the condition.
  if (status === 408 || status === 409 || status >= 500)
    return make('UNAVAILABLE', `${where.host} failed at ${at.op} (${status} ${code}).`, { retryable: true })
  return make('UNKNOWN', `${where.host} refused ${at.op} of '${at.target}' (${status} ${code}).`)
}

/** Requests dated further off are refused. https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key#specifying-the-date-header */
const SKEW = 15 * 60_000

/** One code for a wrong key, a wrong clock and a SAS that has expired: the detail, and the server's own time, tell them apart. */
function ofAuthentication(error: SdkError, where: Where): Verdict {
  const text = `${error.message ?? ''}\n${error.response?.bodyAsText ?? ''}`
  const server = Date.parse(error.response?.headers.get('date') ?? '')
  if (/date header/i.test(text) || Math.abs(server - Date.now()) > SKEW)
    return make(
      'DENIED',
      `The clock of this machine differs from that of ${where.host} by more than 15 minutes; set it right.`,
      { reason: 'CLOCK_SKEW' },
    )
  if (
    (where.expires !== undefined && where.expires.getTime() < Date.now()) ||
    /not valid in the specified time frame|signed expiry time/i.test(text)
  )
    return make('DENIED', `The SAS token for ${where.host} has expired, or is not valid yet; make a new one.`, {
      reason: 'CREDENTIALS',
    })
  return denied(where)
}

function notTheStoreMessage({ host }: Where, status?: number): string {
  return `What answered as ${host}${status === undefined ? '' : ` (status ${status})`} is not Azure Blob Storage; a proxy or sign-in page may stand in between, or endpoint names something else.`
}

/** The original error without its request and response, which hold signatures and tokens. */
function plain(error: SdkError): Error {
  const first = (error.message ?? '').split('\n')[0] ?? ''
  const cause = new Error(first.slice(0, 200).replace(/\b(sig|sv|se|skoid|AccountKey)=[^&\s;'"]*/gi, '$1=***'))
  const requestId = error.response?.headers.get('x-ms-request-id')
  const { name, code, response } = error
  return Object.assign(cause, {
    ...(name === undefined ? {} : { name }),
    ...(code === undefined ? {} : { code }),
    ...(response === undefined ? {} : { status: response.status }),
    ...(requestId === undefined ? {} : { requestId }),
  })
}
