import type { Task } from '../task.ts'

const CURRENT = Symbol.for('tensorhub.task')

/** The task of this process, if it runs one. Kept on the global object, because a script may load another copy of this module. */
export function currentTask(): Task | undefined {
  return (globalThis as { [CURRENT]?: Task })[CURRENT]
}

export function setCurrentTask(task: Task): void {
  Object.defineProperty(globalThis, CURRENT, { value: task, enumerable: false })
}
