import type { Doc } from '@tensorhub/core'

/**
 * The field `_copy` of a copied document: which document of which hub it is a copy of, in which revision, and which revision the copy itself had when
 * it was written. So it is known, without a second record that could be lost, whether either of the two was changed since.
 */
export interface CopyMark {
  /** The hub it came from (document `id` of `_hub` there). */
  readonly from: string
  /** `_rev` at the source. */
  readonly rev: number
  /** `_rev` of the copy. */
  readonly own: number
}

/** What to do with one document of the source. `compare`: both have to be read. */
export type Decision = 'insert' | 'skip' | 'update' | 'compare'

/**
 * By marks and revisions alone: documents that did not change need not be read.
 *
 * @param ids The two hubs; undefined for one that cannot keep an id, whose documents are compared.
 */
export function decide(
  source: Doc,
  there: Doc | undefined,
  ids: { readonly source: string | undefined; readonly destination: string | undefined },
): Decision {
  if (there === undefined) return 'insert'
  const copy = markOf(there)
  if (copy !== undefined && copy.from === ids.source) {
    if (copy.rev === revOf(source)) return 'skip'
    // Changed here, and not there: the copy follows. Changed on both sides: only comparing tells.
    return copy.own === revOf(there) ? 'update' : 'compare'
  }
  // The source is itself a copy of what stands there, which did not change since: what was done to it goes home.
  const back = markOf(source)
  if (back !== undefined && back.from === ids.destination && back.rev === revOf(there))
    return back.own === revOf(source) ? 'skip' : 'update'
  return 'compare'
}

export function revOf(doc: Doc): number {
  return typeof doc['_rev'] === 'number' ? doc['_rev'] : 0
}

function markOf(doc: Doc): CopyMark | undefined {
  const mark = doc['_copy'] as Partial<CopyMark> | null | undefined
  return typeof mark === 'object' && typeof mark?.from === 'string' ? (mark as CopyMark) : undefined
}
