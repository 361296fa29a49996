import { type BlobInfo, type Call, HubError, type Precondition, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { isNoBucket, NotTheStore, ReplyFailure } from './errors.ts'
import { FIELDS, NONCE, type ObjectResource } from './object-info.ts'
import { objectPath, type Writing, withQuery } from './writing.ts'

/** Tries of a copy whose source is replaced under it. */
const COPIES = 4

interface Rewrite {
  readonly done?: boolean
  readonly rewriteToken?: string
  readonly resource?: ObjectResource
}

/** A copy inside the service, of one generation of the source. */
export async function copy(
  bucket: Bucket,
  from: string,
  to: string,
  o: Call & { when?: Precondition },
): Promise<BlobInfo> {
  for (let tries = 1; ; tries++) {
    throwIfAborted(o.signal)
    const source = await bucket.resource(from, o)
    try {
      return await copyOf(bucket, source, from, to, o)
    } catch (error) {
      if (!(error instanceof ReplyFailure && error.status === 404) || isNoBucket(error)) throw error
      // The generation is gone; whether the blob is, the next look says.
      if (tries >= COPIES)
        throw new HubError('CONFLICT', `Blob '${from}' was replaced again and again while it was copied.`, {
          at: { scheme: 'gcs', op: 'copy', target: to },
          retryable: true,
        })
    }
  }
}

async function copyOf(
  bucket: Bucket,
  source: ObjectResource,
  from: string,
  to: string,
  o: Call & { when?: Precondition },
): Promise<BlobInfo> {
  const writing = bucket.writing(to, o)
  const { contentType, metadata } = source
  const { [NONCE]: _theirs, ...meta } = metadata ?? {}
  const resource = writing.resource({ ...(contentType === undefined ? {} : { contentType }), meta })
  const of = { name: bucket.nameOf(from), generation: source.generation }
  return writing.commit(Number(source.size), () => rewrite(bucket, of, writing, resource, o))
}

/** The requests of one copy: large objects are copied in several. https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite */
export async function rewrite(
  bucket: Bucket,
  source: Pick<ObjectResource, 'name' | 'generation'>,
  writing: Writing,
  resource: ReturnType<Writing['resource']>,
  o: Call,
): Promise<ObjectResource> {
  const { service } = bucket
  const path = `${objectPath(bucket.name, source.name)}/rewriteTo/b/${encodeURIComponent(bucket.name)}/o/${encodeURIComponent(writing.name)}`
  for (let rewriteToken: string | undefined; ; ) {
    const reply = await service.json<Rewrite>({
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
      throw new NotTheStore(service.host, 'to a copy with neither its end nor how it goes on')
  }
}
