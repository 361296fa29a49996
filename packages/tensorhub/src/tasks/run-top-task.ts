import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Call, checkValue, isHubError, type Order, type Predicate, type Value } from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import type { TensorHub } from '../hub.ts'
import type { FromChild } from './child/wire.ts'
import type { TaskError, TaskRecord } from './document.ts'
import { CLAIM_ORDER, type Claim, type TaskProtocol } from './protocol.ts'
import { type ScriptEnd, ScriptProcess, unpack } from './run-script.ts'
import { effectivePolicy, policyFilter, type ScriptPolicy } from './script-policy.ts'
import type { Task } from './task.ts'

/** How one attempt ended. `retrying`: failed, and pending again. `lost`: another runner owns the task by now, and this attempt changed nothing. */
export interface TaskOutcome {
  readonly task: TaskRecord
  readonly status: 'finished' | 'failed' | 'retrying' | 'cancelled' | 'lost'
  readonly result?: { readonly [name: string]: Value }
  readonly error?: TaskError
  /** 1 for the first. */
  readonly attempt: number
}

export interface RunOptions extends Call {
  readonly order?: Order
  readonly scripts?: ScriptPolicy
  /** Called with what the script prints, as it comes. */
  readonly onOutput?: (text: string) => void
}

/** How an attempt's script ended, before it is written. */
interface Attempt {
  readonly result: { readonly [name: string]: Value }
  readonly error?: TaskError
  readonly infra: boolean
  readonly output: string
}

/** A default lease, in ms; each task carries its own. */
export const LEASE = 60_000

/**
 * Reaps, claims the first due task that may run here, runs it in one fresh child process, and writes status and results in one commit. While the
 * script runs, this process sends heartbeats; the child only computes.
 */
export async function runTopTask(
  context: HubContext,
  protocol: TaskProtocol,
  where: Predicate,
  o: RunOptions,
  hubOfTask: (task: { id: string; epoch: number }) => TensorHub,
): Promise<TaskOutcome | false> {
  const policy = effectivePolicy(o.scripts ?? context.scripts, context.embedded)
  await protocol.reap(context.projectName)
  const allowed: Predicate = { op: 'and', of: [where, policyFilter(policy)] }
  const claim = await protocol.claim(allowed, o.order ?? CLAIM_ORDER, LEASE)
  if (claim === null) return false
  const supervisor = new Supervisor(context, protocol, claim, o)
  return policy !== 'any' && 'handlers' in policy
    ? supervisor.runHandler(policy.handlers[claim.doc.task_name] as (task: Task) => unknown, hubOfTask)
    : supervisor.runScript()
}

class Supervisor {
  readonly #context: HubContext
  readonly #protocol: TaskProtocol
  readonly #claim: Claim
  readonly #o: RunOptions
  #beat: NodeJS.Timeout | undefined
  #beating: Promise<void> = Promise.resolve()
  /** Monotonic time until which the lease surely holds (tasks.md §4.3, rule 5). */
  #trustedUntil: number
  #state: 'owner' | 'lost' | 'cancelled' = 'owner'
  #ended = false
  #inFlight = false
  readonly #hearts = new AbortController()
  #progress: () => unknown = () => null
  #onCancel: (reason: string) => void = () => undefined
  #onLost: () => void = () => undefined

  constructor(context: HubContext, protocol: TaskProtocol, claim: Claim, o: RunOptions) {
    this.#context = context
    this.#protocol = protocol
    this.#claim = claim
    this.#o = o
    this.#trustedUntil = performance.now() + LEASE - margin(LEASE)
  }

