import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where servers are kept between runs: `~/.cache/tensorhub/servers`, or `servers` in the folder that TENSORHUB_CACHE names. */
export function cacheFolder(): string {
  return join(process.env['TENSORHUB_CACHE'] || join(homedir(), '.cache', 'tensorhub'), 'servers')
}
