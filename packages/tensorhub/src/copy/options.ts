import { type Call, HubError } from '@tensorhub/core'
import { checkProjectName } from '../connect/project-name.ts'
import type { Collection } from '../documents/collections.ts'
import { checkFlag, checkOptions } from '../namespaces/arguments.ts'

/** How far a copy is. Counts only rise. */
export interface CopyProgress {
  readonly phase: 'copy' | 'verify'
  /** Of `copy`: the collection being read. */
  readonly collection?: Collection
  /** Documents looked at so far: copied, updated, or found to be there. */
  readonly documents: number
  /** All documents of the projects, counted at the beginning. */
  readonly total: number
  /** Bytes of content so far: uploaded (`copy`), or read back (`verify`); as stored. */
  readonly bytes: number
}

/** Options of `hub.copyTo()`. */
export interface CopyOptions extends Call {
  /** `'all'`: every project of the hub. Default: the hub's own. */
  readonly projects?: 'all' | readonly string[]
  /**
   * What to do with a document that is at the destination under the same `_id`, and differs, and is no older copy of it. `'fail'` (default): everything
   * else is copied, then CONFLICT is thrown. `'keep'`: the destination's stays, and is counted.
   */
  readonly onConflict?: 'fail' | 'keep'
  /** Afterwards read back and hash all content of these projects at the destination. Default false. */
  readonly verify?: boolean
  readonly onProgress?: (progress: CopyProgress) => void
}

/** What a copy did. */
export interface CopyReceipt {
  /** Documents that are new at the destination. */
  readonly documents: number
  /** Documents that were copied before, changed at the source since, and were changed at the destination likewise. */
  readonly updated: number
  /** Documents that are there already. */
  readonly skipped: number
  /** Tasks that a runner has at the source; they stay there. Copy again when they have ended. */
  readonly running: number
  /** Documents that differ and were kept at the destination (`onConflict: 'keep'`). */
  readonly conflicts: number
  /** Chunks that were uploaded; those that the destination has already are not even read. */
  readonly chunks: number
  /** Their bytes, as stored. */
  readonly bytes: number
  /** Documents and bytes of content that were read back, with `verify`. */
  readonly verified?: { readonly documents: number; readonly bytes: number }
}

/** @throws INVALID naming the option. */
export function checkCopyOptions(options: CopyOptions | undefined): void {
  checkOptions(options, ['projects', 'onConflict', 'verify', 'onProgress', 'signal'], 'copyTo')
  const invalid = (path: string, message: string) =>
    new HubError('INVALID', message, { at: { scheme: 'hub', op: 'copyTo' }, path })
  const { projects, onConflict, verify } = options ?? {}
  checkFlag(verify, 'verify', 'copyTo')
  if (onConflict !== undefined && onConflict !== 'fail' && onConflict !== 'keep')
    throw invalid('onConflict', "copyTo: 'onConflict' must be 'fail' or 'keep'.")
  if (projects === undefined || projects === 'all') return
  if (!Array.isArray(projects) || projects.length === 0)
    throw invalid('projects', "copyTo: 'projects' must be 'all', or an array of project names that is not empty.")
  for (const project of projects) checkProjectName(project)
}

/**
 * A destination that names no store would be looked for in the environment and in config files: the source, most likely. And one that names another
 * project may be meant to rename it, which a copy does not.
 *
 * @throws INVALID
 */
export function checkDestination(destination: unknown, projectName: string): void {
  if (typeof destination === 'string') return
  const {
    index,
    ip,
    projectName: other,
  } = (typeof destination === 'object' && destination !== null ? destination : {}) as {
    index?: unknown
    ip?: unknown
    projectName?: unknown
  }
  if (index === undefined && ip === undefined)
    throw new HubError(
      'INVALID',
      'copyTo needs a destination: a folder or URL, { index, blobs }, { ip, … }, or an open hub of this copy of tensorhub.',
      { at: { scheme: 'hub', op: 'copyTo' }, path: 'destination' },
    )
  if (other !== undefined && other !== null && other !== projectName)
    throw new HubError(
      'INVALID',
      `copyTo: documents keep their project, so the destination can have no projectName of its own; leave it out, or give '${projectName}'.`,
      { at: { scheme: 'hub', op: 'copyTo' }, path: 'projectName' },
    )
}