  get #doc(): TaskRecord {
    return this.#claim.doc
  }

  async runScript(): Promise<TaskOutcome> {
    const { script, content, hyper_parameters: hyperParameters, saved_result_keys: keys } = this.#doc
    const folder = join(this.#context.workDir, this.#doc._id, String(this.#doc.epoch))
    try {
      await this.#startHeart()
      let child: ScriptProcess
      try {
        const value = (await this.#context.content.load(content)) as { files: Record<string, Uint8Array> }
        await unpack(folder, script, value.files)
        child = new ScriptProcess(
          folder,
          script.entry,
          {
            task: {
              id: this.#doc._id,
              name: this.#doc.task_name,
              attempt: this.#doc.attempts,
              epoch: this.#doc.epoch,
              hyperParameters,
            },
            connection: this.#context.connection ?? null,
            keys,
          },
          this.#o.onOutput,
        )
      } catch (error) {
        return await this.#couldNotStart(error)
      }
      this.#progress = () => child.progress
      this.#onCancel = (reason) => child.stop(reason)
      this.#onLost = () => child.kill()
      const onAbort = () => child.stop('the runner was asked to stop')
      this.#o.signal?.addEventListener('abort', onAbort, { once: true })
      if (this.#o.signal?.aborted) onAbort()
      if (this.#state === 'lost') child.kill()
      if (this.#state === 'cancelled') child.stop('the task was cancelled')
      try {
        let end: ScriptEnd
        try {
          end = await child.end
        } catch (error) {
          return await this.#couldNotStart(error)
        }
        const interrupted = this.#o.signal?.aborted === true && end.message?.kind !== 'result'
        return await this.#finish(attemptOf(end.message, end), interrupted)
      } finally {
        this.#o.signal?.removeEventListener('abort', onAbort)
      }
    } finally {
      await this.#stopHeart()
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** A function of this process instead of a script. */
  async runHandler(
    handler: (task: Task) => unknown,
    hubOfTask: (task: { id: string; epoch: number }) => TensorHub,
  ): Promise<TaskOutcome> {
    const stop = new AbortController()
    const signal = this.#o.signal ? AbortSignal.any([stop.signal, this.#o.signal]) : stop.signal
    let progress: unknown = null
    let output = ''
    this.#progress = () => progress
    this.#onCancel = (reason) => stop.abort(new Error(reason))
    this.#onLost = () => stop.abort(new Error('another runner owns the task'))
    const {
      _id: id,
      epoch,
      task_name: name,
      attempts: attempt,
      hyper_parameters: hyperParameters,
      saved_result_keys: keys,
    } = this.#doc
    const task: Task = {
      id,
      name,
      attempt,
      hyperParameters,
      hub: hubOfTask({ id, epoch }),
      signal,
      log: (...values) => {
        const text = `${values.map(String).join(' ')}\n`
        output = (output + text).slice(-256 * 1024)
        this.#o.onOutput?.(text)
      },
      progress: (value) => {
        progress = value
      },
    }
    try {
      await this.#startHeart()
      let message: FromChild
      try {
        const returned = ((await handler(task)) ?? {}) as Record<string, unknown>
        const given = (key: string) => Object.hasOwn(returned, key) && returned[key] !== undefined
        const wanted = keys.length > 0 ? keys : Object.keys(returned)
        message = {
          kind: 'result',
          values: Object.fromEntries(wanted.filter(given).map((key) => [key, returned[key]])),
          bad: [],
          missing: keys.filter((key) => !given(key)),
        }
      } catch (error) {
        const e = error instanceof Error ? error : new Error(String(error))
        message = { kind: 'error', name: e.name, message: e.message, stack: e.stack ?? '' }
      }
      return await this.#finish(
        attemptOf(message, { code: 0, signal: null, output }),
        this.#o.signal?.aborted === true && message.kind === 'error',
      )
    } finally {
      await this.#stopHeart()
    }
  }

  async #finish(attempt: Attempt, interrupted: boolean): Promise<TaskOutcome> {
    await this.#stopHeart()
    const { result, error, output } = attempt
    if (this.#state === 'lost') return this.#outcome('lost', { result })
    if (this.#state === 'cancelled' && error !== undefined) {
      return this.#outcome(
        (await this.#protocol.cancelRunning(this.#claim, output)) === 'lost' ? 'lost' : 'cancelled',
        { error: { code: 'CANCELLED', message: 'The task was cancelled.' } },
      )
    }
    if (interrupted) {
      // The runner was asked to stop: the attempt does not count, and another runner goes on.
      const released = await this.#protocol.release(this.#claim)
      return this.#outcome(released === 'lost' ? 'lost' : 'retrying', {
        error: { code: 'RELEASED', message: 'The runner was asked to stop; the task is pending again.' },
      })
    }
    if (error === undefined) {
      try {
        return await this.#outcome(
          (await this.#protocol.commit(this.#claim, result, output)) === 'lost' ? 'lost' : 'finished',
          { result },
        )
      } catch (cause) {
        // Larger than this index takes a document: the result is at fault, and without it the failure can be written.
        if (!isHubError(cause, 'INVALID')) throw cause
        return this.#fail(
          { code: 'RESULT_INVALID', message: `The results cannot be stored: ${cause.message}` },
          { result: {}, output, infra: false, retryable: true },
        )
      }
    }
    return this.#fail(error, { result, output, infra: attempt.infra, retryable: true })
  }

  async #fail(
    error: TaskError,
    o: {
      readonly result: { readonly [name: string]: Value }
      readonly output: Value
      readonly infra: boolean
      readonly retryable: boolean
      readonly counted?: boolean
    },
  ): Promise<TaskOutcome> {
    const ended = await this.#protocol.fail(this.#claim, error, o)
    return this.#outcome(ended === 'written' ? 'failed' : ended, {
      ...(Object.keys(o.result).length > 0 ? { result: o.result } : {}),
      error,
    })
  }

  /** The script was never begun: its bytes are damaged or were altered, or no process could be made. */
  async #couldNotStart(cause: unknown): Promise<TaskOutcome> {
    await this.#stopHeart()
    if (isHubError(cause, 'INTEGRITY') && cause.reason === 'SCRIPT_HASH') {
      // Altered after it was created: no attempt may make it right, and none is counted.
      const error: TaskError = { code: 'SCRIPT_HASH', message: cause.message }
      return this.#fail(error, { result: {}, output: '', infra: false, retryable: false, counted: false })
    }
    if (!isHubError(cause)) {
      await this.#protocol.release(this.#claim)
      throw cause
    }
    const error: TaskError = { code: cause.code, message: cause.message }
    return this.#fail(error, { result: {}, output: '', infra: true, retryable: true })
  }

  async #outcome(
    status: TaskOutcome['status'],
    o: { readonly result?: { readonly [name: string]: Value }; readonly error?: TaskError },
  ): Promise<TaskOutcome> {
    this.#context.changes.dispatchEvent(new Event('tasks'))
    const now = (await this.#context.index.top('tasks', { op: 'eq', path: ['_id'], value: this.#doc._id })) as
      | TaskRecord
      | undefined
    return { task: now ?? this.#doc, status, attempt: this.#doc.attempts, ...o }
  }

  /** The claim held the default lease; a task with another gets a heartbeat at once, before its script starts. */
  async #startHeart(): Promise<void> {
    const lease = this.#doc.lease_ms
    if (lease !== LEASE) await this.#heartbeat(lease)
    const every = Math.max(50, Math.min(15_000, lease / 4))
    this.#beat = setInterval(() => {
      // Also while a heartbeat hangs on a connection that is half open: an answer that never comes is no answer.
      if (performance.now() > this.#trustedUntil + lease) this.#lose()
      else if (!this.#inFlight) this.#beating = this.#heartbeat(lease)
    }, every)
  }

  async #stopHeart(): Promise<void> {
    this.#ended = true
    clearInterval(this.#beat)
    this.#hearts.abort()
    await this.#beating
  }

  /** Only a definite answer ends the ownership; failures are waited out until the lease may have passed to someone else (rule 6). */
  async #heartbeat(lease: number): Promise<void> {
    if (this.#state === 'lost') return
    const sent = performance.now()
    this.#inFlight = true
    try {
      const doc = await this.#protocol.heartbeat(this.#claim, lease, this.#storableProgress(), {
        signal: this.#hearts.signal,
      })
      if (doc === null) {
        this.#lose()
        return
      }
      this.#trustedUntil = sent + lease - margin(lease)
      if (doc.cancel_requested && this.#state === 'owner') {
        this.#state = 'cancelled'
        this.#onCancel('the task was cancelled')
      }
    } catch {
      // No definite answer, whatever went wrong: the next heartbeat asks again, until the lease may have passed to someone else.
    } finally {
      this.#inFlight = false
    }
  }

  #lose(): void {
    if (this.#state === 'lost' || this.#ended) return
    this.#state = 'lost'
    this.#onLost()
  }

  #storableProgress(): Value {
    const value = this.#progress()
    try {
      return checkValue(value ?? null, 'progress')
    } catch (error) {
      // A value that cannot be stored must not end the lease.
      return `task.progress was given a value that cannot be stored: ${error instanceof Error ? error.message : String(error)}`
    }
  }
}

