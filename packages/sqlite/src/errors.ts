import { type ErrorPlace, HubError, isHubError } from '@tensorhub/core'

/** The primary result code of an SQLite error (https://www.sqlite.org/rescode.html), or undefined for other errors. */
export function sqliteCode(error: unknown): number | undefined {
  const e = error as { code?: unknown; errcode?: unknown }
  return e?.code === 'ERR_SQLITE_ERROR' && typeof e.errcode === 'number' ? e.errcode & 0xff : undefined
}

export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error)
  return code === 5 || code === 6
}

/** SQLite's errors in the hub's codes. */
export function mapError(error: unknown, at: ErrorPlace): unknown {
  if (isHubError(error)) return error
  const code = sqliteCode(error)
  const make = (hub: ConstructorParameters<typeof HubError>[0], message: string, retryable = false) =>
    new HubError(hub, message, { at, cause: error, retryable })
  switch (code) {
    case undefined:
      return error
    case 5:
    case 6:
      return make('UNAVAILABLE', `Another process held the lock of ${at.target} too long; try again.`, true)
    case 8:
      return make('DENIED', `${at.target} is read-only; give this user write access to the file and its folder.`)
    case 3:
    case 23:
      return make('DENIED', `This user may not open ${at.target}.`)
    case 14:
      return make(
        'DENIED',
        `${at.target} cannot be opened; check that its folder exists and that this user may write there.`,
      )
    case 10:
      return make(
        'UNKNOWN',
        `Reading or writing ${at.target} failed at the disk (${messageOf(error)}); whether the last change was stored is not known.`,
      )
    case 11:
    case 26:
      return make(
        'INTEGRITY',
        `${at.target} is damaged or no SQLite database (${messageOf(error)}); restore it from a copy.`,
      )
    case 13:
      return make('STORAGE_FULL', `No space left to write ${at.target}; free some and try again.`, true)
    case 19:
      return make('EXISTS', `Documents of ${at.target} share a key that is to be unique.`)
    case 7:
      return make('THROTTLED', 'SQLite ran out of memory.', true)
    case 18:
      return make('INVALID', 'The document is larger than SQLite stores.')
    default:
      return make('UNKNOWN', `SQLite failed on ${at.target}: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
