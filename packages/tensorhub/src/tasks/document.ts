import type { Manifest } from '@tensorhub/content'
import type { Value } from '@tensorhub/core'
import type { HubRecord } from '../documents/record.ts'

export type TaskStatus = 'blocked' | 'pending' | 'running' | 'finished' | 'failed' | 'cancelled'

/** A file of a script: its name relative to the script's folder, and the sha256 of its bytes in hex. */
export interface ScriptFile {
  readonly path: string
  readonly sha256: string
}

export interface TaskScript {
  /** sha256 over the sorted lines `<path>\0<sha256>\n`; allow-lists name it. */
  readonly sha256: string
  readonly files: readonly ScriptFile[]
  readonly entry: string
  readonly lang: 'javascript' | 'typescript'
}

export interface TaskError {
  readonly code: string
  readonly message: string
  readonly stack?: string
}

/** A task's document (tasks.md §4.2). */
export type TaskRecord = HubRecord & {
  /** What a runner must know to run it: see `TASK_FORMAT`. */
  readonly _v: number
  readonly task_name: string
  readonly status: TaskStatus
  readonly priority: number
  readonly not_before: Date
  readonly script: TaskScript & Value
  readonly content: Manifest & Value
  readonly hyper_parameters: { readonly [name: string]: Value }
  readonly saved_result_keys: readonly string[]
  readonly max_attempts: number
  readonly attempts: number
  readonly infra_failures: number
  readonly epoch: number
  readonly claim: string | null
  readonly last_claim: string | null
  readonly lease_ms: number
  readonly lease_until: Date | null
  readonly heartbeat_at: Date | null
  readonly progress: Value
  readonly cancel_requested: boolean
  readonly result: { readonly [name: string]: Value }
  readonly error: (TaskError & Value) | null
}
