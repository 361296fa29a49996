import { fileURLToPath } from 'node:url'
import { HubError, type IndexDriver } from '@tensorhub/core'
import { sqlite } from './driver.ts'

/** `sqlite:///absolute/path.db`. */
export function indexFromUrl(url: string): IndexDriver {
  if (!/^sqlite:\/\/\/[^?#]+$/.test(url)) {
    throw new HubError('INVALID', `'${url}' is no SQLite URL: sqlite:///absolute/path.db, without parameters.`, {
      at: { scheme: 'sqlite', op: 'open' },
    })
  }
  return sqlite({ file: fileURLToPath(`file${url.slice('sqlite'.length)}`) })
}
