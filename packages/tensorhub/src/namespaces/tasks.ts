import { setTimeout as delay } from 'node:timers/promises'
import { type Call, HubError, type Predicate, parseSort, type SortInput, throwIfAborted } from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import type { TensorHub } from '../hub.ts'
import { createTask, type TaskSpec } from '../tasks/create-task.ts'
import type { TaskRecord } from '../tasks/document.ts'
import { parseDuration } from '../tasks/duration.ts'
import { TaskProtocol } from '../tasks/protocol.ts'
import { runTopTask, type TaskOutcome } from '../tasks/run-top-task.ts'
import type { ScriptPolicy } from '../tasks/script-policy.ts'
import { callOf, checkOptions, type FilterInput } from './arguments.ts'
import { Namespace } from './namespace.ts'

export interface RunTopOptions extends Call {
  /** Replaces the default order (priority, then oldest). */
  readonly sort?: SortInput
  readonly scripts?: ScriptPolicy
  readonly onOutput?: (text: string) => void
}

export interface WaitOptions extends Call {
  /** ms or `'10m'`. Default: none. */
  readonly timeout?: number | string
  /** Called when the numbers have changed. */
  readonly onProgress?: (state: WaitState) => void
}

/** How many of the tasks waited for are in which state. */
export interface WaitState {
  readonly blocked: number
  readonly pending: number
  readonly running: number
  readonly finished: number
  readonly failed: number
  readonly cancelled: number
}

/** How a wait ended: every task, and whether all finished. */
export interface WaitOutcome extends WaitState {
  /** True when every task finished; false when some failed or were cancelled. */
  readonly ok: boolean
  readonly tasks: readonly TaskRecord[]
}

const STATES = ['blocked', 'pending', 'running', 'finished', 'failed', 'cancelled'] as const
const UNFINISHED: Predicate = { op: 'in', path: ['status'], values: ['blocked', 'pending', 'running'] }

/** `hub.tasks`: scripts with hyper-parameters that any number of runners pull and run. */
export class Tasks extends Namespace<TaskRecord> {
  readonly #protocol: TaskProtocol
  readonly #hubOfTask: (task: { id: string; epoch: number }) => TensorHub
  readonly #running = new Set<Promise<unknown>>()
  readonly #closing = new AbortController()
  #indexes: Promise<void> | undefined

  constructor(context: HubContext, hubOfTask: (task: { id: string; epoch: number }) => TensorHub) {
    super(context, 'tasks')
    this.#protocol = new TaskProtocol(context.index, context.clock)
    this.#hubOfTask = hubOfTask
  }

  /** Pushes a task: uploads the script and what it imports from its own folder. */
  async create(
    name: string,
    script: string,
    spec: TaskSpec = {},
    tags: Readonly<Record<string, unknown>> = {},
    options?: Call,
  ): Promise<TaskRecord> {
    const op = this.op('create')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    await this.#ready()
    return createTask(
      this.context,
      name,
      script,
      spec as TaskSpec & Readonly<Record<string, unknown>>,
      tags,
      callOf(options),
    )
  }

  /** Runs the first due task that matches and may run here; false when there is none. A failed task is an outcome, not an exception. */
  async runTop(filter?: FilterInput, options?: RunTopOptions): Promise<TaskOutcome | false> {
    const op = this.op('runTop')
    this.context.assertOpen(op)
    checkOptions(options, ['sort', 'scripts', 'onOutput', 'signal'], op)
    await this.#ready()
    const where = this.confine(this.parse(filter, op).where)
    const signal = options?.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal
    throwIfAborted(signal, this.place(op))
    const run = runTopTask(
      this.context,
      this.#protocol,
      where,
      {
        signal,
        ...(options?.sort === undefined ? {} : { order: parseSort(options.sort) }),
        ...(options?.scripts === undefined ? {} : { scripts: options.scripts }),
        ...(options?.onOutput === undefined ? {} : { onOutput: options.onOutput }),
      },
      this.#hubOfTask,
    )
    this.#running.add(run)
    try {
      return await run
    } finally {
      this.#running.delete(run)
    }
  }

  /** How many matching tasks are blocked, pending or running. Expired leases are taken back first. */
  async unfinished(filter?: FilterInput, options?: Call): Promise<number> {
    const op = this.op('unfinished')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    await this.#protocol.reap(this.context.projectName)
    return this.context.index.count(
      'tasks',
      { op: 'and', of: [this.confine(this.parse(filter, op).where), UNFINISHED] },
      callOf(options),
    )
  }

