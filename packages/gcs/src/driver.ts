import { randomUUID } from 'node:crypto'
import type { Storage } from '@google-cloud/storage'
import {
  type BlobCan,
  type BlobDriver,
  type BlobInfo,
  type ByteRange,
  type Call,
  continuedBody,
  HubError,
  isHubError,
  isKey,
  type Precondition,
  readRanges,
  retrying,
  type SignedUrl,
  type SignOptions,
  throwIfAborted,
  uploadInParts,
  type WriteOptions,
  wrapErrors,
} from '@tensorhub/core'
import { isNoBucket, isTransient, mapError, NotTheStore, ReplyFailure, transientWithin } from './errors.ts'
import type { HttpReply } from './http.ts'
import { FIELDS, infoOf, infoOfHeaders, isGeneration, NONCE, type ObjectResource } from './object-info.ts'
import { type GcsOptions, type GcsSettings, SIZE_MAX, settingsOf, UNIT } from './options.ts'
import { resumable, uploadOnce } from './parts.ts'
import { Service, type ServiceRequest } from './service.ts'
import { objectPath, Writing, withQuery } from './writing.ts'

/** Bodies in memory go in one request up to so many parts. */
const PARTS_AT_ONCE = 8
/** Blobs of one page of a listing; the service's own bound. https://cloud.google.com/storage/docs/json_api/v1/objects/list */
const PAGE = 1000
/** Tries of a copy whose source is replaced under it. */
const COPIES = 4
/** No key begins so: keys have no `!`. */
const PROBE = '!tensorhub-probe-'

const CAN: BlobCan = {
  ifAbsent: true,
  ifVersion: true,
  meta: true,
  copy: true,
  sign: true,
  partMin: UNIT,
  partMax: SIZE_MAX,
  partsMax: SIZE_MAX / UNIT,
  sizeMax: SIZE_MAX,
  deleteMax: 1000,
}

/**
 * Blobs in a bucket of Google Cloud Storage. A blob's `version` is its object's generation. Nothing is sent before the first call.
 *
 * @throws INVALID naming the option that is wrong.
 */
export function gcs(options: GcsOptions): BlobDriver {
  return wrapErrors<BlobDriver>(new GcsBlobs(settingsOf(options)), mapError)
}

class GcsBlobs implements BlobDriver {
  readonly scheme = 'gcs'
  readonly can = CAN
  readonly #o: GcsSettings
  readonly #service: Service

  constructor(settings: GcsSettings) {
    this.#o = settings
    this.#service = new Service(settings)
  }

