import { fileURLToPath } from 'node:url'
import { HubError, type IndexDriver, redactUrl } from '@tensorhub/core'
import { sqlite } from './driver.ts'

/** `sqlite:///absolute/path.db`. */
export function indexFromUrl(url: string): IndexDriver {
  return sqlite({ file: fileOf(url) })
}

/** @throws INVALID for another form, or an encoding that no path has (`%2F`). */
function fileOf(url: string): string {
  try {
    if (/^sqlite:\/\/\/[^?#]+$/.test(url)) return fileURLToPath(`file${url.slice('sqlite'.length)}`)
  } catch {
    // No path, as said below.
  }
  throw new HubError(
    'INVALID',
    `'${redactUrl(url)}' is no SQLite URL: sqlite:///absolute/path.db, without parameters.`,
    {
      at: { scheme: 'sqlite', op: 'open' },
    },
  )
}
