import { randomUUID } from 'node:crypto'
import { type Call, isHubError } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { isDenied } from './errors.ts'
import { uploadOnce } from './upload-once.ts'

/** No key begins so: keys have no `!`. */
export const PROBE = '!tensorhub-probe-'

/**
 * Writes an object twice, create-only, and deletes it: a server that takes the second ignores preconditions. Whoever may only read is not kept from it.
 *
 * @returns `held`: whether they hold. `stays`: the object could not be deleted.
 */
export async function probe(bucket: Bucket, o: Call): Promise<{ readonly held: boolean; readonly stays: boolean }> {
  const key = `${PROBE}${randomUUID()}`
  const write = async () => {
    const options = { ...o, when: { ifAbsent: true } } as const
    return (await uploadOnce(bucket.service, bucket.writing(key, options), new Uint8Array(), options)).version
  }
  let made: { readonly generation?: string }
  try {
    made = { generation: await write() }
  } catch (error) {
    // Not allowed to write: then there is no write whose precondition could be ignored.
    if (isDenied(error)) return { held: true, stays: false }
    throw error
  }
  let held: boolean
  let stays: boolean
  try {
    await write()
    held = false
    made = {}
  } catch (error) {
    // Not allowed to overwrite: asked for after the precondition or before, it did not go through.
    if (!isHubError(error, 'EXISTS') && !isDenied(error)) throw error
    held = true
  } finally {
    // By its generation: by its name alone, a bucket with versions would keep it. Where it stays, `sweep` of somebody who may delete will free it.
    stays = !(await bucket.removeIfAllowed(bucket.nameOf(key), { ...o, ...made }))
  }
  return { held, stays }
}