  /**
   * Finds the credentials, and writes a probe object twice, create-only: a server that takes the second ignores preconditions, and `can` says so. Whoever may only
   * read is not kept from it.
   */
  async open(o: Call): Promise<Readonly<BlobCan>> {
    const sign = await this.#service.credentials.canSign()
    if (!this.#o.probe) return { ...CAN, sign }
    const held = await this.#preconditionsHold(o)
    return { ...CAN, sign, ifAbsent: held, ifVersion: held }
  }

  async close(): Promise<void> {
    this.#service.close()
  }

  native(): Storage {
    return this.#o.client
  }

  async stat(key: string, o: Call): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    return infoOf(key, await this.#resource(key, o), this.#service.host)
  }

  async read(
    key: string,
    o: Call & { range?: ByteRange; ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    throwIfAborted(o.signal)
    if (o.ifVersion !== undefined && !isGeneration(o.ifVersion)) throw changed(key)
    const { offset = 0, length } = o.range ?? {}
    if (length === 0) return this.#empty(key, offset, o)
    const first = await this.#download(key, offset, length, o.ifVersion, o)
    if (first === undefined) return this.#empty(key, offset, o)
    const { info, reply } = first
    const expected = Math.min(length ?? Number.POSITIVE_INFINITY, info.size - offset)
    const body = continuedBody(reply.stream(), {
      length: expected,
      isTransient,
      again: async (given) => {
        const next = await this.#download(key, offset + given, expected - given, info.version, o)
        if (next === undefined) throw changed(key)
        return next.reply.stream()
      },
      ...(o.signal ? { signal: o.signal } : {}),
      at: { scheme: this.scheme, op: 'read', target: key },
    })
    return { info, body }
  }

  async readInto(key: string, into: Uint8Array, o: Call & { offset: number; ifVersion?: string }): Promise<BlobInfo> {
    const { offset, ifVersion, signal } = o
    return readRanges(into, {
      offset,
      partSize: this.#o.partSize,
      parallel: this.#o.parallel,
      read: (range, call) => this.read(key, { range, ...call }),
      ...(ifVersion === undefined ? {} : { ifVersion }),
      ...(signal ? { signal } : {}),
      at: { scheme: this.scheme, op: 'read', target: key },
    })
  }

  async write(key: string, body: ReadableStream<Uint8Array>, o: WriteOptions): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    const writing = this.#writing(key, o)
    const { size, signal, when } = o
    return uploadInParts(body, resumable(this.#service, writing, o), {
      ...CAN,
      // A session takes one part at a time.
      parallel: 1,
      partSize: this.#o.partSize,
      ...(size === undefined ? {} : { size }),
      ...(signal ? { signal } : {}),
      ...(when ? { when } : {}),
    })
  }

  async writeBytes(key: string, bytes: Uint8Array, o: Omit<WriteOptions, 'size'>): Promise<BlobInfo> {
    throwIfAborted(o.signal)
    if (bytes.byteLength <= PARTS_AT_ONCE * this.#o.partSize)
      return uploadOnce(this.#service, this.#writing(key, o), bytes, o)
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes)
        controller.close()
      },
    })
    return this.write(key, stream, { ...o, size: bytes.byteLength })
  }

  async delete(keys: readonly string[], o: Call): Promise<void> {
    throwIfAborted(o.signal)
    const left = [...keys]
    const stop = new AbortController()
    const signal = o.signal ? AbortSignal.any([o.signal, stop.signal]) : stop.signal
    const worker = async () => {
      for (let key = left.pop(); key !== undefined; key = left.pop())
        await this.#remove(objectPath(this.#o.bucket, this.#nameOf(key)), { signal })
    }
    let first: { readonly error: unknown } | undefined
    await Promise.all(
      Array.from({ length: Math.min(this.#o.parallel, keys.length) }, () =>
        worker().catch((error: unknown) => {
          // The others fail because of the first; theirs tell nothing.
          first ??= { error }
          stop.abort(error)
        }),
      ),
    )
    if (first !== undefined) throw first.error
  }

  async *list(prefix: string, o: Call & { after?: string; limit?: number }): AsyncGenerator<BlobInfo, void, undefined> {
    let left = o.limit ?? Number.POSITIVE_INFINITY
    let pageToken: string | undefined
    while (left > 0) {
      throwIfAborted(o.signal)
      const page = await this.#page(prefix, pageToken, o.after, Math.min(PAGE, left + 1), o)
      for (const object of page.items ?? []) {
        const key = object.name.slice(this.#o.prefix.length)
        // `startOffset` is inclusive; and what others keep in the bucket under names that are no keys is no blob.
        if (key === o.after || !isKey(key)) continue
        yield infoOf(key, object, this.#service.host)
        if (--left <= 0) return
      }
      pageToken = page.nextPageToken
      if (pageToken === undefined) return
    }
  }

  async copy(from: string, to: string, o: Call & { when?: Precondition }): Promise<BlobInfo> {
    for (let tries = 1; ; tries++) {
      throwIfAborted(o.signal)
      const source = await this.#resource(from, o)
      try {
        return await this.#copyOf(source, from, to, o)
      } catch (error) {
        if (!(error instanceof ReplyFailure && error.status === 404) || isNoBucket(error)) throw error
        // The generation is gone; whether the blob is, the next look says.
        if (tries >= COPIES)
          throw new HubError('CONFLICT', `Blob '${from}' was replaced again and again while it was copied.`, {
            at: { scheme: this.scheme, op: 'copy', target: to },
            retryable: true,
          })
      }
    }
  }

  async #copyOf(
    source: ObjectResource,
    from: string,
    to: string,
    o: Call & { when?: Precondition },
  ): Promise<BlobInfo> {
    const writing = this.#writing(to, o)
    const { contentType, metadata } = source
    const { [NONCE]: _theirs, ...meta } = metadata ?? {}
    const resource = writing.resource({ ...(contentType === undefined ? {} : { contentType }), meta })
    const path = `${objectPath(this.#o.bucket, this.#nameOf(from))}/rewriteTo/b/${encodeURIComponent(this.#o.bucket)}/o/${encodeURIComponent(writing.name)}`
    return writing.commit(Number(source.size), async () => {
      // Large objects are copied in several requests. https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
      for (let rewriteToken: string | undefined; ; ) {
        const reply = await this.#service.json<Rewrite>({
          method: 'POST',
          path: withQuery(path, {
            sourceGeneration: source.generation,
            fields: `done,rewriteToken,resource(${FIELDS})`,
            ...writing.condition,
            ...(rewriteToken === undefined ? {} : { rewriteToken }),
          }),
          headers: { 'content-type': 'application/json; charset=UTF-8' },
          body: [new TextEncoder().encode(JSON.stringify(resource))],
          signal: o.signal,
        })
        if (reply.done === true) return reply.resource ?? ({} as ObjectResource)
        rewriteToken = reply.rewriteToken
        if (rewriteToken === undefined)
          throw new NotTheStore(this.#service.host, 'to a copy with neither its end nor how it goes on')
      }
    })
  }

  async sign(key: string, o: Call & SignOptions): Promise<SignedUrl> {
    throwIfAborted(o.signal)
    if (o.sha256 !== undefined)
      throw new HubError(
        'UNSUPPORTED',
        'A signed URL of Google Cloud Storage cannot be bound to the sha256 of a body; leave it out.',
        {
          at: { scheme: this.scheme, op: 'sign', target: key },
          path: 'sha256',
          reason: 'CAPABILITY',
        },
      )
    // https://cloud.google.com/storage/docs/access-control/signed-urls
    const longest = 7 * 24 * 3600
    if (o.expiresIn > longest)
      throw new HubError('INVALID', `A signed URL holds for ${longest} seconds (seven days) at most.`, {
        at: { scheme: this.scheme, op: 'sign', target: key },
        path: 'expiresIn',
      })
    return this.#service.credentials.sign(this.#o.bucket, this.#nameOf(key), o)
  }

  /** Probe objects of processes that died between making and removing them. Interrupted uploads are freed by the service, a week after they began. */
  async sweep(o: Call & { before: Date; dryRun?: boolean }): Promise<{ count: number; bytes: number }> {
    let count = 0
    let bytes = 0
    for (let pageToken: string | undefined; ; ) {
      throwIfAborted(o.signal)
      const page = await this.#page(PROBE, pageToken, undefined, PAGE, o)
      for (const object of page.items ?? []) {
        const { modified, size, version } = infoOf(object.name, object, this.#service.host)
        if (modified >= o.before) continue
        if (o.dryRun !== true) await this.#remove(objectPath(this.#o.bucket, object.name, { generation: version }), o)
        count++
        bytes += size
      }
      pageToken = page.nextPageToken
      if (pageToken === undefined) return { count, bytes }
    }
  }

  async #preconditionsHold(o: Call): Promise<boolean> {
    const probe = `${PROBE}${randomUUID()}`
    const write = () => {
      const options = { ...o, when: { ifAbsent: true } } as const
      return uploadOnce(this.#service, this.#writing(probe, options), new Uint8Array(), options)
    }
    try {
      await write()
    } catch (error) {
      // Not allowed to write: then there is no write whose precondition could be ignored.
      if (error instanceof ReplyFailure && error.status === 403) return true
      throw error
    }
    try {
      await write()
      return false
    } catch (error) {
      if (isHubError(error, 'EXISTS')) return true
      // Not allowed to overwrite: asked for after the precondition or before, it did not go through.
      if (error instanceof ReplyFailure && error.status === 403) return true
      throw error
    } finally {
      await this.#remove(objectPath(this.#o.bucket, this.#nameOf(probe)), o).catch((error: unknown) => {
        // Not allowed to delete: `sweep` of somebody who is will free it.
        if (!(error instanceof ReplyFailure && error.status === 403)) throw error
      })
    }
  }

  /** Bytes from `offset` on, of the version given; undefined for a blob of no bytes, of which there is no range. */
  async #download(
    key: string,
    offset: number,
    length: number | undefined,
    version: string | undefined,
    o: Call,
  ): Promise<{ info: BlobInfo; reply: HttpReply } | undefined> {
    const whole = offset === 0 && length === undefined
    try {
      const reply = await this.#send({
        method: 'GET',
        path: this.#downloadPath(key, version),
        headers: {
          // Objects that are stored gzipped come as they are stored. https://cloud.google.com/storage/docs/transcoding
          'accept-encoding': 'gzip',
          ...(whole ? {} : { range: `bytes=${offset}-${length === undefined ? '' : offset + length - 1}` }),
          ...(version === undefined ? {} : { 'x-goog-if-generation-match': version }),
        },
        signal: o.signal,
      })
      const info = await this.#infoOf(key, reply)
      // Also of a server that does not know the condition.
      if ((version !== undefined && info.version !== version) || (!whole && reply.status !== 206)) {
        await reply.stream().cancel()
        if (version !== undefined && info.version !== version) throw changed(key)
        throw new HubError('UNSUPPORTED', `${this.#service.host} does not give ranges of blob '${key}'.`, {
          at: { scheme: this.scheme, op: 'read', target: key },
        })
      }
      return { info, reply }
    } catch (error) {
      if (!(error instanceof ReplyFailure)) throw error
      if (error.status === 412 || error.status === 304) throw changed(key)
      if (error.status !== 416) throw error
      if (offset === 0) return undefined
      throw new HubError('RANGE', `Blob '${key}' has no byte ${offset}.`, {
        at: { scheme: this.scheme, op: 'read', target: key },
      })
    }
  }

  async #infoOf(key: string, reply: HttpReply): Promise<BlobInfo> {
    try {
      return infoOfHeaders(key, reply, this.#service.host)
    } catch (error) {
      // An unread body would keep its connection.
      await reply.stream().cancel()
      throw error
    }
  }

  /** Information alone, for a range without bytes. */
  async #empty(
    key: string,
    offset: number,
    o: Call & { ifVersion?: string },
  ): Promise<{ info: BlobInfo; body: ReadableStream<Uint8Array> }> {
    const info = await this.stat(key, o)
    if (o.ifVersion !== undefined && o.ifVersion !== info.version) throw changed(key)
    if (offset > 0 && offset >= info.size)
      throw new HubError('RANGE', `Blob '${key}' has ${info.size} bytes, and no byte ${offset}.`, {
        at: { scheme: this.scheme, op: 'read', target: key },
      })
    return { info, body: new ReadableStream({ start: (controller) => controller.close() }) }
  }

  #downloadPath(key: string, version: string | undefined): string {
    const bucket = encodeURIComponent(this.#o.bucket)
    const name = this.#nameOf(key)
    if (this.#service.xml) return `/${bucket}/${name.split('/').map(encodeURIComponent).join('/')}`
    return withQuery(`/download/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`, {
      alt: 'media',
      ...(version === undefined ? {} : { ifGenerationMatch: version }),
    })
  }

  async #resource(key: string, o: Call): Promise<ObjectResource> {
    const path = objectPath(this.#o.bucket, this.#nameOf(key), { fields: FIELDS })
    return this.#service.object<ObjectResource>(await this.#send({ method: 'GET', path, signal: o.signal }))
  }

  async #page(
    prefix: string,
    pageToken: string | undefined,
    after: string | undefined,
    maxResults: number,
    o: Call,
  ): Promise<Page> {
    const path = withQuery(`/storage/v1/b/${encodeURIComponent(this.#o.bucket)}/o`, {
      prefix: this.#nameOf(prefix),
      maxResults: String(maxResults),
      fields: `items(${FIELDS}),nextPageToken`,
      ...(after === undefined ? {} : { startOffset: this.#nameOf(after) }),
      ...(pageToken === undefined ? {} : { pageToken }),
    })
    try {
      return await this.#service.object<Page>(await this.#send({ method: 'GET', path, signal: o.signal }))
    } catch (error) {
      // 404 to a listing can only mean the bucket.
      if (error instanceof ReplyFailure && error.status === 404)
        throw new ReplyFailure(404, 'NoSuchBucket', error.message, error.host, error.bucket)
      throw error
    }
  }

  /** Deletes; what is not there is gone already. */
  async #remove(path: string, o: Call): Promise<void> {
    try {
      await (await this.#send({ method: 'DELETE', path, signal: o.signal })).bytes()
    } catch (error) {
      if (!(error instanceof ReplyFailure && error.status === 404) || isNoBucket(error)) throw error
    }
  }

  /** A request that may be sent again. */
  #send(request: ServiceRequest): Promise<HttpReply> {
    const { signal } = request
    return retrying(() => this.#service.send(request), {
      isTransient: transientWithin(this.#o.timeout),
      attempts: 6,
      ...(signal ? { signal } : {}),
    })
  }

  #writing(key: string, o: Call & { readonly when?: Precondition }): Writing {
    return new Writing(this.#service, key, this.#nameOf(key), o)
  }

  /** The object of a key. */
  #nameOf(key: string): string {
    return `${this.#o.prefix}${key}`
  }
}

interface Page {
  readonly items?: readonly ObjectResource[]
  readonly nextPageToken?: string
}

interface Rewrite {
  readonly done?: boolean
  readonly rewriteToken?: string
  readonly resource?: ObjectResource
}

function changed(key: string): HubError {
  return new HubError('CONFLICT', `Blob '${key}' has another version by now.`, {
    at: { scheme: 'gcs', op: 'read', target: key },
  })
}