  /**
   * Waits until no matching task is blocked, pending or running. Woken by changes made in this process at once, otherwise by asking every 50 ms to
   * 1 s; takes back expired leases meanwhile.
   *
   * @throws UNAVAILABLE (reason WAIT_TIMEOUT) after `timeout`, saying what is left; ABORTED.
   */
  async wait(filter?: FilterInput, options?: WaitOptions): Promise<WaitOutcome> {
    const op = this.op('wait')
    this.context.assertOpen(op)
    checkOptions(options, ['timeout', 'onProgress', 'signal'], op)
    const where = this.confine(this.parse(filter, op).where)
    const signal = options?.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal
    const deadline =
      options?.timeout === undefined
        ? Number.POSITIVE_INFINITY
        : performance.now() + parseDuration(options.timeout, 'timeout')
    let seen = ''
    for (let pause = 50; ; pause = Math.min(pause * 1.5, 1000)) {
      throwIfAborted(signal, this.place(op))
      await this.#protocol.reap(this.context.projectName)
      const state = await this.#state(where)
      const key = JSON.stringify(state)
      if (key !== seen) {
        seen = key
        pause = 50
        options?.onProgress?.(state)
      }
      if (state.blocked + state.pending + state.running === 0) {
        // The states are counted one after the other, and a retry may slip between them: the tasks themselves decide.
        const tasks: TaskRecord[] = []
        for await (const doc of this.context.index.find('tasks', where, {
          order: [
            { path: ['time'], dir: 1 },
            { path: ['_id'], dir: 1 },
          ],
        }))
          tasks.push(doc as TaskRecord)
        const ended = countStates(tasks)
        if (ended.blocked + ended.pending + ended.running === 0)
          return { ...ended, ok: ended.failed + ended.cancelled === 0, tasks }
      }
      if (performance.now() > deadline) {
        throw new HubError(
          'UNAVAILABLE',
          `The wait ended at its timeout with ${state.pending} pending, ${state.running} running and ${state.blocked} blocked tasks${state.running === 0 ? '; no runner has any of them: start one with runTopTask' : ''}.`,
          {
            at: this.place(op),
            reason: 'WAIT_TIMEOUT',
            retryable: true,
          },
        )
      }
      await this.#pause(
        Math.min(pause * (0.8 + Math.random() * 0.4), Math.max(1, deadline - performance.now())),
        signal,
      )
    }
  }

  /** Cancels matching tasks: waiting ones at once, running ones by asking their runners. */
  async cancel(filter: FilterInput, options?: Call): Promise<{ documents: number }> {
    const op = this.op('cancel')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const documents = await this.#protocol.cancel(this.confine(this.parse(filter, op).where))
    this.context.changes.dispatchEvent(new Event('tasks'))
    return { documents }
  }

  /** Makes matching failed or cancelled tasks pending again, with all their attempts. */
  async requeue(filter: FilterInput, options?: Call): Promise<{ documents: number }> {
    const op = this.op('requeue')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    return { documents: await this.#protocol.requeue(this.confine(this.parse(filter, op).where)) }
  }

  /** Deletes matching tasks; running ones are cancelled first, and their runners' late commits find nothing. */
  async delete(filter: FilterInput, options?: Call): Promise<{ documents: number }> {
    const op = this.op('delete')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const where = this.confine(this.parse(filter, op).where)
    await this.#protocol.cancel(where)
    const documents = await this.context.index.delete('tasks', where, callOf(options))
    this.context.changes.dispatchEvent(new Event('tasks'))
    return { documents }
  }

  /** Asks running scripts of this hub to stop (their attempts are given back), and waits for them. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the hub was closed'))
    await Promise.allSettled(this.#running)
  }

  #ready(): Promise<void> {
    this.#indexes ??= this.#protocol.makeIndexes().catch((error: unknown) => {
      this.#indexes = undefined
      throw error
    })
    return this.#indexes
  }

  async #state(where: Predicate): Promise<WaitState> {
    const state: Record<string, number> = {}
    for (const status of STATES)
      state[status] = await this.context.index.count('tasks', {
        op: 'and',
        of: [where, { op: 'eq', path: ['status'], value: status }],
      })
    return state as unknown as WaitState
  }

  /** Until the time is over, or a task changed in this process. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    const wake = () => woken.abort()
    this.context.changes.addEventListener('tasks', wake, { once: true })
    signal.addEventListener('abort', wake, { once: true })
    try {
      await delay(ms, undefined, { signal: woken.signal })
    } catch (error) {
      if ((error as Error).name !== 'AbortError') throw error
    } finally {
      this.context.changes.removeEventListener('tasks', wake)
      signal.removeEventListener('abort', wake)
    }
  }
}

function countStates(tasks: readonly TaskRecord[]): WaitState {
  const of = (status: TaskRecord['status']) => tasks.filter((task) => task.status === status).length
  return {
    blocked: of('blocked'),
    pending: of('pending'),
    running: of('running'),
    finished: of('finished'),
    failed: of('failed'),
    cancelled: of('cancelled'),
  }
}
