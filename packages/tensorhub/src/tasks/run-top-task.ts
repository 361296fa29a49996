import { type Call, type ErrorCode, isHubError, type Order, type Predicate, type Value } from '@tensorhub/core'
import { toHandOver } from '../connect/open-stores.ts'
import type { HubContext } from '../context.ts'
import type { TensorHub } from '../hub.ts'
import { type Attempt, attemptOf } from './attempt.ts'
import type { TaskError, TaskRecord } from './document.ts'
import { runHandler } from './handler.ts'
import { Ownership } from './ownership.ts'
import { CLAIM_ORDER, type Claim, type Fenced, LEASE, type TaskProtocol } from './protocol.ts'
import { ScriptProcess } from './run-script.ts'
import { effectivePolicy, policyFilter, type ScriptPolicy, type TaskHandler } from './script-policy.ts'
import { removeFolder, unpack } from './work-folder.ts'

/** How one attempt ended. */
export interface TaskOutcome {
  /** The document as this attempt left it; of a lost one, as it is now. */
  readonly task: TaskRecord
  /**
   * `retrying`: failed or given back, and pending again. `lost`: the task was deleted, or another runner owns it by now; this attempt changed
   * nothing.
   */
  readonly status: 'finished' | 'failed' | 'retrying' | 'cancelled' | 'lost'
  readonly result?: { readonly [name: string]: Value }
  readonly error?: TaskError
  /** 1 for the first. */
  readonly attempt: number
}

export interface RunOptions extends Call {
  readonly order?: Order
  readonly scripts?: ScriptPolicy
  /** Called with what the script prints, as it comes. What it throws ends the attempt, which does not count, and is thrown by the call. */
  readonly onOutput?: (text: string) => void
}

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
  const policy = effectivePolicy(o.scripts === undefined ? context.scripts : o.scripts, context.embedded)
  const call: Call = o.signal === undefined ? {} : { signal: o.signal }
  await protocol.reap(context.projectName, call)
  const allowed: Predicate = { op: 'and', of: [where, policyFilter(policy)] }
  const claim = await protocol.claim(allowed, o.order ?? CLAIM_ORDER, LEASE, call)
  if (claim === null) return false
  const run = new Run(context, protocol, claim, o)
  try {
    return policy !== 'any' && 'handlers' in policy
      ? await run.handler(policy.handlers[claim.doc.task_name] as TaskHandler, hubOfTask)
      : await run.script()
  } finally {
    context.changes.dispatchEvent(new Event('tasks'))
  }
}

/** Failures of this machine or of the way to the stores: they say nothing about the task, and every other one would meet them too. */
const NOT_THE_TASKS: readonly ErrorCode[] = ['STORAGE_FULL', 'DENIED', 'UNAVAILABLE', 'THROTTLED', 'CLOSED']

/** One attempt at one claimed task. */
class Run {
  readonly #context: HubContext
  readonly #protocol: TaskProtocol
  readonly #claim: Claim
  readonly #o: RunOptions

  constructor(context: HubContext, protocol: TaskProtocol, claim: Claim, o: RunOptions) {
    this.#context = context
    this.#protocol = protocol
    this.#claim = claim
    this.#o = o
  }

