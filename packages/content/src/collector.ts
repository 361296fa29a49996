import {
  type BlobStore,
  type Call,
  type Doc,
  HubError,
  type IndexStore,
  isHubError,
  type Predicate,
  type Progress,
} from '@tensorhub/core'
import { type ChunkRow, GRACE, ROWS, rowOf } from './chunk-rows.ts'
import { checkManifest, isRef, type Manifest } from './manifest.ts'
import type { ManifestLoader } from './manifest-loader.ts'

const HOUR = 60 * 60 * 1000

export interface GcOptions extends Call {
  /** Collections whose documents may carry content. */
  readonly collections: readonly string[]
  /** Only count. Default false. */
  readonly dryRun?: boolean
  /** Age in ms from which a blob without a row is free. Default 24 h. Below 1 h only with `allowShortGrace`. */
  readonly grace?: number
  readonly allowShortGrace?: boolean
  readonly onProgress?: (progress: Progress) => void
}

export interface GcReport {
  /** Chunks that no document names any more; a later pass frees them. */
  readonly condemned: number
  /** Blobs that were deleted (would be, in a dry run). */
  readonly freed: number
  /** Their stored bytes. */
  readonly bytes: number
  /** When a further pass could free more; undefined when nothing waits. */
  readonly nextAt: Date | undefined
}

/**
 * One pass of collection (tasks.md §8.3), safe beside writers and other collectors, without locks. Time is compared with the pass's very
 * start, never with the moment of a decision: variants that do otherwise lose data (simulated).
 */
export async function collect(
  index: IndexStore,
  blobs: BlobStore,
  manifests: ManifestLoader,
  o: GcOptions,
): Promise<GcReport> {
  const call: Call = o.signal ? { signal: o.signal } : {}
  const grace = o.grace ?? GRACE
  if (!Number.isFinite(grace) || grace < 0)
    throw new HubError('INVALID', 'grace is a number of milliseconds.', {
      at: { scheme: 'content', op: 'gc' },
      path: 'grace',
    })
  if (grace < HOUR && o.allowShortGrace !== true) {
    throw new HubError(
      'INVALID',
      'A grace below 1 h can delete what a slow save is still writing; say allowShortGrace: true if nothing writes now.',
      { at: { scheme: 'content', op: 'gc' }, path: 'grace' },
    )
  }
  const t0 = await index.now(call)
  const rows: ChunkRow[] = []
  for await (const doc of index.find(ROWS, { op: 'everything' }, call)) rows.push(rowOf(doc))
  const keys = await mark(index, manifests, o.collections, call)

  let condemned = 0
  let freed = 0
  let bytes = 0
  let nextAt: Date | undefined
  const wait = (until: number) => {
    if (nextAt === undefined || until < nextAt.getTime()) nextAt = new Date(until)
  }
  const second = Math.min(HOUR, grace)
  const remove = async (row: ChunkRow) => {
    if (o.dryRun !== true) {
      await blobs.delete([row.key], call)
      await index.delete(ROWS, allOf({ _id: row._id, state: 'deleting', key: row.key }), call)
    }
    freed++
    bytes += row.stored
  }
  /** Changes the row only as it was read; by its key too, since a row that was deleted and entered anew counts its versions from 0 again. */
  const take = async (row: ChunkRow, set: Record<string, string | Date>) =>
    (await index.takeOne(
      ROWS,
      allOf({ _id: row._id, key: row.key, state: row.state, _rev: row._rev }),
      { set },
      call,
    )) !== null
  for (const row of rows) {
    if (keys.has(row.key)) continue
    if (row.state === 'live') {
      const due = o.allowShortGrace === true ? row.pinned_until.getTime() - (GRACE - grace) : row.pinned_until.getTime()
      if (due >= t0.getTime()) {
        wait(due)
        continue
      }
      const taken = o.dryRun === true || (await take(row, { state: 'condemned', at: await index.now(call) }))
      if (taken) {
        condemned++
        wait(t0.getTime() + second)
      }
    } else if (row.state === 'fresh') {
      // No acknowledged document names a row that was never confirmed: it goes in one step, once its writer must have given up.
      if (row.pinned_until.getTime() - (GRACE - Math.min(grace, GRACE)) >= t0.getTime())
        wait(row.pinned_until.getTime() - (GRACE - Math.min(grace, GRACE)))
      else if (o.dryRun === true || (await take(row, { state: 'deleting' }))) await remove(row)
    } else if (row.state === 'condemned') {
      const since = row.at?.getTime() ?? 0
      if (t0.getTime() - since < second) {
        condemned++
        wait(since + second)
      } else if (o.dryRun === true || (await take(row, { state: 'deleting' }))) {
        await remove(row)
      }
    } else {
      await remove(row)
    }
    o.onProgress?.({ phase: 'collect', bytes })
  }

  // Blobs without a row: their writers died, or lost a race. The listing comes before the reading of the rows that could name them.
  const t1 = await index.now(call)
  const old: { key: string; size: number }[] = []
  for (const prefix of ['c/', 'm/']) {
    for await (const blob of blobs.list(prefix, call))
      if (blob.modified.getTime() < t1.getTime() - grace) old.push(blob)
  }
  if (old.length > 0) {
    // Documents' keys are spared too, though each has a row: a row that was lost must not take the bytes with it.
    const named = new Set<string>(keys)
    for await (const doc of index.find(ROWS, { op: 'everything' }, call)) named.add(rowOf(doc).key)
    for (const blob of old) {
      if (named.has(blob.key)) continue
      if (o.dryRun !== true) await blobs.delete([blob.key], call)
      freed++
      bytes += blob.size
    }
  }
  const swept = await blobs.sweep({ ...call, before: new Date(t1.getTime() - grace), dryRun: o.dryRun === true })
  return { condemned, freed: freed + swept.count, bytes: bytes + swept.bytes, nextAt }
}

