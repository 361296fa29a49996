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
  const policy = given ?? (embedded ? 'any' : undefined)
  if (policy === undefined) {
    throw new HubError(
      'DENIED',
      "This hub is shared, and no scripts are allowed here: whoever can write tasks could run code on this machine. Say which may run, in connect or in the call: scripts: 'any', { hashes: ['…script.sha256'] } or { handlers: { taskName: fn } }.",
      { at, reason: 'SCRIPTS_REFUSED' },
    )
  }
  if (policy === 'any') return policy
  if (typeof policy === 'object' && policy !== null) {
    const keys = Object.keys(policy)
    if (
      keys.length === 1 &&
      'hashes' in policy &&
      Array.isArray(policy.hashes) &&
      policy.hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash))
    )
      return policy
    if (
      keys.length === 1 &&
      'handlers' in policy &&
      Object.values(policy.handlers).every((handler) => typeof handler === 'function')
    )
      return policy
  }
  throw new HubError(
    'INVALID',
    "scripts is 'any', { hashes: [64 hex digits …] } or { handlers: { taskName: function } }.",
    { at, path: 'scripts' },
  )
}

/** What a policy adds to the claim's filter, so that a task that may not run is never touched. */
export function policyFilter(policy: ScriptPolicy): Predicate {
  if (policy === 'any') return { op: 'everything' }
  if ('hashes' in policy) return { op: 'in', path: ['script', 'sha256'], values: policy.hashes }
  return { op: 'in', path: ['task_name'], values: Object.keys(policy.handlers) }
}