  async script(): Promise<TaskOutcome> {
    const { doc } = this.#claim
    const { signal } = this.#o
    let child: ScriptProcess | undefined
    const ownership = new Ownership(this.#protocol, this.#claim, {
      progress: () => child?.progress,
      cancelled: () => child?.stop('the task was cancelled'),
      lost: () => child?.kill(),
    })
    const onAbort = () => child?.stop('the runner was asked to stop')
    try {
      await ownership.start()
      let attempt: Attempt
      let interrupted = false
      try {
        child = new ScriptProcess(this.#o.onOutput)
        const orders = this.#orders()
        // Awaited below, when nothing writes into the folder any more.
        orders.catch(() => undefined)
        const folder = await this.#unpack(signal)
        const start = await orders
        if (ownership.state === 'lost') return await this.#lost({})
        if (ownership.state === 'cancelled')
          return this.#ended(await this.#protocol.cancelRunning(this.#claim, ''), CANCELLED)
        if (signal?.aborted) return this.#ended(await this.#protocol.release(this.#claim), RELEASED)
        signal?.addEventListener('abort', onAbort, { once: true })
        const end = await child.run(folder, doc.script, start)
        interrupted = signal?.aborted === true && end.message?.kind !== 'result'
        attempt = attemptOf(end.message, end)
      } catch (error) {
        await ownership.stop()
        if (signal?.aborted && isHubError(error, 'ABORTED'))
          return await this.#ended(await this.#protocol.release(this.#claim), RELEASED)
        return await this.#couldNotRun(error, child?.callbackFailed === true)
      }
      await ownership.stop()
      return await this.#finish(ownership, attempt, interrupted)
    } finally {
      signal?.removeEventListener('abort', onAbort)
      // One that never was given a script, or is being ended: gone before its folder is.
      child?.kill()
      await removeFolder(this.#context.workDir, doc)
      // Last: it may throw.
      await ownership.stop()
    }
  }

  /** A function of this process instead of a script. */
  async handler(
    handler: TaskHandler,
    hubOfTask: (task: { id: string; epoch: number }) => TensorHub,
  ): Promise<TaskOutcome> {
    const { doc } = this.#claim
    const stop = new AbortController()
    const signal = this.#o.signal ? AbortSignal.any([stop.signal, this.#o.signal]) : stop.signal
    let progress: unknown
    const { onOutput } = this.#o
    let thrown: { readonly error: unknown } | undefined
    const ownership = new Ownership(this.#protocol, this.#claim, {
      progress: () => progress,
      cancelled: () => stop.abort(new Error('the task was cancelled')),
      lost: () => stop.abort(new Error('another runner owns the task')),
    })
    try {
      await ownership.start()
      if (ownership.state === 'lost') return await this.#lost({})
      if (ownership.state === 'cancelled')
        return this.#ended(await this.#protocol.cancelRunning(this.#claim, ''), CANCELLED)
      if (this.#o.signal?.aborted) return this.#ended(await this.#protocol.release(this.#claim), RELEASED)
      const { message, output } = await runHandler(handler, doc, hubOfTask({ id: doc._id, epoch: doc.epoch }), signal, {
        progress: (value) => {
          progress = value
        },
        ...(onOutput === undefined
          ? {}
          : {
              output: (text) => {
                try {
                  if (thrown === undefined) onOutput(text)
                } catch (error) {
                  thrown = { error }
                  stop.abort(error)
                }
              },
            }),
      })
      await ownership.stop()
      if (thrown !== undefined) {
        await this.#protocol.release(this.#claim)
        throw (thrown as { readonly error: unknown }).error
      }
      const interrupted = this.#o.signal?.aborted === true && message.kind === 'error'
      return await this.#finish(ownership, attemptOf(message, { code: 0, signal: null, output }), interrupted)
    } finally {
      await ownership.stop()
    }
  }

  async #unpack(signal: AbortSignal | undefined): Promise<string> {
    const { doc } = this.#claim
    const value = (await this.#context.content.load(doc.content, signal ? { signal } : {})) as {
      files: Record<string, Uint8Array>
    }
    return unpack(this.#context.workDir, doc, doc.script, value.files)
  }

  async #orders(): Promise<Parameters<ScriptProcess['run']>[2]> {
    const { doc } = this.#claim
    const { connection } = this.#context
    const { _id: id, task_name: name, attempts: attempt, epoch, hyper_parameters: hyperParameters } = doc
    return {
      task: { id, name, attempt, epoch, hyperParameters },
      connection: connection === undefined ? null : await toHandOver(connection),
      keys: doc.saved_result_keys,
    }
  }

