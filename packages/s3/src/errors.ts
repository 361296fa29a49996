import { type ErrorCode, type ErrorPlace, isHubError, type MappedError } from '@tensorhub/core'
import { kindOfNodeError, S3Failure } from './failure.ts'

const CREDENTIALS = new Set([
  ...['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'ExpiredToken', 'TokenRefreshRequired'],
  ...['InvalidSecurity', 'InvalidClientTokenId', 'UnrecognizedClientException', 'CredentialsNotSupported'],
  // versitygw answers an unknown access key with 404.
  ...['XAdminUserNotFound', 'MissingSecurityHeader'],
])
const DIGEST = new Set(['BadDigest', 'XAmzContentSHA256Mismatch', 'InvalidDigest', 'XAmzContentChecksumMismatch'])
const REGION = new Set([
  ...['PermanentRedirect', 'TemporaryRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'],
  ...['IncorrectEndpoint', 'InvalidRegionName'],
])
/** versitygw keeps keys as paths. */
const PATHS = new Set(['ExistingObjectIsDirectory', 'ObjectParentIsFile', 'DirectoryObjectContainsData'])

function make(code: ErrorCode, message: string, o: Pick<MappedError, 'reason' | 'retryable'> = {}): MappedError {
  return { code, message, ...o }
}

/** What a failed request means. Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList */
export function mapError(error: unknown, at: ErrorPlace, bucket: string): MappedError | undefined {
  if (isHubError(error)) return undefined
  if (!(error instanceof S3Failure)) {
    const kind = kindOfNodeError(error)
    if (kind === undefined) return undefined
    const { code = 'error', message } = error as { code?: string; message: string }
    return mapError(new S3Failure(kind, code, message, { host: 'the server' }), at, bucket)
  }
  const { code, host, status } = error
  const what = at.target === undefined ? at.op : `${at.op} of '${at.target}'`
  const place = `bucket '${bucket}' at ${host || 'AWS'}`
  const said = `${code}${status === undefined ? '' : `, HTTP ${status}`}`
  switch (error.kind) {
    case 'unreachable':
      return make(
        'UNAVAILABLE',
        `${host || 'The server'} cannot be reached (${code}); check the endpoint and the network. ${what} on ${place} did not happen.`,
        { reason: 'UNREACHABLE', retryable: true },
      )
    case 'broken':
      return make(
        'UNAVAILABLE',
        `The connection to ${host || 'the server'} broke, or nothing came on it within the timeout (${code}), during ${what} on ${place}; try again.`,
        { reason: 'UNREACHABLE', retryable: true },
      )
    case 'tls':
      return make(
        'UNAVAILABLE',
        code === 'EPROTO'
          ? `No secure connection to ${host}: what answers there does not speak TLS as https wants it. A server without TLS has an endpoint of http://.`
          : `No secure connection to ${host} (${code}): ${error.message}. Use the name that the certificate has; for an authority of your own set NODE_EXTRA_CA_CERTS.`,
        { reason: 'TLS' },
      )
    case 'setup':
      return setup(error, place)
    case 'stranger':
      return make(
        'UNAVAILABLE',
        `${host} answered ${what} with something that is not S3's (${said}): another service, or a proxy's page stands there. Check the endpoint, the proxy, or sign in to the network.`,
        { reason: 'NOT_THE_STORE' },
      )
    case 'answered':
      return answered(error, what, place, said, bucket)
  }
}

function setup(error: S3Failure, place: string): MappedError {
  if (/region/i.test(error.message))
    return make('INVALID', `No region for ${place}: give \`region\`, or set AWS_REGION.`, { reason: 'REGION' })
  return make(
    'DENIED',
    `No credentials for ${place}: give \`credentials\` or \`profile\`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (${error.message})`,
    { reason: 'CREDENTIALS' },
  )
}

function answered(error: S3Failure, what: string, place: string, said: string, bucket: string): MappedError {
  const { code, status, region } = error
  if (code === 'NoSuchBucket')
    return make(
      'NOT_FOUND',
      `There is no ${place}; create it (aws s3 mb s3://${bucket}), or correct the name or the endpoint.`,
      { reason: 'NO_BUCKET' },
    )
  if (CREDENTIALS.has(code) || status === 401)
    return make(
      'DENIED',
      `${place} does not take these credentials (${said}): check the access key, its secret and its session token, and that they have not expired.`,
      { reason: 'CREDENTIALS' },
    )
  if (code === 'RequestTimeTooSkewed' || code === 'RequestExpired')
    return make(
      'DENIED',
      `${place} refuses requests because this machine's clock differs too much from its own (${said}); set the clock (NTP).`,
      { reason: 'CLOCK_SKEW' },
    )
  if (REGION.has(code) || status === 301 || status === 307)
    return make(
      'INVALID',
      `${place} is in another region${region === undefined ? '' : `: give region '${region}'`} (${said}); with an endpoint, name that region's.`,
      { reason: 'REGION' },
    )
  if (error.isFull) return make('STORAGE_FULL', `${place} is full or over its quota (${said}); nothing was stored.`)
  if (error.isBusy)
    return make(
      'THROTTLED',
      `${place} takes no more requests now (${said}); ${what} was tried several times. Try later, or do less at once.`,
      { retryable: true },
    )
  if (code === 'NoSuchKey' || code === 'NoSuchUpload' || code === 'NotFound')
    return make('NOT_FOUND', `${what}: there is nothing of that key in ${place}.`)
  if (DIGEST.has(code))
    return make(
      'INTEGRITY',
      `${what}: what arrived at ${place} is not of the hash that was given (${said}); nothing was stored.`,
    )
  if (PATHS.has(code))
    return make(
      'INVALID',
      `${what}: ${place} keeps keys as paths, where one key cannot lie under another (${said}); use another key.`,
    )
  if (error.isConflict)
    return make('UNAVAILABLE', `${what}: other requests on it keep ${place} busy (${said}); try again.`, {
      retryable: true,
    })
  if (error.isPrecondition) return make('CONFLICT', `${what}: it has another version by now.`)
  if (status === 403 || status === 405)
    return make(
      'DENIED',
      `These credentials may not do ${what} in ${place} (${said}); a policy must allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads there.`,
      { reason: 'PERMISSION' },
    )
  if (status === 501 || code === 'NotImplemented')
    return make('UNSUPPORTED', `The server of ${place} does not offer what ${what} needs (${said}).`)
  if (code === 'RequestTimeout' || (status ?? 0) >= 500)
    return make('UNAVAILABLE', `${place} failed in ${what} (${said}); try again.`, { retryable: true })
  if (status === 400 || status === 413 || status === 411)
    return make('INVALID', `${place} refuses ${what} (${said}): ${error.message}`)
  return make('UNKNOWN', `${place} answered ${what} with ${said}: ${error.message}`)
}
