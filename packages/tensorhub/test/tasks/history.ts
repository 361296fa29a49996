import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { TaskRecord } from '../../src/tasks/document.ts'
import type { Task } from '../../src/tasks/task.ts'

/** An attempt that began: its runner's process appended it to the history before the work. */
export interface Start {
  readonly task: string
  readonly attempt: number
  /** The id of the runner's process. */
  readonly runner: number
  /** Wall clock, ms: all processes of a test are on one machine. */
  readonly at: number
}

export interface Killed {
  readonly runner: number
  readonly at: number
  /** What it had claimed when it died, and until when, in ms of the store's clock. */
  readonly held: readonly { readonly task: string; readonly until: number }[]
}

/** What was told of a task's end, by the process that wrote it. */
export interface Told {
  readonly id: string
  readonly status: string
  readonly attempt: number
}

export interface Verdict {
  readonly tasks: number
  readonly starts: number
  readonly commits: number
  /** Attempts that began twice, ends that were told twice, and results that are not of the attempt that owns the task. */
  readonly doubles: number
  /** Tasks that did not come to an end. */
  readonly stuck: number
  /**
   * For each task that was held by a runner when it was killed: ms from the kill until another runner surely had it (its next start, or that runner's own
   * death before one), and that beyond its lease.
   */
  readonly claimedAgain: readonly { readonly after: number; readonly beyondLease: number }[]
  /** Tasks held by a killed runner that no other one started, and that are not committed by it either. */
  readonly dropped: number
}

/** The source of a script that says when it starts, works for `ms`, and gives its attempt. `starts` is the file of the history. */
export const startingScript = (ms: number) => `
  import { appendFileSync } from 'node:fs'
  export default async ({ id, attempt, hyperParameters: { n, starts } }) => {
    appendFileSync(starts, JSON.stringify({ task: id, attempt, runner: process.ppid, at: Date.now() }) + '\\n')
    await new Promise((resolve) => setTimeout(resolve, ${ms}))
    return { n, attempt }
  }`

/** The same as a function of the runner's process. */
export function startingHandler(task: Pick<Task, 'id' | 'attempt' | 'hyperParameters'>) {
  const { n, starts } = task.hyperParameters
  const start: Start = { task: task.id, attempt: task.attempt, runner: process.pid, at: Date.now() }
  if (typeof starts === 'string') appendFileSync(starts, `${JSON.stringify(start)}\n`)
  return { n, pid: process.pid, attempt: task.attempt }
}

export function readStarts(file: string): Start[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Start)
}

/** The one checker of every history of tasks: what began, what was told, and how the documents stand at the end. */
export function judge(history: {
  readonly starts: readonly Start[]
  readonly told: readonly Told[]
  readonly tasks: readonly TaskRecord[]
  readonly kills?: readonly Killed[]
}): Verdict {
  const { starts, told, tasks, kills = [] } = history
  const finished = tasks.filter((task) => task.status === 'finished')
  const doubles =
    repeated(starts.map(({ task, attempt }) => `${task} ${attempt}`)) +
    repeated(told.filter(({ status }) => status === 'finished').map(({ id }) => id)) +
    finished.filter((task) => task.result['attempt'] !== task.attempts).length
  const claimedAgain: { after: number; beyondLease: number }[] = []
  let dropped = 0
  for (const { runner, at, held } of kills)
    for (const { task, until } of held) {
      const others = [
        ...starts.filter((start) => start.task === task),
        ...kills.filter((kill) => kill.held.some((one) => one.task === task)),
      ]
      const later = others.filter((other) => other.at > at && other.runner !== runner).map((other) => other.at)
      const next = Math.min(...later)
      if (later.length > 0) claimedAgain.push({ after: next - at, beyondLease: next - until })
      else if (!finished.some(({ _id }) => _id === task)) dropped++
    }
  return {
    ...{ tasks: tasks.length, starts: starts.length, commits: finished.length, doubles },
    ...{ stuck: tasks.length - finished.length, claimedAgain, dropped },
  }
}

function repeated(names: readonly string[]): number {
  return names.length - new Set(names).size
}
