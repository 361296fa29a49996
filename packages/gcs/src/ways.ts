import { emitWarning } from 'node:process'
import { abortError, type Call, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { isDenied, mapError } from './errors.ts'
import { type Permitted, permitted } from './permitted.ts'

/** Which way large bodies go: by a session or as a composite. What is found out holds as long as the driver lives. */
export class Ways {
  /** Whether compose requests ask that their sources are deleted with them. */
  composeDeletes = true
  readonly #bucket: Bucket
  #permitted: Promise<Permitted> | undefined
  /** Objects cannot be deleted here. */
  #stay = false

  constructor(bucket: Bucket) {
    this.#bucket = bucket
  }

  /** Objects cannot be deleted in this bucket, or not by this account: none are made from now on that would have to be. */
  objectsStay(): void {
    this.#stay = true
  }

  /** Whether a body goes as a composite. Finds out, the first time, what the bucket permits, unless the options say. */
  async composite(conditional: boolean, o: Call): Promise<boolean> {
    const { upload } = this.#bucket.settings
    if (this.#stay || upload === 'session') return false
    if (upload === 'composite') return true
    const { composite, conditions } = await this.#find(o)
    return composite && (conditions || !conditional)
  }

  /** Part objects could not be deleted behind a write that succeeded. Said aloud, and not repeated where it would be the same again. */
  partsStay(error: unknown): void {
    if (isDenied(error)) this.objectsStay()
    const { name } = this.#bucket
    const why = mapError(error, { scheme: 'gcs', op: 'write' })?.message ?? String(error)
    emitWarning(`Part objects of a large upload stay in bucket '${name}': ${why}`, {
      type: 'TensorHubWarning',
      code: 'TENSORHUB_GCS_PARTS',
      detail: `The blob itself is written. Their names begin with '${this.#bucket.settings.prefix}!tensorhub-part-'; sweep() by an account that may list and delete objects frees them. With upload: 'session' there are none${this.#stay ? '; this driver goes by sessions from now on' : ''}.`,
    })
  }

  /** Shared by all who ask at the same time; no one's abort is another's. */
  async #find({ signal }: Call): Promise<Permitted> {
    throwIfAborted(signal)
    this.#permitted ??= permitted(this.#bucket).catch((error: unknown) => {
      this.#permitted = undefined
      throw error
    })
    const finding = this.#permitted
    if (signal === undefined) return finding
    return new Promise<Permitted>((resolve, reject) => {
      const onAbort = () => reject(abortError(signal))
      signal.addEventListener('abort', onAbort, { once: true })
      finding.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
    })
  }
}
