import type { Call } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { each } from './each.ts'
import { objects } from './list.ts'

/**
 * No key begins so: keys have no `!`. Behind it stand the upload's id, `-`, and the part. No `/`: it would make a folder of each upload in a bucket with a hierarchical
 * namespace, which stays when it is empty, and slows listings down. https://cloud.google.com/storage/docs/hns-buckets-best-practices
 */
export const PARTS = '!tensorhub-part-'

/** The object of a part of an upload; of an intermediate with a letter before its number. */
export function partName(bucket: Bucket, upload: string, part: number | string): string {
  return bucket.nameOf(`${PARTS}${upload}-${part}`)
}

/**
 * Deletes all that an upload has left, also what a lost reply made: asks the bucket for it. By generation, so that nothing stays as an older version.
 *
 * @throws the first failure; the rest is left then, for `sweep`.
 */
export async function removeParts(bucket: Bucket, upload: string, o: Call): Promise<void> {
  const found: { readonly name: string; readonly generation: string }[] = []
  for await (const { name, generation } of objects(bucket, `${PARTS}${upload}-`, o)) found.push({ name, generation })
  await each(found, bucket.settings.parallel, o.signal, ({ name, generation }, signal) =>
    bucket.remove(name, { generation, signal }),
  )
}
