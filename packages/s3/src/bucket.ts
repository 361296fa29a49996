import { type ErrorPlace, HubError } from '@tensorhub/core'
import { S3Failure } from './failure.ts'
import type { Settings } from './options.ts'
import type { Requests } from './requests.ts'

/** How names of probe objects begin. No key does, since `!` is in none: lists leave out what a process that died in `open` left, and `sweep` frees it. */
export const PROBE = '!tensorhub-probe-'

/** What every operation needs: whom to ask, for which bucket, under which names. */
export class Bucket {
  readonly requests: Requests
  readonly settings: Settings

  constructor(requests: Requests, settings: Settings) {
    this.requests = requests
    this.settings = settings
  }

  get name(): string {
    return this.settings.bucket
  }

  /** The object of a key. */
  object(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.name, Key: this.settings.prefix + key }
  }

  /** The value of `x-amz-copy-source`. */
  source(key: string): string {
    return `${this.name}/${(this.settings.prefix + key).split('/').map(encodeURIComponent).join('/')}`
  }

  at(op: string, target: string): ErrorPlace {
    return { scheme: 's3', op, target }
  }

  /** A reply without what every S3 server gives. */
  stranger(what: string): S3Failure {
    return new S3Failure('stranger', what, what, { host: this.requests.host })
  }

  changed(key: string, op: string): HubError {
    return new HubError('CONFLICT', `Blob '${key}' has another version by now.`, { at: this.at(op, key) })
  }
}
