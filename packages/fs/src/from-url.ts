import { fileURLToPath } from 'node:url'
import { type BlobDriver, HubError } from '@tensorhub/core'
import { fs } from './driver.ts'

/** `file:///absolute/folder`. */
export function blobsFromUrl(url: string): BlobDriver {
  if (!/^file:\/\/\/[^?#]*$/.test(url)) {
    throw new HubError('INVALID', `'${url}' is no file URL: file:///absolute/folder, without parameters.`, {
      at: { scheme: 'fs', op: 'open' },
    })
  }
  return fs({ folder: fileURLToPath(url) })
}
