import {
  type BlobStore,
  type Call,
  type ErrorCode,
  HubError,
  type IndexStore,
  isHubError,
  isMissingBlob,
  type Predicate,
  type Progress,
} from '@tensorhub/core'
import { type ChunkRow, GRACE, ROWS, rowOf } from './chunk-rows.ts'
import type { ManifestLoader } from './manifest-loader.ts'
import type { ChunkReader } from './reader.ts'

export interface CheckOptions extends Call {
  readonly collections: readonly string[]
  /** Only these documents. Default: all. */
  readonly where?: Predicate
  /** Also read and hash every chunk. Default false: that they are there, with their sizes. */
  readonly readData?: boolean
  /** Age in ms from which what an interrupted write left counts as a leftover. Default 24 h, as in a collection: what is younger may still be written. */
  readonly grace?: number
  readonly onProgress?: (progress: Progress) => void
}

export interface Problem {
  readonly collection: string
  readonly _id: string
  /** The chunk at fault, where it is one. */
  readonly key?: string
  readonly code: ErrorCode
  readonly message: string
}

export interface CheckReport {
  readonly documents: number
  readonly chunks: number
  /** Stored bytes looked at. */
  readonly bytes: number
  readonly problems: readonly Problem[]
  /** What interrupted writes left in the blob store (temporary files, unfinished uploads, chunks without their file). No damage: a collection frees it. */
  readonly leftovers: { readonly count: number; readonly bytes: number }
}

/** Checks every document's content; changes nothing. A failure of the stores themselves is thrown, not reported. */
export async function check(
  index: IndexStore,
  blobs: BlobStore,
  manifests: ManifestLoader,
  reader: ChunkReader,
  o: CheckOptions,
): Promise<CheckReport> {
  const call: Call = o.signal ? { signal: o.signal } : {}
  const { grace = GRACE } = o
  if (!Number.isFinite(grace) || grace < 0)
    throw new HubError('INVALID', 'grace is a number of milliseconds.', {
      at: { scheme: 'content', op: 'check' },
      path: 'grace',
    })
  const problems: Problem[] = []
  /** Verdicts by key: chunks are shared. */
  const seen = new Map<string, { code: ErrorCode; message: string } | undefined>()
  let documents = 0
  let bytes = 0
  for (const collection of o.collections) {
    for await (const doc of index.find(
      collection,
      { op: 'and', of: [o.where ?? { op: 'everything' }, { op: 'exists', path: ['content'], value: true }] },
      { ...call, fields: [['content']] },
    )) {
      documents++
      const report = (code: ErrorCode, message: string, key?: string) =>
        problems.push({ collection, _id: doc._id, code, message, ...(key === undefined ? {} : { key }) })
      try {
        const manifest = await manifests.full(doc.content, `${collection}/${doc._id}`, call)
        if (manifest.inline !== undefined) await reader.value(manifest, call)
        for (const chunk of manifest.chunks) {
          if (!seen.has(chunk.key)) {
            seen.set(
              chunk.key,
              await verdict(async () => {
                if (o.readData === true) {
                  await reader.chunk(chunk, call, chunk.size)
                  return
                }
                const info = await blobs.stat(chunk.key, call)
                if (info.size !== chunk.stored)
                  return {
                    code: 'INTEGRITY' as const,
                    message: `The chunk '${chunk.key}' has ${info.size} bytes instead of ${chunk.stored}.`,
                  }
                return
              }),
            )
            bytes += chunk.stored
            o.onProgress?.({ phase: 'check', bytes })
          }
          const found = seen.get(chunk.key)
          // A document that was deleted since it was listed may have lost its chunks rightly.
          if (found !== undefined && (await isThere(index, collection, doc._id, call)))
            report(found.code, found.message, chunk.key)
        }
        const rows = new Map<string, ChunkRow>()
        const ids = [...new Set(manifest.chunks.map((chunk) => chunk.id))]
        for (let i = 0; i < ids.length; i += 500) {
          for await (const row of index.find(ROWS, { op: 'in', path: ['_id'], values: ids.slice(i, i + 500) }, call))
            rows.set(row._id, rowOf(row))
        }
        for (const chunk of manifest.chunks) {
          const row = rows.get(chunk.id)
          if (row === undefined || row.key !== chunk.key) {
            if (await isThere(index, collection, doc._id, call))
              report('INTEGRITY', `The chunk '${chunk.key}' has no row in ${ROWS}.`, chunk.key)
          } else if (row.state === 'deleting') {
            if (await isThere(index, collection, doc._id, call))
              report(
                'INTEGRITY',
                `The chunk '${chunk.key}' is being deleted although this document names it.`,
                chunk.key,
              )
          }
        }
      } catch (error) {
        if (!isHubError(error, 'INTEGRITY') && !isHubError(error, 'UNSUPPORTED')) throw error
        if (await isThere(index, collection, doc._id, call)) report(error.code, error.message)
      }
    }
  }
  const before = new Date((await index.now(call)).getTime() - grace)
  const leftovers = await blobs.sweep({ ...call, before, dryRun: true })
  return { documents, chunks: seen.size, bytes, problems, leftovers }
}

async function verdict(
  look: () => Promise<{ code: ErrorCode; message: string } | undefined>,
): Promise<{ code: ErrorCode; message: string } | undefined> {
  try {
    return await look()
  } catch (error) {
    if (isHubError(error, 'INTEGRITY') || isHubError(error, 'UNSUPPORTED'))
      return { code: error.code, message: error.message }
    if (isMissingBlob(error)) return { code: 'INTEGRITY', message: error.message }
    throw error
  }
}

async function isThere(index: IndexStore, collection: string, id: string, call: Call): Promise<boolean> {
  return (
    (await index.top(collection, { op: 'eq', path: ['_id'], value: id }, { ...call, fields: [['_id']] })) !== undefined
  )
}
