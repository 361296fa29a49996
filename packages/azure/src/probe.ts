import { randomUUID } from 'node:crypto'
import { type BlobCan, type Call, isHubError } from '@tensorhub/core'
import { placeOf, type Store } from './store.ts'

/** No key of core's begins so, since `!` is in none; lists leave it out. */
const PROBE = '!tensorhub-probe-'

/**
 * Tries whether the server holds conditions: a second create-only write, and one over a version that never was, must be refused. A server that ignores them
 * loses what it can do, rather than data. A caller that may only read keeps the record: its writes are denied anyway.
 *
 * @throws what makes the container unusable: NO_BUCKET, CREDENTIALS, UNREACHABLE.
 */
export async function probed(store: Store, can: BlobCan, o: Call): Promise<Readonly<BlobCan>> {
  const at = placeOf('open', store.where.container)
  const { requests, container, transfer } = store
  const blob = container.getBlockBlobClient(`${transfer.root}${PROBE}${randomUUID()}`)
  const write = (conditions: { ifNoneMatch?: string; ifMatch?: string }) =>
    requests
      .repeated(at, o, (abortSignal) => blob.upload('', 0, { conditions, abortSignal }))
      .then(
        () => 'written' as const,
        (error: unknown) => {
          if (isHubError(error, 'EXISTS') || isHubError(error, 'CONFLICT')) return 'refused' as const
          if (isHubError(error, 'DENIED') && error.reason === 'PERMISSION') return 'denied' as const
          throw error
        },
      )
  // Refused already: a repetition after a lost reply, which proves as much.
  const first = await write({ ifNoneMatch: '*' })
  if (first === 'denied') return can
  try {
    const [absent, version] = await Promise.all([write({ ifNoneMatch: '*' }), write({ ifMatch: '"0x0TENSORHUB"' })])
    const held = absent !== 'written' && version !== 'written'
    return held ? can : { ...can, ifAbsent: false, ifVersion: false }
  } finally {
    await requests
      .repeated(at, o, (abortSignal) => blob.deleteIfExists({ abortSignal }))
      .catch((error: unknown) => {
        // A SAS may write and not delete. The empty blob that stays is in no list.
        if (!isHubError(error, 'DENIED')) throw error
      })
  }
}
