import type { TensorHub } from '../hub.ts'

/** What a running script is given: the argument of its default export, and `import { task } from 'tensorhub/task'`. */
export interface Task {
  /** The task's `_id`. */
  readonly id: string
  readonly name: string
  /** 1 for the first attempt. */
  readonly attempt: number
  /** As given to `createTask`; data, never globals. */
  readonly hyperParameters: Readonly<Record<string, unknown>>
  /** The hub, confined to the task's project; every document written through it carries `task: { id, epoch }`. */
  readonly hub: TensorHub
  /** Aborts when the task is cancelled or this runner has lost it. */
  readonly signal: AbortSignal
  /** A line for the task's output. */
  log(...values: readonly unknown[]): void
  /** How far it is, as any storable value; the next heartbeat carries it into the task's `progress`. */
  progress(value: unknown): void
}