/** Every key that some document names: its chunks, and its manifest where that is a blob. */
async function mark(
  index: IndexStore,
  manifests: ManifestLoader,
  collections: readonly string[],
  call: Call,
): Promise<Set<string>> {
  const keys = new Set<string>()
  for (const coll of collections) {
    for await (const doc of index.find(
      coll,
      { op: 'exists', path: ['content'], value: true },
      { ...call, fields: [['content']] },
    )) {
      const content = checkManifest(doc.content, `${coll}/${doc._id}`)
      if (isRef(content)) keys.add(content.manifest.key)
      const manifest = await fullOrGone(index, manifests, coll, doc, content, call)
      for (const chunk of manifest?.chunks ?? []) keys.add(chunk.key)
    }
  }
  return keys
}

/**
 * A document may be deleted, and its manifest's blob collected, between being listed and being read; or its writer died before it could look back
 * (step S6) and take back a document whose manifest was collected. Then it names nothing. A manifest that is damaged, or that is missing although its
 * row says it is live, stops the pass: what it names is unknown, so nothing may be freed.
 */
async function fullOrGone(
  index: IndexStore,
  manifests: ManifestLoader,
  coll: string,
  doc: Doc,
  content: Manifest,
  call: Call,
) {
  try {
    return await manifests.full(content, `${coll}/${doc._id}`, call)
  } catch (error) {
    if (
      (await index.top(coll, { op: 'eq', path: ['_id'], value: doc._id }, { ...call, fields: [['_id']] })) === undefined
    )
      return undefined
    if (isRef(content) && isHubError(error, 'INTEGRITY') && error.reason === 'MANIFEST_MISSING') {
      const row = await index.top(ROWS, { op: 'eq', path: ['_id'], value: content.manifest.key }, call)
      if (row === undefined || rowOf(row).state === 'deleting') return undefined
    }
    throw error
  }
}

function allOf(fields: Readonly<Record<string, string | number>>): Predicate {
  return { op: 'and', of: Object.entries(fields).map(([name, value]) => ({ op: 'eq', path: [name], value }) as const) }
}
