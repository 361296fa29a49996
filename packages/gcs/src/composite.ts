import { randomUUID } from 'node:crypto'
import type { BlobInfo, Call, PartUpload, WriteOptions } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { compose, groupsOf, type Source } from './compose.ts'
import { each } from './each.ts'
import { isNoBucket, ReplyFailure, UploadLost } from './errors.ts'
import type { ObjectResource } from './object-info.ts'
import { partName, removeParts } from './part-objects.ts'
import { uploadOnce } from './upload-once.ts'
import type { Ways } from './ways.ts'
import { Writing } from './writing.ts'

/** A composite upload under way. */
export interface Composite {
  readonly id: string
  /** Of each part that is stored. */
  readonly sizes: number[]
  /** Intermediate objects that were begun. */
  intermediates: number
}

/**
 * A body as part objects, several on their way at once, that are then put together: by one compose up to 32 parts, by a tree of them beyond. The last compose is the
 * only commit, with the caller's condition; nothing is visible before, for the parts' names are no keys. The sources of every compose are of the generation that was
 * written here, and are deleted with it or behind it. https://cloud.google.com/storage/docs/parallel-composite-uploads
 */
export function composite(bucket: Bucket, ways: Ways, writing: Writing, o: WriteOptions): PartUpload<Composite> {
  return {
    once: (bytes) => uploadOnce(bucket.service, writing, bytes, o),

    async begin(): Promise<Composite> {
      // As a session would be refused here: a condition that does not hold now need not cost the whole body.
      await writing.foresee()
      return { id: randomUUID(), sizes: [], intermediates: 0 }
    },

    async part(session, n, bytes, call): Promise<string> {
      const part = hidden(bucket, writing.key, partName(bucket, session.id, n), call)
      const { version } = await uploadOnce(bucket.service, part, bytes, call)
      session.sizes[n - 1] = bytes.byteLength
      return version
    },

    async finish(session, tags, call): Promise<BlobInfo> {
      let sources: readonly Source[] = tags.map((generation, i) => ({
        name: partName(bucket, session.id, i + 1),
        generation,
        size: session.sizes[i] as number,
      }))
      while (groupsOf(sources.length).length > 0)
        sources = await gathered(bucket, ways, writing.key, session, sources, call)
      const info = await writing.commit(sizeOf(sources), () =>
        put(bucket, ways, writing, writing.resource(o), sources, call),
      )
      // The blob is written: nothing that fails, or is aborted, from here on undoes that.
      await removeParts(bucket, session.id, {}).catch((error: unknown) => ways.partsStay(error))
      return info
    },

    // Also when the commit's reply alone was lost: what was put together does not need its sources.
    abort: (session) => removeParts(bucket, session.id, {}),
  }
}

/** One level of the tree: fewer sources, of the same bytes. */
async function gathered(
  bucket: Bucket,
  ways: Ways,
  key: string,
  session: Composite,
  sources: readonly Source[],
  call: Call,
): Promise<Source[]> {
  const intermediates: Source[] = []
  let from = 0
  const groups = groupsOf(sources.length).map((count, place) => {
    const own = sources.slice(from, from + count)
    from += count
    return { place, own }
  })
  await each(groups, bucket.settings.parallel, call.signal, async ({ place, own }, signal) => {
    const target = hidden(bucket, key, partName(bucket, session.id, `c${++session.intermediates}`), { signal })
    const work = () => put(bucket, ways, target, target.resource({}), own, { signal })
    const { version, size } = await target.commit(sizeOf(own), work)
    intermediates[place] = { name: target.name, generation: version, size }
  })
  return [...intermediates, ...sources.slice(from)]
}

/** The request that puts objects together, once. */
async function put(
  bucket: Bucket,
  ways: Ways,
  target: Writing,
  resource: ReturnType<Writing['resource']>,
  sources: readonly Source[],
  call: Call,
): Promise<ObjectResource> {
  const send = (deleteSources: boolean) =>
    compose(bucket, target.name, sources, {
      ...call,
      condition: target.condition,
      resource,
      deleteSources,
    })
  const deleteSources = ways.composeDeletes
  try {
    return await send(deleteSources)
  } catch (error) {
    if (!(error instanceof ReplyFailure)) throw error
    if (error.status === 404 && !isNoBucket(error)) throw new UploadLost(error.host)
    if (!deleteSources || (error.status !== 403 && error.status !== 400)) throw error
    // Who may write and not delete; a service that does not know the option.
    const object = await send(false)
    ways.composeDeletes = false
    return object
  }
}

/** An object that nobody sees, made once: a first try that the service carries out late must not replace the second. */
function hidden(bucket: Bucket, key: string, name: string, call: Call): Writing {
  return new Writing(bucket.service, key, name, { ...call, when: { ifAbsent: true }, hidden: true })
}

function sizeOf(sources: readonly Source[]): number {
  return sources.reduce((sum, { size }) => sum + size, 0)
}
