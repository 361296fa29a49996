import { type Call, type Precondition, retrying } from '@tensorhub/core'
import { isDenied, isNoBucket, ReplyFailure, transientWithin } from './errors.ts'
import type { HttpReply } from './http.ts'
import { FIELDS, type ObjectResource } from './object-info.ts'
import type { GcsSettings } from './options.ts'
import { Service, type ServiceRequest } from './service.ts'
import { objectPath, Writing } from './writing.ts'

/** The place where all blobs lie: a bucket, and a prefix before the keys. Its requests are such as may be sent again. */
export class Bucket {
  readonly settings: GcsSettings
  readonly service: Service

  constructor(settings: GcsSettings) {
    this.settings = settings
    this.service = new Service(settings)
  }

  get name(): string {
    return this.settings.bucket
  }

  /** The object of a key. */
  nameOf(key: string): string {
    return `${this.settings.prefix}${key}`
  }

  writing(key: string, o: Call & { readonly when?: Precondition }): Writing {
    return new Writing(this.service, key, this.nameOf(key), o)
  }

  /** A request that may be sent again. */
  send(request: ServiceRequest): Promise<HttpReply> {
    return this.#again(request, () => this.service.send(request))
  }

  /** The same for a reply that is a JSON object: also when it breaks off. */
  json<T extends object>(request: ServiceRequest): Promise<T> {
    return this.#again(request, () => this.service.json<T>(request))
  }

  resource(key: string, o: Call): Promise<ObjectResource> {
    const path = objectPath(this.name, this.nameOf(key), { fields: FIELDS })
    return this.json<ObjectResource>({ method: 'GET', path, signal: o.signal })
  }

  /** Deletes an object; what is not there is gone already. With its generation it does not stay as an older version either. */
  async remove(name: string, o: Call & { readonly generation?: string }): Promise<void> {
    const path = objectPath(this.name, name, o.generation === undefined ? {} : { generation: o.generation })
    try {
      await (await this.send({ method: 'DELETE', path, signal: o.signal })).bytes()
    } catch (error) {
      if (!(error instanceof ReplyFailure && error.status === 404) || isNoBucket(error)) throw error
    }
  }

  /** @returns False when deleting is not allowed: a right that is missing, a retention policy, a hold. */
  async removeIfAllowed(name: string, o: Call & { readonly generation?: string }): Promise<boolean> {
    try {
      await this.remove(name, o)
      return true
    } catch (error) {
      if (isDenied(error)) return false
      throw error
    }
  }

  #again<T>({ signal }: ServiceRequest, work: () => Promise<T>): Promise<T> {
    return retrying(work, {
      isTransient: transientWithin(this.settings.timeout),
      attempts: 6,
      ...(signal ? { signal } : {}),
    })
  }
}
