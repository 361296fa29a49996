import { setTimeout as delay } from 'node:timers/promises'
import {
  type Call,
  HubError,
  isHubError,
  type Order,
  type Predicate,
  parseSort,
  type SortInput,
  throwIfAborted,
} from '@tensorhub/core'
import { layoutOf } from '../connect/embedded-folder.ts'
import type { HubContext } from '../context.ts'
import type { TensorHub } from '../hub.ts'
import { createTask, type TaskSpec } from '../tasks/create-task.ts'
import type { TaskRecord } from '../tasks/document.ts'
import { parseDuration } from '../tasks/duration.ts'
import { TaskProtocol } from '../tasks/protocol.ts'
import { runTopTask, type TaskOutcome } from '../tasks/run-top-task.ts'
import type { ScriptPolicy } from '../tasks/script-policy.ts'
import { sweepWork } from '../tasks/work-folder.ts'
import { callOf, checkOptions, type FilterInput } from './arguments.ts'
import { Namespace } from './namespace.ts'

export interface RunTopOptions extends Call {
  /** Replaces the default order (priority, then oldest). */
  readonly sort?: SortInput
  /** Which scripts may run; the hub's own setting unless given. */
  readonly scripts?: ScriptPolicy
  /** Called with what the script prints, as it comes. What it throws ends the attempt, which does not count, and is thrown by the call. */
  readonly onOutput?: (text: string) => void
}

export interface WaitOptions extends Call {
  /** ms or `'10m'`; then the wait fails. Default: none. */
  readonly timeout?: number | string
  /** How long due tasks may wait while no runner has any of them, before the wait fails; ms or `'1m'`. Default: for ever, runners may yet come. */
  readonly runnerTimeout?: number | string
  /** Called when the state has changed. */
  readonly onProgress?: (state: WaitState) => void
}

/** How many of the tasks are in which state. */
export interface TaskCounts {
  readonly blocked: number
  readonly pending: number
  readonly running: number
  readonly finished: number
  readonly failed: number
  readonly cancelled: number
}

/** A wait under way. */
export interface WaitState extends TaskCounts {
  /** True when tasks have been due for 15 s, and no runner has taken any: then, as far as one can tell, no runner lives. */
  readonly noRunner: boolean
}

/** How a wait ended: every task, and whether all finished. */
export interface WaitOutcome extends TaskCounts {
  /** True when every task finished; false when some failed or were cancelled. */
  readonly ok: boolean
  readonly tasks: readonly TaskRecord[]
}

const BY_AGE: Order = [
  { path: ['time'], dir: 1 },
  { path: ['_id'], dir: 1 },
]
/** Longer than runners that poll once in a few seconds need to claim a due task. */
const NO_RUNNER_MS = 15_000
/** How long an index that does not answer is waited for. */
const PATIENCE_MS = 60_000
const UNFINISHED: Predicate = { op: 'in', path: ['status'], values: ['blocked', 'pending', 'running'] }

/** `hub.tasks`: scripts with hyper-parameters that any number of runners pull and run. */
export class Tasks extends Namespace<TaskRecord> {
  readonly #protocol: TaskProtocol
  readonly #hubOfTask: (task: { id: string; epoch: number }) => TensorHub
  readonly #running = new Set<Promise<unknown>>()
  readonly #closing = new AbortController()
  readonly #deleted: () => void
  #indexes: Promise<void> | undefined
  #swept: Promise<void> | undefined

