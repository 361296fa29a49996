import { format } from 'node:util'
import type { TensorHub } from '../hub.ts'
import { errorOf, resultOf } from './child/result.ts'
import type { FromChild } from './child/wire.ts'
import type { TaskRecord } from './document.ts'
import { OutputCapture } from './output-capture.ts'
import type { TaskHandler } from './script-policy.ts'
import type { Task } from './task.ts'

/**
 * Runs a task by a function of this process. What it throws is an outcome. A handler that ignores its signal cannot be ended, and one that
 * computes without a pause keeps the heartbeats of its own process from being sent; long work belongs into a script.
 */
export async function runHandler(
  handler: TaskHandler,
  doc: TaskRecord,
  hub: TensorHub,
  signal: AbortSignal,
  on: { progress(value: unknown): void; output?: (text: string) => void },
): Promise<{ message: FromChild; output: string }> {
  const captured = new OutputCapture()
  const task: Task = {
    id: doc._id,
    name: doc.task_name,
    attempt: doc.attempts,
    hyperParameters: doc.hyper_parameters,
    hub,
    signal,
    log: (...values) => {
      const text = `${format(...values)}\n`
      captured.push(Buffer.from(text))
      on.output?.(text)
    },
    progress: on.progress,
  }
  let message: FromChild
  try {
    message = resultOf(await handler(task), doc.saved_result_keys)
  } catch (error) {
    message = errorOf(error)
  }
  return { message, output: captured.text() }
}
