import { randomBytes } from 'node:crypto'
import { type BlobStore, type Call, HubError, type IndexStore, isHubError } from '@tensorhub/core'
import { ulid } from 'ulid'

const HUB = '_hub'
const ID = { op: 'eq', path: ['_id'], value: 'id' } as const

/** A hub's two layers, past its projects. */
export interface Layers {
  readonly index: IndexStore
  readonly blobs: BlobStore
}

/**
 * The id of a hub, by which copies know where they came from; made when it is first asked for. Undefined where this user may only read: then documents are
 * compared each time instead of their revisions.
 */
export async function hubId(index: IndexStore, call: Call): Promise<string | undefined> {
  const read = async () => (await index.top(HUB, ID, call))?.['value'] as string | undefined
  const known = await read()
  if (known !== undefined) return known
  try {
    const value = ulid()
    await index.insert(HUB, [{ _id: 'id', value }], call)
    return value
  } catch (error) {
    if (isHubError(error, 'EXISTS')) return read()
    if (isHubError(error, 'DENIED')) return undefined
    throw error
  }
}

/**
 * Refuses a destination that shares a layer with the source, whatever the two are called: what is written at the destination must not be seen at the
 * source. Two hubs over one blob store would collect each other's chunks.
 *
 * @throws INVALID (reason SAME_STORE)
 */
export async function refuseSameStore(source: Layers, destination: Layers, call: Call): Promise<void> {
  const nonce = randomBytes(16).toString('hex')
  const where = { op: 'eq', path: ['_id'], value: 'copy' } as const
  const read = async (index: IndexStore) => (await index.top(HUB, where, call))?.['nonce']
  const at = await destination.index.now(call)
  if ((await destination.index.takeOne(HUB, where, { set: { nonce, at } }, call)) === null) {
    try {
      await destination.index.insert(HUB, [{ _id: 'copy', nonce, at }], call)
    } catch (error) {
      if (!isHubError(error, 'EXISTS')) throw error
      await destination.index.takeOne(HUB, where, { set: { nonce, at } }, call)
    }
  }
  // Another copy to this destination may write into the same row meanwhile. What stood there before and after the source was read tells as well:
  // it was written there alone, since this copy began.
  for (let before: unknown = nonce; ; ) {
    const found = await read(source.index)
    const after = await read(destination.index)
    if (found === nonce || (found === before && before === after)) throw same('index')
    if (before === after) break
    before = after
  }
  // Under a manifest's key, so that a collector frees it if this process dies here.
  const key = `m/${ulid()}.json`
  await destination.blobs.write(key, new TextEncoder().encode(nonce), call)
  let shared: boolean
  try {
    shared = await source.blobs.exists(key, call)
  } finally {
    await destination.blobs.delete([key])
  }
  if (shared) throw same('blob store')
}

function same(layer: string): HubError {
  return new HubError(
    'INVALID',
    `copyTo: source and destination have the same ${layer}; a copy needs an index and a blob store of its own.`,
    { at: { scheme: 'hub', op: 'copyTo' }, reason: 'SAME_STORE' },
  )
}