  /** @param deleted Called after a delete: scripts are content too. */
  constructor(
    context: HubContext,
    hubOfTask: (task: { id: string; epoch: number }) => TensorHub,
    deleted: () => void = () => undefined,
  ) {
    super(context, 'tasks')
    this.#deleted = deleted
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
  async runTop(filter?: FilterInput<TaskRecord>, options?: RunTopOptions): Promise<TaskOutcome | false> {
    const op = this.op('runTop')
    this.context.assertOpen(op)
    checkOptions(options, ['sort', 'scripts', 'onOutput', 'signal'], op)
    await this.#ready()
    const { where, sort } = this.parse(filter, op, ['sort'])
    const order = options?.sort === undefined ? sort : parseSort(options.sort)
    const signal = options?.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal
    this.#goOn(signal, op)
    this.#swept ??= this.#sweep()
    await this.#swept
    const run = runTopTask(
      this.context,
      this.#protocol,
      this.confine(where),
      {
        signal,
        ...(order.length === 0 ? {} : { order }),
        ...(options?.scripts === undefined ? {} : { scripts: options.scripts }),
        ...(options?.onOutput === undefined ? {} : { onOutput: options.onOutput }),
      },
      this.#hubOfTask,
    )
    this.#running.add(run)
    try {
      return await run
    } catch (error) {
      if (isHubError(error, 'ABORTED')) this.#goOn(signal, op)
      throw error
    } finally {
      this.#running.delete(run)
    }
  }

  /** How many matching tasks are blocked, pending or running. Expired leases are taken back first. */
  async unfinished(filter?: FilterInput<TaskRecord>, options?: Call): Promise<number> {
    const op = this.op('unfinished')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const where = this.confine(this.parse(filter, op).where)
    await this.#protocol.reap(this.context.projectName, callOf(options))
    return this.context.index.count('tasks', { op: 'and', of: [where, UNFINISHED] }, callOf(options))
  }

  /**
   * Waits until no matching task is blocked, pending or running. Woken by changes made in this process at once, otherwise by asking every 50 ms to
   * 1 s; takes back expired leases meanwhile, and waits out an index that does not answer for a while.
   *
   * @throws UNAVAILABLE (reason WAIT_TIMEOUT or NO_RUNNER) after `timeout` or `runnerTimeout`, saying what is left; ABORTED.
   */
  async wait(filter?: FilterInput<TaskRecord>, options?: WaitOptions): Promise<WaitOutcome> {
    const op = this.op('wait')
    this.context.assertOpen(op)
    checkOptions(options, ['timeout', 'runnerTimeout', 'onProgress', 'signal'], op)
    const where = this.confine(this.parse(filter, op).where)
    const signal = options?.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal
    const limit = (name: 'timeout' | 'runnerTimeout') =>
      options?.[name] === undefined ? Number.POSITIVE_INFINITY : parseDuration(options[name], name)
    const deadline = performance.now() + limit('timeout')
    const runnerTimeout = limit('runnerTimeout')
    let before = ''
    let reported = false
    let idleSince: number | undefined
    let answered = performance.now()
    for (let pause = 50; ; pause = Math.min(pause * 1.5, 1000)) {
      this.#goOn(signal, op)
      try {
        await this.#protocol.reap(this.context.projectName, { signal })
        const counts = await this.#counts(where, { signal })
        const waiting = counts.pending > 0 && counts.running === 0 && (await this.#due(where, { signal })) > 0
        const now = performance.now()
        answered = now
        const moved = JSON.stringify(counts)
        // Something ran, ended or came meanwhile: that was somebody's work, or has only begun to wait.
        if (!waiting || moved !== before) idleSince = undefined
        if (waiting) idleSince ??= now
        const idle = idleSince === undefined ? 0 : now - idleSince
        const noRunner = idle >= NO_RUNNER_MS
        if (moved !== before || noRunner !== reported) {
          pause = 50
          before = moved
          reported = noRunner
          options?.onProgress?.({ ...counts, noRunner })
        }
        if (counts.blocked + counts.pending + counts.running === 0) {
          // The states are counted one after the other, and a retry may slip between them: the tasks themselves decide.
          const ended = await this.#outcome(where, { signal })
          if (ended !== undefined) return ended
        }
        if (now > deadline || idle > runnerTimeout)
          throw this.#gaveUp(counts, idle > runnerTimeout ? 'NO_RUNNER' : 'WAIT_TIMEOUT', waiting, op)
      } catch (error) {
        this.#goOn(signal, op)
        const over = performance.now() > Math.min(answered + PATIENCE_MS, deadline)
        if (!isHubError(error) || !error.retryable || isGivenUp(error) || over) throw error
      }
      const left = Math.max(1, deadline - performance.now())
      await this.#pause(Math.min(pause * (0.8 + Math.random() * 0.4), left), signal)
    }
  }

  /** Every task's end, or undefined while one has not ended. */
  async #outcome(where: Predicate, o: Call): Promise<WaitOutcome | undefined> {
    const tasks: TaskRecord[] = []
    for await (const doc of this.context.index.find('tasks', where, { ...o, order: BY_AGE }))
      tasks.push(doc as TaskRecord)
    const counts = countStates(tasks)
    if (counts.blocked + counts.pending + counts.running > 0) return undefined
    return { ...counts, ok: counts.finished === tasks.length, tasks }
  }

  #gaveUp(counts: TaskCounts, reason: GivenUp, waiting: boolean, op: string): HubError {
    const left = `${counts.pending} pending, ${counts.running} running and ${counts.blocked} blocked tasks`
    const why = waiting ? '; tasks are due and no runner has any of them: start one with runTopTask' : ''
    return new HubError('UNAVAILABLE', `The wait ended at its timeout with ${left}${why}.`, {
      at: this.place(op),
      reason,
      retryable: true,
    })
  }

