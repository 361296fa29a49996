import { connectLater } from './connect/connect.ts'
import type { ConnectionSpec } from './connect/connection-spec.ts'
import { TensorHub } from './hub.ts'

/**
 * The hub of a running task, in its child process: made at once, opened at its first use. Every document it writes carries the task.
 */
export function openHubLater(
  connection: ConnectionSpec,
  task: { readonly id: string; readonly epoch: number },
): TensorHub {
  return new TensorHub(connectLater(connection, task))
}