function margin(lease: number): number {
  return Math.min(10_000, lease / 6)
}

/** What a child's end means: its result, or an error of the script, of its result, or of the machine. */
function attemptOf(
  message: FromChild | undefined,
  end: { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly output: string },
): Attempt {
  const { output } = end
  if (message === undefined || message.kind === 'progress') {
    const how =
      end.signal === null
        ? `ended by itself with code ${end.code} before it gave a result (did it call process.exit?)`
        : `was killed by ${end.signal} (out of memory, or killed from outside)`
    return {
      result: {},
      error: { code: end.signal === null ? 'SCRIPT_EXIT' : 'INFRA', message: `The script's process ${how}.` },
      infra: end.signal !== null,
      output,
    }
  }
  if (message.kind === 'error')
    return {
      result: {},
      error: {
        code: 'SCRIPT_ERROR',
        message: `${message.name}: ${message.message}`,
        stack: message.stack.slice(0, 16_384),
      },
      infra: false,
      output,
    }
  const result: Record<string, Value> = {}
  const problems = message.bad.map(({ key, why }) => `'${key}' cannot be stored: ${why}`)
  for (const [key, value] of Object.entries(message.values as Record<string, unknown>)) {
    try {
      checkValue({ [key]: value }, 'result')
      result[key] = checkValue(value, `result.${key}`)
    } catch (error) {
      if (!isHubError(error)) throw error
      problems.push(`'${key}' cannot be stored: ${error.message}`)
    }
  }
  if (message.missing.length > 0)
    problems.unshift(
      `the script gave no ${message.missing.map((key) => `'${key}'`).join(', ')}, which savedResultKeys asks for`,
    )
  if (problems.length === 0) return { result, infra: false, output }
  return {
    result,
    error: {
      code: message.missing.length > 0 ? 'RESULT_MISSING' : 'RESULT_INVALID',
      message: `The attempt failed: ${problems.join('; ')}.`,
    },
    infra: false,
    output,
  }
}
