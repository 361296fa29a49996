import { fileURLToPath } from 'node:url'
import { TensorHub } from 'tensorhub'
import { PROJECT } from './plan.ts'

/** The hub of this example: what `url` names, else an embedded one in the folder `.tensorhub` beside this file. */
export function connect(url: string | undefined): Promise<TensorHub> {
  const folder = fileURLToPath(new URL('.tensorhub', import.meta.url))
  // The tasks are this example's own, so its runners may run any script in this project of this hub.
  return TensorHub.connect(url ?? folder, { projectName: PROJECT, scripts: 'any' })
}
