import { createHash } from 'node:crypto'
import { type Call, type Doc, HubError, isHubError, type Value } from '@tensorhub/core'
import type { HubContext } from '../context.ts'
import { checkTags } from '../documents/collections.ts'
import type { TaskRecord } from './document.ts'
import { parseDuration } from './duration.ts'
import { LEASE, TASK_FORMAT } from './protocol.ts'
import { collectScript } from './script-files.ts'

/** What `tasks.create` knows beside name and script. */
export interface TaskSpec {
  /** Given to the script as `task.hyperParameters`. Default `{}`. */
  readonly hyperParameters?: Readonly<Record<string, unknown>>
  /** Which results are kept; a missing one fails the attempt. Default `[]`: everything returned. */
  readonly savedResultKeys?: readonly string[]
  /** Higher runs first. Default 0. */
  readonly priority?: number
  /** Attempts before the task has failed. Default 3. */
  readonly maxAttempts?: number
  /** How long a runner may be silent before the task runs elsewhere; ms or `'30s'`. Default 60 s; from 1 s to 7 days. */
  readonly lease?: number | string
  /** Not claimed before. Default: at once. */
  readonly notBefore?: Date
  /** Creating again with the same key gives the task that exists. */
  readonly idempotencyKey?: string
}

export const SPEC_KEYS = [
  'hyperParameters',
  'savedResultKeys',
  'priority',
  'maxAttempts',
  'lease',
  'notBefore',
  'idempotencyKey',
] as const
/** Options of the design that do nothing yet; refused rather than ignored. */
export const REFUSED = ['requires', 'dependsOn', 'timeout'] as const

/** Longer ones would only delay the discovery of a dead runner. */
const LONGEST_LEASE = 7 * 24 * 3_600_000

/** A name without case and underscores: `hyperparameters` as a tag would silently leave a task without any. */
function plain(name: string): string {
  return name.replaceAll('_', '').toLowerCase()
}

/**
 * Uploads a task: its script's files as content, its document pending.
 *
 * @throws INVALID naming the option, NOT_FOUND for a missing script, UNSUPPORTED for `requires`, `dependsOn`, `timeout`.
 */
export async function createTask(
  context: HubContext,
  name: unknown,
  script: unknown,
  spec: TaskSpec & Readonly<Record<string, unknown>>,
  tags: Readonly<Record<string, unknown>>,
  o: Call,
): Promise<TaskRecord> {
  const at = { scheme: 'hub', op: 'createTask' }
  const invalid = (path: string, message: string) => new HubError('INVALID', message, { at, path })
  for (const option of REFUSED) {
    if (spec[option] !== undefined || tags[option] !== undefined)
      throw new HubError(
        'UNSUPPORTED',
        `createTask: '${option}' does nothing yet, and is refused rather than ignored.`,
        { at, path: option },
      )
  }
  for (const option of Object.keys(spec))
    if (!(SPEC_KEYS as readonly string[]).includes(option))
      throw invalid(
        option,
        `tasks.create has no option '${option}'; it knows ${SPEC_KEYS.join(', ')}. Tags are an argument of their own.`,
      )
  if (typeof name !== 'string' || name === '')
    throw invalid('taskName', "createTask needs 'taskName': a non-empty string.")
  if (typeof script !== 'string' || script === '')
    throw invalid('script', "createTask needs 'script': the path of a JavaScript or TypeScript module.")
  const {
    hyperParameters = {},
    savedResultKeys = [],
    priority = 0,
    maxAttempts = 3,
    notBefore = new Date(0),
    idempotencyKey,
  } = spec
  if (typeof hyperParameters !== 'object' || hyperParameters === null || Array.isArray(hyperParameters))
    throw invalid('hyperParameters', "'hyperParameters' must be an object.")
  if (!Array.isArray(savedResultKeys) || !savedResultKeys.every((key) => typeof key === 'string' && key !== ''))
    throw invalid('savedResultKeys', "'savedResultKeys' must be an array of names.")
  if (!Number.isSafeInteger(priority)) throw invalid('priority', "'priority' must be a whole number.")
  if (!Number.isSafeInteger(maxAttempts) || maxAttempts < 1)
    throw invalid('maxAttempts', "'maxAttempts' must be a whole number from 1.")
  if (!(notBefore instanceof Date) || Number.isNaN(notBefore.getTime()))
    throw invalid('notBefore', "'notBefore' must be a Date.")
  if (idempotencyKey !== undefined && (typeof idempotencyKey !== 'string' || idempotencyKey === ''))
    throw invalid('idempotencyKey', "'idempotencyKey' must be a non-empty string.")
  const lease = spec.lease === undefined ? LEASE : parseDuration(spec.lease, 'lease')
  if (lease < 1000 || lease > LONGEST_LEASE) throw invalid('lease', "'lease' must be from 1 s to 7 days.")
  for (const tag of Object.keys(tags)) {
    const option = SPEC_KEYS.find((key) => plain(key) === plain(tag))
    if (option !== undefined)
      throw new HubError('INVALID', `'${tag}' is not a tag of a task: give it as the option '${option}'.`, {
        at,
        path: tag,
        reason: 'RESERVED_TAG',
      })
  }
  const checked = checkTags('tasks', tags, 'createTask')
  const collected = await collectScript(script)
  const fixed =
    idempotencyKey === undefined
      ? undefined
      : `k-${createHash('sha256').update(`${context.projectName}\0${idempotencyKey}`).digest('hex')}`
  await context.ready(o)
  const document = (content: unknown): Doc => {
    const { _id, time } = context.stamp()
    return {
      ...checked,
      _id: fixed ?? _id,
      project_name: context.projectName,
      time,
      _v: TASK_FORMAT,
      task_name: name,
      status: 'pending',
      priority,
      not_before: notBefore,
      // Stored though nothing can be asked for yet, so that later runners can filter on them.
      requires: { gpus: 0, gpu_mem_mb: 0, cpu: 0, mem_mb: 0, tags: [] },
      deps: [],
      deps_left: 0,
      script: { ...collected.script, files: collected.script.files.map((file) => ({ ...file })) },
      content: content as Value,
      hyper_parameters: hyperParameters as { readonly [name: string]: Value },
      saved_result_keys: savedResultKeys,
      max_attempts: maxAttempts,
      attempts: 0,
      infra_failures: 0,
      epoch: 0,
      claim: null,
      last_claim: null,
      lease_ms: lease,
      lease_until: null,
      heartbeat_at: null,
      progress: null,
      cancel_requested: false,
      result: {},
      error: null,
      ...(context.task ? { task: { id: context.task.id, epoch: context.task.epoch } } : {}),
    }
  }
  try {
    const doc = await context.content.save({ files: collected.files }, { coll: 'tasks', document, ...o })
    context.changes.dispatchEvent(new Event('tasks'))
    return doc as TaskRecord
  } catch (error) {
    if (fixed === undefined || !isHubError(error, 'EXISTS')) throw error
    const existing = await context.index.top('tasks', { op: 'eq', path: ['_id'], value: fixed }, o)
    if (existing === undefined) throw error
    return existing as TaskRecord
  }
}
