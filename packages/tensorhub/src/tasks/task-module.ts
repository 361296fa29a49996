import { HubError } from '@tensorhub/core'
import { currentTask } from './child/current-task.ts'
import type { Task } from './task.ts'

export type { Task } from './task.ts'

/**
 * The task this script runs as: the same object that a default export is given.
 *
 * @throws INVALID on use outside a task.
 */
export const task: Task = new Proxy({} as Task, {
  get(_target, name) {
    const current = currentTask()
    if (current === undefined) {
      throw new HubError(
        'INVALID',
        `'tensorhub/task' has a task only inside a script that runTopTask runs; '${String(name)}' was read outside one.`,
        { at: { scheme: 'hub', op: 'task' } },
      )
    }
    return current[name as keyof Task]
  },
})
