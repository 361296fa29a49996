import type { Value } from '@tensorhub/core'
import { isReserved } from '../documents/collections.ts'
import type { ModelRecord } from '../documents/record.ts'

/** What a found model tells of its record. */
export interface ModelInfo {
  readonly _id: string
  readonly time: Date
  readonly model_name: string
  readonly [tag: string]: Value
}

/** A found model's tags, as properties of the model. Only where the model is an object: text and numbers cannot carry any. */
export interface Informed {
  readonly info: ModelInfo
  readonly [tag: `_${string}`]: Value
}

/**
 * The original promises that a found model carries its record: `model._accuracy`, `model._name` (B18). Each tag becomes a property with an
 * underscore, and `info` holds all of them with `_id`, `time` and `model_name`: on every object, so on plain values, arrays and typed arrays too.
 * The properties are not enumerable, so saving the model again does not store them, and none replaces a property that the model has of its own.
 */
export function attachInfo(model: unknown, record: ModelRecord): unknown {
  if ((typeof model !== 'object' && typeof model !== 'function') || model === null || !Object.isExtensible(model))
    return model
  const info: Record<string, unknown> = { _id: record._id, time: record.time, model_name: record.model_name }
  for (const [name, value] of Object.entries(record)) {
    if (isReserved('models', name)) continue
    info[name] = value
    define(model, `_${name}`, value)
  }
  define(model, 'info', Object.freeze(info))
  return model
}

function define(model: object, name: string, value: unknown): void {
  if (name in model) return
  Object.defineProperty(model, name, { value, enumerable: false, writable: true, configurable: true })
}
