import { HubError, type Value } from '@tensorhub/core'
import { setOwn } from './own-field.ts'

/** The public collections. Internal ones start with `_`. */
export type Collection = 'datasets' | 'models' | 'logs' | 'tasks'

/** Collections whose documents may carry `content`: what collection and checking must read. Tasks hold their scripts so. */
export const CONTENT_COLLECTIONS: readonly Collection[] = ['datasets', 'models', 'tasks']

/** The fields of tasks.md §4.2 that the task protocol owns; not available as tags of a task. */
const TASK_FIELDS = [
  'task_name',
  'status',
  'priority',
  'not_before',
  'requires',
  'deps',
  'deps_left',
  'script',
  'hyper_parameters',
  'saved_result_keys',
  'max_attempts',
  'attempts',
  'infra_failures',
  'epoch',
  'claim',
  'last_claim',
  'runner',
  'lease_ms',
  'lease_until',
  'heartbeat_at',
  'progress',
  'cancel_requested',
  'result',
  'artifacts',
  'error',
  'log_ref',
  'output',
  'history',
  'started_at',
  'finished_at',
  'idempotency_key',
  'refused_by',
] as const

/** The one list of reserved field names (design §6). Everywhere: names starting with `_`, and these. */
const RESERVED_EVERYWHERE = ['project_name', 'time', 'content', 'task'] as const
const RESERVED: Readonly<Record<Collection, ReadonlySet<string>>> = {
  datasets: new Set([...RESERVED_EVERYWHERE, 'dataset_name']),
  models: new Set([...RESERVED_EVERYWHERE, 'model_name']),
  logs: new Set([...RESERVED_EVERYWHERE, 'kind']),
  tasks: new Set([...RESERVED_EVERYWHERE, ...TASK_FIELDS]),
}

/** camelCase spellings of document fields: options of the original API, refused as tags and in filters so that no typo matches nothing. */
export const TWINS: Readonly<Record<string, string>> = {
  projectName: 'project_name',
  datasetName: 'dataset_name',
  modelName: 'model_name',
  taskName: 'task_name',
  hyperParameters: 'hyper_parameters',
  savedResultKeys: 'saved_result_keys',
  maxAttempts: 'max_attempts',
  notBefore: 'not_before',
  leaseUntil: 'lease_until',
  heartbeatAt: 'heartbeat_at',
  finishedAt: 'finished_at',
}

/** Whether a top-level field belongs to the hub in this collection and cannot be a user's tag. */
export function isReserved(coll: Collection, name: string): boolean {
  return name.startsWith('_') || RESERVED[coll].has(name)
}

/**
 * Checks user tags: plain fields with storable values, no reserved name, `tags` a list of strings. Values themselves are checked by
 * core when the document is written.
 *
 * @throws INVALID naming the tag.
 */
export function checkTags(
  coll: Collection,
  tags: Readonly<Record<string, unknown>>,
  op: string,
): Record<string, Value> {
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags) || tags instanceof Date) {
    throw new HubError('INVALID', `${op}: tags must be a plain object, such as { accuracy: 0.8 }.`, {
      at: { scheme: 'hub', op, target: coll },
      path: 'tags',
    })
  }
  const out: Record<string, Value> = {}
  for (const name of Object.keys(tags)) {
    const value = tags[name]
    checkTagName(coll, name, op)
    if (value === undefined) {
      throw new HubError('INVALID', `The tag '${name}' is undefined; leave it out, or give null.`, {
        at: { scheme: 'hub', op, target: coll },
        path: name,
      })
    }
    if (name === 'tags' && !(Array.isArray(value) && value.every((v) => typeof v === 'string'))) {
      throw new HubError('INVALID', `'tags' holds free keywords and must be an array of strings.`, {
        at: { scheme: 'hub', op, target: coll },
        path: 'tags',
      })
    }
    setOwn(out, name, value as Value)
  }
  return out
}

/** @throws INVALID when the field belongs to the hub, or is the camelCase spelling of a field. */
export function checkTagName(coll: Collection, path: string, op: string): void {
  const dot = path.indexOf('.')
  const name = dot < 0 ? path : path.slice(0, dot)
  const twin = Object.hasOwn(TWINS, name) ? TWINS[name] : undefined
  const reserved = isReserved(coll, name)
  if (!reserved && twin === undefined) return
  const at = { scheme: 'hub', op, target: coll }
  if (reserved) {
    throw new HubError(
      'INVALID',
      `'${name}' is a reserved field of ${coll} and cannot be set as a tag; ${wayOut(name)}.`,
      { at, path, reason: 'RESERVED_TAG' },
    )
  }
  if (twin !== undefined) {
    const why = isReserved(coll, twin)
      ? `the document's field is '${twin}', set by the hub`
      : `'${name}' is an option of other methods; as a tag of ${coll} write '${twin}'`
    throw new HubError('INVALID', `'${name}' is not a tag: ${why}.`, {
      at,
      path,
      reason: 'RESERVED_TAG',
    })
  }
}

/** What to do instead of setting a field of the hub. */
function wayOut(name: string): string {
  const option = Object.entries(TWINS).find(([, field]) => field === name)?.[0]
  if (option !== undefined && name.endsWith('_name')) return `give it as '${option}' or by the name's own argument`
  return name === 'time' ? 'the hub sets it; for a date of your own choose another name' : 'choose another name'
}
