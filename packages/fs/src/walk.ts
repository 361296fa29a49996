import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { compareStrings } from '@tensorhub/core'
import { segmentOfFile, segmentOfFolder } from './layout.ts'

/** The keys below a folder in UTF-8 order, one directory in memory at a time a level. Files that are none of ours are passed over. */
export async function* walkKeys(
  folder: string,
  prefix: string,
  after: string | undefined,
  base = '',
): AsyncGenerator<string, void, undefined> {
  const entries: { readonly name: string; readonly key: string; readonly isFolder: boolean }[] = []
  try {
    for await (const entry of await opendir(folder)) {
      if (entry.isDirectory()) {
        const segment = segmentOfFolder(entry.name)
        if (segment === undefined) continue
        const key = `${base}${segment}/`
        // A folder matters if it can hold keys with the prefix, and keys behind `after`.
        const could = key.startsWith(prefix) || prefix.startsWith(key)
        if (could && (after === undefined || compareStrings(key, after) > 0 || after.startsWith(key)))
          entries.push({ name: entry.name, key, isFolder: true })
      } else {
        const segment = segmentOfFile(entry.name)
        if (segment === undefined) continue
        const key = base + segment
        if (key.startsWith(prefix) && (after === undefined || compareStrings(key, after) > 0))
          entries.push({ name: entry.name, key, isFolder: false })
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  // All keys of folder `a/` begin with `a/`, so sorting folders by that text puts them among the files in key order.
  entries.sort((x, y) => compareStrings(x.key, y.key))
  for (const entry of entries) {
    if (entry.isFolder) yield* walkKeys(join(folder, entry.name), prefix, after, entry.key)
    else yield entry.key
  }
}
