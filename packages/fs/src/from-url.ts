import { fileURLToPath } from 'node:url'
import { type BlobDriver, HubError, redactUrl } from '@tensorhub/core'
import { fs } from './driver.ts'

/** `file:///absolute/folder`. */
export function blobsFromUrl(url: string): BlobDriver {
  return fs({ folder: folderOf(url) })
}

/** @throws INVALID for another form, or an encoding that no path has (`%2F`). */
function folderOf(url: string): string {
  try {
    if (/^file:\/\/\/[^?#]*$/.test(url)) return fileURLToPath(url)
  } catch {
    // No path, as said below.
  }
  throw new HubError('INVALID', `'${redactUrl(url)}' is no file URL: file:///absolute/folder, without parameters.`, {
    at: { scheme: 'fs', op: 'open' },
  })
}
