import { randomUUID } from 'node:crypto'
import {
  type BlobInfo,
  type Call,
  HubError,
  isHubError,
  type Precondition,
  type RetryOptions,
  retrying,
  type WriteOptions,
} from '@tensorhub/core'
import {
  ConnectionFailure,
  isAmbiguous,
  isConditionFailed,
  isDenied,
  isNoBucket,
  ReplyFailure,
  transientWithin,
} from './errors.ts'
import { FIELDS, infoOf, isGeneration, NONCE, type ObjectResource, resourceOf } from './object-info.ts'
import type { Service } from './service.ts'

/** Milliseconds that an aborted write may look for what became of it: with the two seconds for a reply less than core waits for it. */
const LOOK = 900

/** What every write of one blob shares: where to, under which condition, and the mark that tells its outcome. */
export class Writing {
  readonly key: string
  /** The object's name. */
  readonly name: string
  readonly nonce = randomUUID()
  readonly #service: Service
  readonly #when: Precondition | undefined
  readonly #signal: AbortSignal | undefined
  readonly #hidden: boolean
  /** The last failure of a request of this write that may have been carried out. */
  #ambiguous: { readonly error: unknown } | undefined

  /** @param o `hidden`: nobody but the upload that it is a part of sees the object. Whether it was made does not matter where it is not known: what went wrong does. */
  constructor(
    service: Service,
    key: string,
    name: string,
    o: Call & { readonly when?: Precondition; readonly hidden?: boolean },
  ) {
    this.#service = service
    this.key = key
    this.name = name
    this.#when = o.when
    this.#signal = o.signal
    this.#hidden = o.hidden === true
    if (o.when !== undefined && 'ifVersion' in o.when && !isGeneration(o.when.ifVersion)) throw this.refused()
  }

