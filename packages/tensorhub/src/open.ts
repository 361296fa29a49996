import type { ModelCodec } from '@tensorhub/core'
import { connectAgain } from './connect/connect.ts'
import type { ConnectionSpec } from './connect/connection-spec.ts'
import { TensorHub } from './hub.ts'

/** Opens the hub of a connection in a child process; every document it writes carries the task. */
export async function openHub(
  connection: ConnectionSpec,
  task: { readonly id: string; readonly epoch: number },
  codecs: readonly ModelCodec[] = [],
): Promise<TensorHub> {
  return new TensorHub(await connectAgain(connection, task, codecs))
}