  /** How many tasks a runner could claim now. */
  #due(where: Predicate, o: Call): Promise<number> {
    const due: Predicate[] = [
      { op: 'eq', path: ['status'], value: 'pending' },
      { op: 'lte', path: ['not_before'], value: this.context.clock.now() },
    ]
    return this.context.index.count('tasks', { op: 'and', of: [where, ...due] }, o)
  }

  /** Cancels matching tasks: waiting ones at once, running ones by asking their runners. @throws INVALID for an empty filter. */
  async cancel(filter: FilterInput<TaskRecord>, options?: Call): Promise<{ documents: number }> {
    const op = this.op('cancel')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const where = this.confine(this.parseMutation(filter, op))
    await this.context.ready(callOf(options))
    const documents = await this.#protocol.cancel(where, callOf(options))
    this.context.changes.dispatchEvent(new Event('tasks'))
    return { documents }
  }

  /** Makes matching failed or cancelled tasks pending again, with all their attempts. @throws INVALID for an empty filter. */
  async requeue(filter: FilterInput<TaskRecord>, options?: Call): Promise<{ documents: number }> {
    const op = this.op('requeue')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const documents = await this.#protocol.requeue(this.confine(this.parseMutation(filter, op)), callOf(options))
    this.context.changes.dispatchEvent(new Event('tasks'))
    return { documents }
  }

  /**
   * Deletes matching tasks, also running ones: their runners learn of it by the next heartbeat and end the script, and late commits find nothing.
   *
   * @throws INVALID for an empty filter.
   */
  async delete(filter: FilterInput<TaskRecord>, options?: Call): Promise<{ documents: number }> {
    const op = this.op('delete')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    // In one step. Cancelled first, tasks would no longer match a filter that names their status, and stay.
    const where = this.confine(this.parseMutation(filter, op))
    const documents = await this.context.index.delete('tasks', where, callOf(options))
    this.context.changes.dispatchEvent(new Event('tasks'))
    if (documents > 0) this.#deleted()
    return { documents }
  }

  /** Asks running scripts of this hub to stop (their attempts are given back), and waits for them. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the hub was closed'))
    await Promise.allSettled(this.#running)
  }

  /** @throws CLOSED where the hub ended the call, ABORTED where its caller did. */
  #goOn(signal: AbortSignal, op: string): void {
    if (this.#closing.signal.aborted) this.context.assertOpen(op)
    throwIfAborted(signal, this.place(op))
  }

  #ready(): Promise<void> {
    this.#indexes ??= this.#protocol.makeIndexes().catch((error: unknown) => {
      this.#indexes = undefined
      throw error
    })
    return this.#indexes
  }

  /** Folders that killed runners of this machine left behind; once in a hub's life. */
  async #sweep(): Promise<void> {
    const { connection, workDir, index } = this.context
    const owned = connection?.folder !== undefined && layoutOf(connection.folder).work === workDir
    try {
      await sweepWork(workDir, owned, async (id) => {
        return (await index.top('tasks', { op: 'eq', path: ['_id'], value: id })) as TaskRecord | undefined
      })
    } catch (error) {
      // Only left-overs. A folder that cannot be used, or an index that cannot be reached, stops the run itself, with its own error.
      if (!isHubError(error)) throw error
    }
  }

  async #counts(where: Predicate, o: Call): Promise<TaskCounts> {
    const count = (status: TaskRecord['status']) =>
      this.context.index.count('tasks', { op: 'and', of: [where, { op: 'eq', path: ['status'], value: status }] }, o)
    return {
      blocked: await count('blocked'),
      pending: await count('pending'),
      running: await count('running'),
      finished: await count('finished'),
      failed: await count('failed'),
      cancelled: await count('cancelled'),
    }
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

type GivenUp = 'WAIT_TIMEOUT' | 'NO_RUNNER'

function isGivenUp(error: HubError): boolean {
  return error.reason === 'WAIT_TIMEOUT' || error.reason === 'NO_RUNNER'
}

function countStates(tasks: readonly TaskRecord[]): TaskCounts {
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
