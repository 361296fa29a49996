import { HubError } from '@tensorhub/core'
import { currentTask } from './child/current-task.ts'
import type { Task } from './task.ts'

export type { Task } from './task.ts'

/** Outside a task: every use says so. */
const nowhere: Task = new Proxy({} as Task, {
  get(_target, name) {
    throw new HubError(
      'INVALID',
      `'tensorhub/task' has a task only inside a script that runTopTask runs; '${String(name)}' was read outside one.`,
      { at: { scheme: 'hub', op: 'task' } },
    )
  },
})

/**
 * The task this script runs as: the very object that a default export is given.
 *
 * @throws INVALID on use outside a task.
 */
export const task: Task = currentTask() ?? nowhere
