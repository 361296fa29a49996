import { setTimeout as wait } from 'node:timers/promises'
import type { TensorHub } from 'tensorhub'
import { TASK } from './plan.ts'
import type { ProgressDisplay, TaskView } from './progress.ts'

/** How often the display looks into the hub, in ms. */
const EVERY = 300

/** What task-script.ts gives to `task.progress`. */
type Reported = Partial<Pick<TaskView, 'epoch' | 'part' | 'loss' | 'accuracy'>>

async function look(hub: TensorHub): Promise<TaskView[]> {
  const tasks = await hub.tasks.find({ task_name: TASK }).toArray()
  return tasks.map((task) => {
    const { epochs = 0 } = (task.hyper_parameters ?? {}) as { epochs?: number }
    const { epoch = 0, part = 0, ...figures } = (task.progress ?? {}) as Reported
    const { test_accuracy } = (task.result ?? {}) as { test_accuracy?: number }
    const result = test_accuracy === undefined ? {} : { epoch: epochs, part: 1, accuracy: test_accuracy }
    return { name: String(task.description), status: task.status, epochs, epoch, part, ...figures, ...result }
  })
}

/** Waits until every task is finished, failed or cancelled, showing them as they go. @throws the signal's reason when it aborts. */
export async function watchTasks(hub: TensorHub, display: ProgressDisplay, signal: AbortSignal): Promise<void> {
  console.log()
  let over = false
  const showing = (async () => {
    while (!over) {
      display.show(await look(hub))
      await wait(EVERY)
    }
  })()
  try {
    await Promise.race([hub.tasks.wait({ task_name: TASK }, { signal }), showing])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    over = true
    await showing
    display.end(await look(hub))
  }
}
