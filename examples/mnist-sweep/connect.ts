import { env } from 'node:process'
import { fileURLToPath } from 'node:url'
import { isHubError, TensorHub } from 'tensorhub'
import type { HubPlace } from './options.ts'
import { PROJECT } from './plan.ts'

/** The hub of this example: what is named, or the environment names, else an embedded one in the folder `.tensorhub` beside this file. */
export function connect(place: HubPlace): Promise<TensorHub> {
  // The tasks are this example's own, so its runners may run any script in this project of this hub.
  const options = { projectName: PROJECT, scripts: 'any' } as const
  if ('index' in place) return TensorHub.connect({ ...place, ...options })
  if (place.url !== undefined) return TensorHub.connect(place.url, options)
  if (env['TENSORHUB_URL'] || env['TENSORHUB_INDEX']) return TensorHub.connect(options)
  return TensorHub.connect(fileURLToPath(new URL('.tensorhub', import.meta.url)), options)
}

/** What another process of this example needs in its environment to be at the same hub. In arguments every user of the machine could read the password of a URL. */
export function environmentOf(place: HubPlace): NodeJS.ProcessEnv {
  if ('index' in place) return { TENSORHUB_URL: '', TENSORHUB_INDEX: place.index, TENSORHUB_BLOBS: place.blobs }
  return place.url === undefined ? {} : { TENSORHUB_URL: place.url, TENSORHUB_INDEX: '', TENSORHUB_BLOBS: '' }
}

/** What to print of a failure. The message of a hub's error names the place and the way out; only where the hub knows no more than we do does its stack tell something. */
export function toldOf(error: unknown): unknown {
  return isHubError(error) && error.code !== 'UNKNOWN' ? `${error.code}: ${error.message}` : error
}