  /** The query of a request that commits. https://cloud.google.com/storage/docs/request-preconditions */
  get condition(): Readonly<Record<string, string>> {
    if (this.#when === undefined) return {}
    return { ifGenerationMatch: 'ifAbsent' in this.#when ? '0' : this.#when.ifVersion }
  }

  /** Looks whether the condition would hold now. Whoever may not read learns it at the commit. @throws EXISTS, CONFLICT */
  async foresee(): Promise<void> {
    const expected = this.condition['ifGenerationMatch']
    if (expected === undefined) return
    let generation: string
    try {
      generation = (await retrying(() => this.#object(), this.#again)).generation
    } catch (error) {
      if (isDenied(error)) return
      if (!(error instanceof ReplyFailure && error.status === 404) || isNoBucket(error)) throw error
      generation = '0'
    }
    if (generation !== expected) throw this.refused()
  }

  /** The metadata of the new object. */
  resource(o: Pick<WriteOptions, 'contentType' | 'meta'>) {
    return resourceOf(o, this.nonce)
  }

  /**
   * Does what commits, again while it fails in a way that may pass. After a failure that leaves it open whether it was carried out, the object is asked for the
   * mark of this write first: so a lost reply is neither a false 412 nor written twice.
   *
   * @param size Bytes that were sent.
   */
  async commit(size: number, work: () => Promise<ObjectResource>): Promise<BlobInfo> {
    return this.#verified(await this.#committed(work), size)
  }

  async #committed(work: () => Promise<ObjectResource>): Promise<ObjectResource> {
    try {
      return await retrying(async () => {
        const done = this.#ambiguous ? await this.#settled() : undefined
        if (done !== undefined) return done
        try {
          return await work()
        } catch (error) {
          if (isAmbiguous(error)) this.#ambiguous = { error }
          throw error
        }
      }, this.#again)
    } catch (error) {
      if (isHubError(error, 'ABORTED')) return this.#doneBefore(error)
      if (isHubError(error)) throw error
      const refused = this.#when !== undefined && isConditionFailed(error)
      if (!this.#ambiguous) throw refused ? this.refused() : error
      let done: ObjectResource | undefined
      try {
        done = await retrying(() => this.#settled(), this.#again)
      } catch (failure) {
        if (isHubError(failure)) throw failure
        // What is known already says more than that asking failed as well.
        throw this.#when === undefined ? this.#ambiguous.error : this.#unknown(this.#ambiguous.error)
      }
      if (done !== undefined) return done
      // A server that has only been silent may yet do it.
      const pending = error instanceof ConnectionFailure && error.code === 'ETIMEDOUT'
      throw this.#when !== undefined && (refused || pending) ? this.#unknown(error) : error
    }
  }

  /** What became of a write that is aborted while its outcome is open: where it was done, that is told, as it is where the reply comes. @throws `aborted` else. */
  async #doneBefore(aborted: HubError): Promise<ObjectResource> {
    if (this.#ambiguous === undefined || this.#hidden) throw aborted
    // Not even this can be learnt: then it was aborted, which promises nothing of what was sent before.
    const object = await this.#object(AbortSignal.timeout(LOOK)).catch(() => undefined)
    if (object?.metadata?.[NONCE] !== this.nonce) throw aborted
    return object
  }

  /** The object as this write made it; undefined while it may yet be made. @throws when another one's stands in its way. */
  async #settled(): Promise<ObjectResource | undefined> {
    let object: ObjectResource
    try {
      object = await this.#object()
    } catch (error) {
      if (error instanceof ReplyFailure && error.status === 404) {
        if (this.#when !== undefined && 'ifVersion' in this.#when) throw this.#unknown(error)
        return undefined
      }
      throw error
    }
    if (object.metadata?.[NONCE] === this.nonce) return object
    if (this.#when === undefined) return undefined
    if ('ifAbsent' in this.#when) throw this.refused()
    // Another one's: instead of this one, or over it.
    if (this.#when.ifVersion !== object.generation) throw this.#unknown(undefined)
    return undefined
  }

  #object(signal = this.#signal): Promise<ObjectResource> {
    return this.#service.json<ObjectResource>({
      method: 'GET',
      path: objectPath(this.#service.bucket, this.name, { fields: FIELDS }),
      signal,
    })
  }

  /** What the service took in must be what was sent. @throws INTEGRITY; the object is gone then, or the error says that it stays. */
  async #verified(object: ObjectResource, size: number): Promise<BlobInfo> {
    const info = infoOf(this.key, object, this.#service.host)
    if (info.size === size) return info
    const error = new HubError(
      'INTEGRITY',
      `The service stored ${info.size} bytes of blob '${this.key}' where ${size} were sent. Try again.`,
      { at: { scheme: 'gcs', op: 'write', target: this.key }, retryable: true },
    )
    try {
      // Also behind an abort: what is wrong must not stay.
      const { signal: _theirs, ...again } = this.#again
      await retrying(() => this.#remove(info.version), again)
    } catch (failure) {
      Object.assign(error, { suppressed: failure })
    }
    throw error
  }

  async #remove(generation: string): Promise<void> {
    const path = objectPath(this.#service.bucket, this.name, { generation })
    await (await this.#service.send({ method: 'DELETE', path, accept: [404] })).bytes()
  }

  get #again(): RetryOptions {
    return {
      isTransient: transientWithin(this.#service.timeout),
      attempts: 6,
      baseMs: 200,
      ...(this.#signal ? { signal: this.#signal } : {}),
    }
  }

  #unknown(cause: unknown): unknown {
    if (this.#hidden && cause !== undefined) return cause
    return new HubError(
      'UNKNOWN',
      `A conditional write of blob '${this.key}' to ${this.#service.host} failed such that whether it was done is not known. Read the blob before you write again.`,
      { at: { scheme: 'gcs', op: 'write', target: this.key }, reason: 'OUTCOME_UNKNOWN', cause },
    )
  }

  /** The error of a precondition that does not hold. */
  refused(): HubError {
    const at = { scheme: 'gcs', op: 'write', target: this.key }
    if (this.#when !== undefined && 'ifAbsent' in this.#when)
      return new HubError('EXISTS', `Blob '${this.key}' exists already.`, { at })
    return new HubError('CONFLICT', `Blob '${this.key}' has another version by now, or is gone.`, { at })
  }
}

/** The path of an object in the JSON API, with its query. */
export function objectPath(bucket: string, name: string, query: Readonly<Record<string, string>> = {}): string {
  return withQuery(`/storage/v1/b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(name)}`, query)
}

export function uploadPath(bucket: string, query: Readonly<Record<string, string>>): string {
  return withQuery(`/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`, query)
}

export function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString()
  return text === '' ? path : `${path}?${text}`
}