  async #finish(ownership: Ownership, attempt: Attempt, interrupted: boolean): Promise<TaskOutcome> {
    const { result, error, output, infra } = attempt
    if (ownership.state === 'lost') return this.#lost(result)
    if (ownership.state === 'cancelled' && error !== undefined)
      return this.#ended(await this.#protocol.cancelRunning(this.#claim, output), CANCELLED)
    // The attempt does not count, and another runner goes on.
    if (interrupted) return this.#ended(await this.#protocol.release(this.#claim), RELEASED)
    if (error !== undefined) return this.#fail(error, { result, output }, { infra })
    try {
      return await this.#ended(await this.#protocol.commit(this.#claim, { result, output }), undefined, result)
    } catch (cause) {
      if (!isHubError(cause, 'INVALID')) throw cause
      const tooLarge = { code: 'RESULT_INVALID', message: `The results cannot be stored: ${cause.message}` }
      return this.#fail(tooLarge, { result: {}, output }, { infra: false })
    }
  }

  async #fail(
    error: TaskError,
    end: { readonly result: { readonly [name: string]: Value }; readonly output: string },
    o: { readonly infra: boolean; readonly final?: boolean },
  ): Promise<TaskOutcome> {
    try {
      return await this.#ended(await this.#protocol.fail(this.#claim, error, end, o), error, end.result)
    } catch (cause) {
      // What is left of the results is larger than this index takes a document: without it the failure can be written.
      if (!isHubError(cause, 'INVALID') || Object.keys(end.result).length === 0) throw cause
      return this.#fail(error, { ...end, result: {} }, o)
    }
  }

  /** The script was not run to an end: its bytes are damaged or were altered, or this machine could not run it. */
  async #couldNotRun(cause: unknown, ofCaller: boolean): Promise<TaskOutcome> {
    const nothing = { result: {}, output: '' }
    if (ofCaller || !isHubError(cause) || NOT_THE_TASKS.includes(cause.code)) {
      await this.#protocol.release(this.#claim)
      throw cause
    }
    if (cause.reason === 'SCRIPT_HASH') {
      // Altered after it was created: no attempt may make it right, and none is counted.
      return this.#fail({ code: 'SCRIPT_HASH', message: cause.message }, nothing, { infra: false, final: true })
    }
    return this.#fail({ code: cause.code, message: cause.message }, nothing, { infra: true })
  }

  async #ended(
    written: Fenced,
    error: TaskError | undefined,
    result: { readonly [name: string]: Value } = {},
  ): Promise<TaskOutcome> {
    if (written === null) return this.#lost(result)
    // A reply that was lost and made certain later may show what others did to the task since.
    const asLeft = written.epoch === this.#claim.doc.epoch + 1 ? written.status : 'pending'
    const status =
      error === undefined ? 'finished' : asLeft === 'failed' || asLeft === 'cancelled' ? asLeft : 'retrying'
    return {
      task: written,
      status,
      attempt: this.#claim.doc.attempts,
      ...(error === undefined || Object.keys(result).length > 0 ? { result } : {}),
      ...(error === undefined ? {} : { error }),
    }
  }

  async #lost(result: { readonly [name: string]: Value }): Promise<TaskOutcome> {
    let task: TaskRecord | undefined
    try {
      const where = { op: 'eq', path: ['_id'], value: this.#claim.doc._id } as const
      const signal = AbortSignal.timeout(LOOK_MS)
      task = (await this.#context.index.top('tasks', where, { signal })) as TaskRecord | undefined
    } catch (error) {
      // Only what the caller would have been shown; the loss itself is certain, or the lease is over.
      if (!isHubError(error)) throw error
    }
    return {
      task: task ?? this.#claim.doc,
      status: 'lost',
      attempt: this.#claim.doc.attempts,
      ...(Object.keys(result).length > 0 ? { result } : {}),
    }
  }
}

/** How long an index may take to tell what became of a task that was lost. */
const LOOK_MS = 5000
const CANCELLED: TaskError = { code: 'CANCELLED', message: 'The task was cancelled.' }
const RELEASED: TaskError = {
  code: 'RELEASED',
  message: 'The runner was asked to stop; the task is pending again, and the attempt does not count.',
}
