import type { ContentStore } from '@tensorhub/content'
import type { Call, IndexStore, ModelCodec, StoreClock } from '@tensorhub/core'
import type { ConnectionSpec } from './connect/connection-spec.ts'
import type { Stamp } from './documents/stamps.ts'
import type { OpenStreams } from './namespaces/open-streams.ts'
import type { ScriptPolicy } from './tasks/script-policy.ts'

/** What one open hub shares among its namespaces. One project; every operation is confined to it. */
export interface HubContext {
  readonly index: IndexStore
  readonly content: ContentStore
  readonly clock: StoreClock
  readonly projectName: string
  /** Where this hub's scripts are unpacked: `<workDir>/<task>/<epoch>/`; no other hub has its own there. */
  readonly workDir: string
  /** True for a hub that lives in a folder of this user (the default for `scripts: 'any'`). */
  readonly embedded: boolean
  /** How a child process opens the same hub; undefined where the stores live in this process only (memory, driver objects). */
  readonly connection: ConnectionSpec | undefined
  readonly scripts: ScriptPolicy | undefined
  readonly codecs: readonly ModelCodec[]
  /** Set inside a running task: every document written carries it. */
  readonly task: { readonly id: string; readonly epoch: number } | undefined
  /** Opens the stores where that is still to do, and renews an old estimate of the store's clock. Before every write. */
  ready(call: Call): Promise<unknown> | undefined
  /** The `_id` and `time` of a new document: of the store's clock, and in strict order within this process. */
  stamp(): Stamp
  /** The streams of records that are under way. */
  readonly streams: OpenStreams
  /** Tells waiters in this process that a task changed, so that they need not wait for their next poll. */
  readonly changes: EventTarget
  /** Throws CLOSED once the hub is closed. */
  assertOpen(op: string): void
}
