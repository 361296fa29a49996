import { randomUUID } from 'node:crypto'
import { type Call, HubError, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { rewrite } from './copy.ts'
import { isConditionFailed, isDenied } from './errors.ts'
import { PROBE } from './probe.ts'
import { uploadOnce } from './upload-once.ts'

/** Whether the server holds the condition of a copy, which emulators ignore although they hold that of a write. Found out once in a driver's life. */
export class CopyConditions {
  readonly #bucket: Bucket
  #held: Promise<boolean> | undefined

  constructor(bucket: Bucket) {
    this.#bucket = bucket
  }

  /**
   * Tries it out, with three small requests, before the first copy that has a condition; not at Google itself, and not where the options say that preconditions are
   * to be trusted.
   *
   * @throws UNSUPPORTED when the server would ignore it.
   */
  async check(key: string, { signal }: Call): Promise<void> {
    const { service, settings } = this.#bucket
    if (service.xml || !settings.probe) return
    this.#held ??= held(this.#bucket).catch((error: unknown) => {
      this.#held = undefined
      throw error
    })
    const isHeld = await this.#held
    throwIfAborted(signal)
    if (isHeld) return
    throw new HubError(
      'UNSUPPORTED',
      `${service.host} ignores the condition of a copy (as emulators do): blob '${key}' could be replaced. Copy without one, or read the blob and write it.`,
      { at: { scheme: 'gcs', op: 'copy', target: key }, path: 'when', reason: 'PRECONDITIONS_IGNORED' },
    )
  }
}

/** Copies an object over itself, on the condition that it is not there. */
async function held(bucket: Bucket): Promise<boolean> {
  const key = `${PROBE}${randomUUID()}`
  const absent = { when: { ifAbsent: true } } as const
  const writing = bucket.writing(key, absent)
  let generation: string
  try {
    generation = (await uploadOnce(bucket.service, writing, new Uint8Array(), absent)).version
  } catch (error) {
    // Not allowed to write: then there is no copy whose condition could be ignored.
    if (isDenied(error)) return true
    throw error
  }
  let isHeld = false
  try {
    await rewrite(bucket, { name: writing.name, generation }, writing, writing.resource({}), {})
  } catch (error) {
    isHeld = isConditionFailed(error) || isDenied(error)
    if (!isHeld) throw error
  } finally {
    await bucket.removeIfAllowed(writing.name, isHeld ? { generation } : {})
  }
  return isHeld
}
