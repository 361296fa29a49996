import { type ErrorPlace, HubError, isHubError } from './hub-error.ts'

/** Any rejection as a HubError with a place; a foreign error becomes UNKNOWN with the original as cause. */
export function asHubError(error: unknown, at: ErrorPlace): HubError {
  if (isHubError(error)) return error
  if (error instanceof Error && error.name === 'AbortError')
    return new HubError('ABORTED', 'The operation was aborted.', { at, cause: error })
  return new HubError(
    'UNKNOWN',
    `${at.op} on ${at.scheme} failed: ${error instanceof Error ? error.message : String(error)}`,
    { at, cause: error },
  )
}
