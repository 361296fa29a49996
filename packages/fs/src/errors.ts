import { type ErrorPlace, HubError, isHubError } from '@tensorhub/core'

/** System errors in the hub's codes. */
export function mapError(error: unknown, at: ErrorPlace): unknown {
  if (isHubError(error)) return error
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  const make = (hub: ConstructorParameters<typeof HubError>[0], message: string, retryable = false) =>
    new HubError(hub, message, { at, cause: error, retryable })
  switch (code) {
    case 'ENOENT':
      if (at.op === 'write')
        return make(
          'UNAVAILABLE',
          `The folder of blob '${at.target}', or its temporary file, was removed while it was written; nothing was stored, try again.`,
          true,
        )
      return make('NOT_FOUND', `There is no blob '${at.target}'.`)
    case 'ENOTDIR':
    case 'EISDIR':
      return make(
        'INVALID',
        `On the way to '${at.target}' a file stands where a folder is needed, or the reverse (${code}); name another folder.`,
      )
    case 'EEXIST':
      return make('EXISTS', `Blob '${at.target}' exists already.`)
    case 'ENOSPC':
    case 'EDQUOT':
      return make('STORAGE_FULL', `No space left to write '${at.target}' (${code}); free some and try again.`, true)
    case 'EFBIG':
      return make('STORAGE_FULL', `'${at.target}' is larger than the file system or this user's limit allows.`)
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return make(
        'DENIED',
        `'${at.target}' cannot be read or written by this user (${code}); change the folder's owner or rights.`,
      )
    case 'EMFILE':
    case 'ENFILE':
      return make('THROTTLED', 'Too many files are open; try again, or raise the limit (ulimit -n).', true)
    case 'ENAMETOOLONG':
      return make('INVALID', `The blob key '${at.target}' is too long for this file system.`)
    case 'ESTALE':
    case 'ETIMEDOUT':
    case 'EHOSTDOWN':
    case 'ENOTCONN':
      return make('UNAVAILABLE', `The file system of '${at.target}' does not answer (${code}); try again.`, true)
    case 'EIO':
      return make('UNKNOWN', `The disk failed on '${at.target}' (EIO); whether the write is durable is not known.`)
    default:
      return code === undefined ? error : make('UNKNOWN', `'${at.target}' failed with ${code}.`)
  }
}
