import { HubError, type Predicate } from '@tensorhub/core'
import type { Task } from './task.ts'

/** A task's work as a function of the runner's own code; gets the task and returns its results. */
export type TaskHandler = (task: Task) => unknown

/**
 * Which task scripts a runner runs. Whoever can write tasks runs code on every runner with `'any'`; so that is the default only for an embedded hub
 * in a folder of this user.
 */
export type ScriptPolicy =
  | 'any'
  /** Only scripts whose `script.sha256` is listed. */
  | { readonly hashes: readonly string[] }
  /** No scripts at all: functions of the runner's code, by task name, run in its own process. */
  | { readonly handlers: Readonly<Record<string, TaskHandler>> }

const at = { scheme: 'hub', op: 'runTopTask' }

/** The policy in force. @throws DENIED when none is, saying how to allow; INVALID for another form. */
export function effectivePolicy(given: ScriptPolicy | undefined, embedded: boolean): ScriptPolicy {
  const policy = given === undefined && embedded ? 'any' : given
  if (policy === undefined) {
    throw new HubError(
      'DENIED',
      "No scripts are allowed here: this hub is not a folder of this user alone, so somebody else who can write tasks could run code on this machine. Say which may run, in connect or in the call: scripts: 'any', { hashes: ['…script.sha256'] } or { handlers: { taskName: fn } }.",
      { at, reason: 'SCRIPTS_REFUSED' },
    )
  }
  return checkPolicy(policy)
}

/** @throws INVALID for what is no policy. */
export function checkPolicy(policy: unknown): ScriptPolicy {
  if (policy === 'any') return policy
  if (typeof policy === 'object' && policy !== null && Object.keys(policy).length === 1) {
    const { hashes, handlers } = policy as { hashes?: unknown; handlers?: unknown }
    if (Array.isArray(hashes) && hashes.every((hash) => typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash)))
      return { hashes }
    if (typeof handlers === 'object' && handlers !== null && !Array.isArray(handlers)) {
      const named = handlers as Record<string, TaskHandler>
      if (Object.values(named).every((handler) => typeof handler === 'function')) return { handlers: named }
    }
  }
  throw new HubError(
    'INVALID',
    "scripts is 'any', { hashes: [64 hex digits in lower case …] } or { handlers: { taskName: function } }.",
    { at, path: 'scripts' },
  )
}

/** What a policy adds to the claim's filter, so that a task that may not run is never touched. */
export function policyFilter(policy: ScriptPolicy): Predicate {
  if (policy === 'any') return { op: 'everything' }
  if ('hashes' in policy) return { op: 'in', path: ['script', 'sha256'], values: policy.hashes }
  return { op: 'in', path: ['task_name'], values: Object.keys(policy.handlers) }
}
